// Package schema reads the schemas of our kinds from the CRDs, for tests that must miss no field.
package schema

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/clawstaff/clawstaff/internal/testing/controlplane"
)

// Schema is what tests need to know of one node of a CRD's schema.
type Schema struct {
	Type                 string             `json:"type"`
	Format               string             `json:"format"`
	Properties           map[string]*Schema `json:"properties"`
	AdditionalProperties *Schema            `json:"additionalProperties"`
	Items                *Schema            `json:"items"`
	Required             []string           `json:"required"`
	Enum                 []any              `json:"enum"`
	Default              any                `json:"default"`
	Pattern              string             `json:"pattern"`
	MinLength            *int               `json:"minLength"`
	MaxLength            *int               `json:"maxLength"`
	MinItems             *int               `json:"minItems"`
	MaxItems             *int               `json:"maxItems"`
	MinProperties        *int               `json:"minProperties"`
	MaxProperties        *int               `json:"maxProperties"`
	Minimum              *float64           `json:"minimum"`
	Maximum              *float64           `json:"maximum"`
	IntOrString          bool               `json:"x-kubernetes-int-or-string"`
	ListType             string             `json:"x-kubernetes-list-type"`
	ListMapKeys          []string           `json:"x-kubernetes-list-map-keys"`
	Validations          []Rule             `json:"x-kubernetes-validations"`
}

// Rule is a CEL rule.
type Rule struct {
	Rule    string `json:"rule"`
	Message string `json:"message"`
}

// Kind is one kind and its whole schema.
type Kind struct {
	Name   string
	Plural string
	Schema *Schema
}

// Load reads every kind, in the order of their names.
func Load() ([]Kind, error) {
	files, err := filepath.Glob(filepath.Join(controlplane.Root(), "config", "crd", "bases", "*.yaml"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no CRDs: %w", err)
	}
	var kinds []Kind
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var crd struct {
			Spec struct {
				Names    struct{ Kind, Plural string }
				Versions []struct {
					Schema struct {
						OpenAPIV3Schema *Schema `json:"openAPIV3Schema"`
					}
				}
			}
		}
		if err := yaml.Unmarshal(data, &crd); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		if len(crd.Spec.Versions) != 1 || crd.Spec.Versions[0].Schema.OpenAPIV3Schema == nil {
			return nil, fmt.Errorf("%s has not exactly one version with a schema", file)
		}
		kinds = append(kinds, Kind{Name: crd.Spec.Names.Kind, Plural: crd.Spec.Names.Plural, Schema: crd.Spec.Versions[0].Schema.OpenAPIV3Schema})
	}
	slices.SortFunc(kinds, func(a, b Kind) int { return strings.Compare(a.Name, b.Name) })
	return kinds, nil
}

// Property is one property and where it is: spec.channels[].users. Entries of a list are [], values of a map {}.
type Property struct {
	Path     string
	Schema   *Schema
	Required bool
}

// Leaf reports whether the property has no properties of its own: it is a value, or a list or map of values.
func (p Property) Leaf() bool { return leaf(p.Schema) }

func leaf(s *Schema) bool {
	switch {
	case s == nil:
		return true
	case len(s.Properties) > 0:
		return false
	default:
		return leaf(s.Items) && leaf(s.AdditionalProperties)
	}
}

// Spec lists every property under a kind's spec, parents before what is in them.
func (k Kind) Spec() []Property {
	var out []Property
	walk("spec", k.Schema.Properties["spec"], &out)
	return out
}

func walk(path string, s *Schema, out *[]Property) {
	for s.Items != nil || s.AdditionalProperties != nil {
		if s.Items != nil {
			path, s = path+"[]", s.Items
			continue
		}
		path, s = path+"{}", s.AdditionalProperties
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := Property{Path: path + "." + name, Schema: s.Properties[name], Required: slices.Contains(s.Required, name)}
		*out = append(*out, p)
		walk(p.Path, p.Schema, out)
	}
}
