package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// Of OpenAPI 3 (https://spec.openapis.org/oas/v3.0.3.html) this reads what GitHub's description has of it.

type openAPI struct {
	Paths      map[string]map[string]openOperation   `json:"paths"`
	Components map[string]map[string]json.RawMessage `json:"components"`
}

type openOperation struct {
	ID          string           `json:"operationId"`
	Parameters  []openParameter  `json:"parameters"`
	RequestBody *openBody        `json:"requestBody"`
	Responses   map[string]*open `json:"responses"`
}

type openParameter struct {
	Ref          string `json:"$ref"`
	Name         string `json:"name"`
	In           string `json:"in"`
	MultiSegment bool   `json:"x-multi-segment"`
}

type openBody struct {
	Content map[string]struct {
		Schema *schema `json:"schema"`
	} `json:"content"`
}

// open is a response, or a reference to one.
type open struct {
	Ref string `json:"$ref"`
	openBody
}

func readOpenAPI(file string, book *ruleBook) ([]published, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var doc openAPI
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	reader := &schemas{doc: &doc, texts: book.Texts, known: map[string]*schema{}}
	var out []published
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(doc.Paths[path])) {
			p, err := doc.published(reader, path, method)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", method, path, err)
			}
			out = append(out, p)
		}
	}
	return out, nil
}

// component resolves a reference: #/components/KIND/NAME.
func (doc *openAPI) component(ref string, into any) error {
	parts := strings.Split(ref, "/")
	if len(parts) != 4 || parts[0] != "#" || parts[1] != "components" || doc.Components[parts[2]][parts[3]] == nil {
		return fmt.Errorf("%q refers to nothing", ref)
	}
	return json.Unmarshal(doc.Components[parts[2]][parts[3]], into)
}

func (doc *openAPI) published(reader *schemas, path, method string) (published, error) {
	op := doc.Paths[path][method]
	p := published{ID: op.ID, Method: strings.ToUpper(method), Path: path}
	for _, param := range op.Parameters {
		if param.Ref != "" {
			if err := doc.component(param.Ref, &param); err != nil {
				return p, err
			}
		}
		switch param.In {
		case "query":
			p.Query = append(p.Query, param.Name)
		case "path":
			if end := "{" + param.Name + "}"; param.MultiSegment && strings.HasSuffix(p.Path, "/"+end) {
				p.Path = strings.TrimSuffix(p.Path, end) + "{" + param.Name + "...}"
			}
		case "header": // passed on, or not, for a connector as a whole
		default:
			return p, fmt.Errorf("parameter %s is in a place that is not known", param.Name)
		}
	}
	if op.RequestBody != nil {
		if err := doc.body(reader, op.RequestBody, &p); err != nil {
			return p, err
		}
	}
	texts, err := reader.textsOf(op.Responses)
	p.Texts = texts
	return p, err
}

func (doc *openAPI) body(reader *schemas, body *openBody, p *published) error {
	json, ok := body.Content["application/json"]
	if !ok {
		p.Body = "Raw"
		return nil
	}
	properties, err := reader.properties(json.Schema)
	p.Body, p.Params = "JSON", slices.Sorted(maps.Keys(properties))
	return err
}
