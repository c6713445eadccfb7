package main

import (
	"maps"
	"slices"
	"strings"
)

// schema is as much of a JSON schema as tells which members there are.
type schema struct {
	Ref        string             `json:"$ref"`
	Properties map[string]*schema `json:"properties"`
	Items      *schema            `json:"items"`
	AllOf      []*schema          `json:"allOf"`
	AnyOf      []*schema          `json:"anyOf"`
	OneOf      []*schema          `json:"oneOf"`
}

// schemas resolves the references of a description, and finds in it what people wrote.
type schemas struct {
	doc   *openAPI
	texts textRules
	known map[string]*schema
}

func (r *schemas) resolve(s *schema) (*schema, error) {
	for s != nil && s.Ref != "" {
		next := r.known[s.Ref]
		if next == nil {
			next = &schema{}
			if err := r.doc.component(s.Ref, next); err != nil {
				return nil, err
			}
			r.known[s.Ref] = next
		}
		s = next
	}
	if s == nil {
		s = &schema{}
	}
	return s, nil
}

// properties returns the members an object may have, those of all alternatives.
func (r *schemas) properties(s *schema) (map[string]*schema, error) {
	s, err := r.resolve(s)
	if err != nil {
		return nil, err
	}
	out := map[string]*schema{}
	for _, part := range slices.Concat(s.AllOf, s.AnyOf, s.OneOf) {
		more, err := r.properties(part)
		if err != nil {
			return nil, err
		}
		maps.Copy(out, more)
	}
	maps.Copy(out, s.Properties)
	return out, nil
}

// maxDepth is how deep answers are looked into. GitHub's go in circles.
const maxDepth = 7

// textsOf returns the places in successful answers where people's texts are, sorted.
func (r *schemas) textsOf(responses map[string]*open) ([]text, error) {
	found := map[string]string{}
	for code, response := range responses {
		if !strings.HasPrefix(code, "2") {
			continue
		}
		if response.Ref != "" {
			resolved := &open{}
			if err := r.doc.component(response.Ref, resolved); err != nil {
				return nil, err
			}
			response = resolved
		}
		for _, content := range response.Content {
			if err := r.look(content.Schema, "", nil, found); err != nil {
				return nil, err
			}
		}
	}
	var out []text
	for _, at := range slices.Sorted(maps.Keys(found)) {
		out = append(out, text{At: at, Author: found[at]})
	}
	return out, nil
}

// look notes every object that has a text and a writer.
func (r *schemas) look(s *schema, at string, above []*schema, found map[string]string) error {
	s, err := r.resolve(s)
	if err != nil || slices.Contains(above, s) || len(above) > maxDepth {
		return err
	}
	above = append(above, s)
	properties, err := r.properties(s)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(r.texts.Fields, func(name string) bool { return properties[name] != nil }) {
		for _, name := range r.texts.Authors {
			person, err := r.properties(properties[name])
			if err != nil {
				return err
			}
			if person[r.texts.Login] != nil {
				found[at] = name + "." + r.texts.Login
				break
			}
		}
	}
	if s.Items != nil {
		if err := r.look(s.Items, at+"[]", above, found); err != nil {
			return err
		}
	}
	for _, part := range slices.Concat(s.AllOf, s.AnyOf, s.OneOf) {
		if err := r.look(part, at, above, found); err != nil {
			return err
		}
	}
	for name, property := range s.Properties {
		if err := r.look(property, strings.TrimPrefix(at+"."+name, "."), above, found); err != nil {
			return err
		}
	}
	return nil
}
