package mutation

import (
	"fmt"
	"strings"

	"github.com/clawstaff/clawstaff/internal/testing/schema"
)

// place is where in an object a property is: in the first entry of each list, and under the first key of each map.
type place struct {
	steps []any // names of fields, and 0
	path  string
}

// placeOf turns a path of the schema into one of objects: spec.tools[].actions is spec.tools[0].actions.
func placeOf(path string) place {
	p := place{path: strings.ReplaceAll(path, "[]", "[0]")}
	for _, part := range strings.Split(path, ".") {
		name, lists := strings.CutSuffix(part, "[]")
		p.steps = append(p.steps, name)
		if lists {
			p.steps = append(p.steps, 0)
		}
	}
	return p
}

// get returns what is there, or nil.
func (p place) get(object map[string]any) any {
	var at any = object
	for _, step := range p.steps {
		switch step := step.(type) {
		case string:
			m, ok := at.(map[string]any)
			if !ok {
				return nil
			}
			at = m[step]
		case int:
			l, ok := at.([]any)
			if !ok || len(l) <= step {
				return nil
			}
			at = l[step]
		}
	}
	return at
}

// set puts a value there. What it would be in is made where it is missing.
func (p place) set(object map[string]any, root *schema.Schema, v value) error {
	at, s := object, root
	for i := 0; i < len(p.steps)-1; i++ {
		name := p.steps[i].(string)
		if s = s.Properties[name]; s == nil {
			return fmt.Errorf("the schema has no %s on the way to %s", name, p.path)
		}
		if at[name] == nil {
			at[name] = sample(s)
		}
		if _, list := p.steps[i+1].(int); !list {
			next, ok := at[name].(map[string]any)
			if !ok {
				return fmt.Errorf("%s is no object on the way to %s", name, p.path)
			}
			at = next
			continue
		}
		i++
		entries, ok := at[name].([]any)
		if !ok || len(entries) == 0 {
			entries = []any{sample(s.Items)}
			at[name] = entries
		}
		if at, ok = entries[0].(map[string]any); !ok {
			return fmt.Errorf("%s is no list of objects on the way to %s", name, p.path)
		}
		s = s.Items
	}
	name := p.steps[len(p.steps)-1].(string)
	if v.absent {
		delete(at, name)
	} else {
		at[name] = clone(v.is)
	}
	return nil
}
