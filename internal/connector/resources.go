package connector

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// maxResources is how many a call may touch: each is judged and recorded.
const maxResources = 256

// findResources reads every resource of the operation from all places that may name it.
func (call *Call) findResources() error {
	for i := range call.Operation.Resources {
		source := &call.Operation.Resources[i]
		names, err := call.named(source)
		if err != nil {
			return err
		}
		for _, name := range names {
			r := policy.Resource{Type: source.Type, Name: name}
			if !slices.Contains(call.Resources, r) {
				call.Resources = append(call.Resources, r)
			}
		}
		if len(call.Resources) > maxResources {
			return fmt.Errorf("the request touches more than %d resources: ask for fewer at once", maxResources)
		}
	}
	return nil
}

// named returns the names a source finds, each once. Places that name any must all name the same ones.
func (call *Call) named(source *ResourceSource) ([]string, error) {
	var names []string
	for i, parts := range source.places {
		found, err := call.gather(source, parts)
		if err != nil {
			return nil, fmt.Errorf("%s %w", source.From[i], err)
		}
		switch {
		case len(found) == 0:
		case names == nil:
			names = found
		case !sameSet(names, found):
			return nil, fmt.Errorf("the request names two different %ss", source.Type)
		}
	}
	switch {
	case len(names) > 0 || source.Optional && source.Value == "":
		return names, nil
	case source.Value != "":
		return []string{source.Value}, nil
	default:
		return nil, fmt.Errorf("the request names no %s", source.Type)
	}
}

func sameSet(a, b []string) bool {
	for _, name := range a {
		if !slices.Contains(b, name) {
			return false
		}
	}
	return len(a) == len(b)
}

// gather returns the names at one place, or the one that several make.
func (call *Call) gather(source *ResourceSource, parts []place) ([]string, error) {
	if len(parts) > 1 {
		whole, err := call.compose(source, parts)
		if err != nil || whole == "" {
			return nil, err
		}
		return source.accept(nil, whole)
	}
	var names []string
	missing := false
	err := call.visit(&parts[0], func(f found) error {
		if f.missing {
			missing = true
			return nil
		}
		text, ok := f.name(source.Optional)
		switch {
		case !ok:
			return errors.New("is not a string")
		case text == "" && f.raw != nil && string(f.raw) == "null":
			return nil
		case source.Split == "":
			var err error
			names, err = source.accept(names, text)
			return err
		}
		for piece := range strings.SplitSeq(text, source.Split) {
			var err error
			if names, err = source.accept(names, strings.TrimSpace(piece)); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && missing && len(names) > 0 && !source.Optional {
		err = errors.New("is not in every object of the list")
	}
	return names, err
}

// compose makes one name of several places: all of them name a part, or none does.
func (call *Call) compose(source *ResourceSource, parts []place) (string, error) {
	texts := make([]string, 0, len(parts))
	for i := range parts {
		err := call.visit(&parts[i], func(f found) error {
			text, ok := f.name(false)
			switch {
			case f.missing:
				return nil
			case !ok || text == "" || strings.Contains(text, "/"):
				return errors.New("is not a part of a name")
			}
			texts = append(texts, text)
			return nil
		})
		if err != nil {
			return "", err
		}
	}
	switch len(texts) {
	case 0:
		return "", nil
	case len(parts):
		return strings.Join(texts, "/"), nil
	default:
		return "", fmt.Errorf("names a part of a %s only", source.Type)
	}
}

// accept adds a name to others, in the way it is judged.
func (source *ResourceSource) accept(names []string, text string) ([]string, error) {
	if source.capture != nil {
		m := source.capture.FindStringSubmatch(text)
		if m == nil {
			return nil, fmt.Errorf("does not tell the %s", source.Type)
		}
		text = m[1]
	}
	if source.fold {
		if strings.ContainsFunc(text, func(r rune) bool { return r > 0x7e }) {
			return nil, fmt.Errorf("is not the id of a %s", source.Type)
		}
		text = strings.ToLower(text)
	}
	switch {
	case text == "" || text == string(v1alpha1.Wildcard) || !source.shape.MatchString(text):
		return nil, fmt.Errorf("is not the id of a %s", source.Type)
	case source.except != nil && source.except.MatchString(text):
		return nil, fmt.Errorf("names a %s that acts where no gateway sees it", source.Type)
	case slices.Contains(names, text):
		return names, nil
	case len(names) > maxResources:
		return nil, fmt.Errorf("names more than %d at once", maxResources)
	}
	return append(names, text), nil
}

// name returns the text of a value that can be a name: a string, or a whole number that every reader of JSON reads
// alike. Null is none, where it need not be named.
func (f found) name(optional bool) (text string, ok bool) {
	if f.raw == nil {
		return f.text, true
	}
	if text, ok := textOf(f.raw); ok {
		return text, true
	}
	if string(f.raw) == "null" {
		return "", optional
	}
	return string(f.raw), isWhole(string(f.raw))
}

// isWhole reports whether a JSON value is a whole number of at most 2^53-1, written plainly.
func isWhole(raw string) bool {
	digits := strings.TrimPrefix(raw, "-")
	const largest = "9007199254740991"
	if digits == "" || digits == "0" && raw[0] == '-' || len(digits) > len(largest) || len(digits) == len(largest) && digits > largest {
		return false
	}
	return !strings.ContainsFunc(digits, func(r rune) bool { return r < '0' || r > '9' })
}
