package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// A Discovery document is how Google describes its services, see https://developers.google.com/discovery/v1/reference/apis.

type discovery struct {
	ServicePath string                       `json:"servicePath"`
	Methods     map[string]discoveryMethod   `json:"methods"`
	Resources   map[string]discoveryResource `json:"resources"`
	Schemas     map[string]struct {
		Properties map[string]json.RawMessage `json:"properties"`
	} `json:"schemas"`
}

type discoveryResource struct {
	Methods   map[string]discoveryMethod   `json:"methods"`
	Resources map[string]discoveryResource `json:"resources"`
}

type discoveryMethod struct {
	ID         string `json:"id"`
	HTTPMethod string `json:"httpMethod"`
	Path       string `json:"path"`
	Parameters map[string]struct {
		Location string `json:"location"`
	} `json:"parameters"`
	Request struct {
		Ref string `json:"$ref"`
	} `json:"request"`
	SupportsMediaUpload   bool `json:"supportsMediaUpload"`
	SupportsMediaDownload bool `json:"supportsMediaDownload"`
}

func readDiscovery(file string, book *ruleBook) ([]published, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var doc discovery
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var out []published
	var walk func(discoveryResource) error
	walk = func(r discoveryResource) error {
		for _, name := range slices.Sorted(maps.Keys(r.Methods)) {
			p, err := doc.published(r.Methods[name], book.Source.Base)
			if err != nil {
				return err
			}
			out = append(out, p)
		}
		for _, name := range slices.Sorted(maps.Keys(r.Resources)) {
			if err := walk(r.Resources[name]); err != nil {
				return err
			}
		}
		return nil
	}
	return out, walk(discoveryResource{Methods: doc.Methods, Resources: doc.Resources})
}

func (doc *discovery) published(m discoveryMethod, base string) (published, error) {
	path, ok := strings.CutPrefix("/"+doc.ServicePath+m.Path, base)
	if !ok {
		return published{}, fmt.Errorf("%s: its path is not below %s", m.ID, base)
	}
	p := published{ID: m.ID, Method: m.HTTPMethod, Path: path, Upload: m.SupportsMediaUpload, Media: m.SupportsMediaDownload}
	for _, name := range slices.Sorted(maps.Keys(m.Parameters)) {
		switch m.Parameters[name].Location {
		case "query":
			p.Query = append(p.Query, name)
		case "path":
		default:
			return p, fmt.Errorf("%s: parameter %s is in a place that is not known", m.ID, name)
		}
	}
	if m.Request.Ref != "" {
		schema, ok := doc.Schemas[m.Request.Ref]
		if !ok {
			return p, fmt.Errorf("%s: there is no schema %s", m.ID, m.Request.Ref)
		}
		p.Body, p.Params = "JSON", slices.Sorted(maps.Keys(schema.Properties))
	}
	return p, nil
}
