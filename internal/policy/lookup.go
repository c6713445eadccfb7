package policy

import "github.com/clawstaff/clawstaff/api/v1alpha1"

// lookup keeps, for each connector that is asked for, what the rules are about there.
type lookup[C any] map[v1alpha1.ConnectorName][]C

// lookUp looks the rules of a connector up, once.
func lookUp[R, C any](l *lookup[C], connector v1alpha1.ConnectorName, rules []from[R], of func(*R) v1alpha1.ConnectorName, cover func(from[R]) C) []C {
	if found, ok := (*l)[connector]; ok {
		return found
	}
	var out []C
	for i := range rules {
		if of(&rules[i].rule) == connector {
			out = append(out, cover(rules[i]))
		}
	}
	if *l == nil {
		*l = lookup[C]{}
	}
	(*l)[connector] = out
	return out
}
