package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
)

// operation is one of the catalogue, as internal/connector reads it. What only people decide is passed on as it is.
type operation struct {
	ID        string            `json:"id"`
	Host      string            `json:"host,omitempty"`
	Methods   []string          `json:"methods"`
	Path      string            `json:"path"`
	Action    string            `json:"action"`
	Deny      string            `json:"deny,omitempty"`
	Authority string            `json:"authority,omitempty"`
	When      map[string]string `json:"when,omitempty"`
	Query     []string          `json:"query,omitempty"`
	Bodies    []string          `json:"bodies,omitempty"`
	Params    []string          `json:"params,omitempty"`
	Mail      string            `json:"mail,omitempty"`
	Forbid    []string          `json:"forbid,omitempty"`
	Fields    []any             `json:"fields,omitempty"`
	Nested    []any             `json:"nested,omitempty"`
	Values    []any             `json:"values,omitempty"`
	Queries   []string          `json:"queries,omitempty"`
	Resources []any             `json:"resources,omitempty"`
	Response  *response         `json:"response,omitempty"`
}

// response is what of an answer is seen.
type response struct {
	Filters []any    `json:"filters,omitempty"`
	Remove  []string `json:"remove,omitempty"`
}

// write writes a file of operations, one a line, each of them JSON: it is read when a gateway first needs it, and
// that should take little.
func write(file string, book *ruleBook, operations []operation) error {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Generated from %s and hack/catalogue/rules/%s.yaml; change the rules, not this file.\noperations:\n", book.Source.Name, book.Connector)
	for _, op := range operations {
		out.WriteString("- ")
		encoder := json.NewEncoder(&out)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(op); err != nil { // ends the line
			return fmt.Errorf("%s: %w", op.ID, err)
		}
	}
	return os.WriteFile(file, out.Bytes(), 0o644)
}
