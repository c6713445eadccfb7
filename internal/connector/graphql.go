package connector

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// A GraphQL document asks for anything a service has, in one request. It is let through only if every field it selects
// is one the connector lists, and is written anew from what was understood: without aliases, since a filter of the
// answer looks for fields by their name; without directives, which decide elsewhere what is selected; and with its
// fragments where they are used.

const (
	maxGraphSource  = 64 << 10
	maxGraphTokens  = 8 << 10
	maxGraphWritten = 256 << 10
	maxGraphDepth   = 24   // of selections within each other
	maxGraphFields  = 2000 // selections, fragments written out
)

// graphField is a field a document may select.
type graphField struct {
	arguments map[string]bool        // that may be given, and whether they must be
	fields    map[string]*graphField // within it; none of a leaf
	leaf      bool
	action    v1alpha1.Action // of a mutation's root field
}

// graph is what documents may select, by the kind of their operation.
type graph map[ast.Operation]*graphField

var graphEntry = regexp.MustCompile(`^([_A-Za-z]\w*)(?:\(([_A-Za-z]\w*!?(?:, ?[_A-Za-z]\w*!?)*)\))?(\.|$)`)

// prepareQueries reads the fields an operation lists.
func (op *Operation) prepareQueries() error {
	op.graph = graph{ast.Query: {}}
	for _, text := range op.Queries {
		kind, action, path := ast.Query, op.Action, text
		if rest, ok := strings.CutPrefix(text, "mutation "); ok {
			word, rest, _ := strings.Cut(rest, " ")
			kind, action, path = ast.Mutation, v1alpha1.Action(word), rest
			if !isAction(action) {
				return fmt.Errorf("%q: a mutation is written with its action: mutation Write issueCreate(input!).success", text)
			}
			if op.graph[kind] == nil {
				op.graph[kind] = &graphField{}
			}
		}
		if err := op.graph[kind].list(path, action); err != nil {
			return fmt.Errorf("%q: %w", text, err)
		}
	}
	return nil
}

// list adds a path to the fields that may be selected.
func (g *graphField) list(path string, action v1alpha1.Action) error {
	for depth := 0; path != ""; depth++ {
		m := graphEntry.FindStringSubmatch(path)
		if m == nil || strings.HasPrefix(m[1], "__") {
			return errors.New("it is not FIELD(ARGUMENT, ARGUMENT!).FIELD.FIELD")
		}
		path = path[len(m[0]):]
		if m[3] == "." && path == "" {
			return errors.New("it ends with a dot")
		}
		if g.fields == nil {
			g.fields = map[string]*graphField{}
		}
		next := g.fields[m[1]]
		if next == nil {
			next = &graphField{arguments: map[string]bool{}, action: action}
			g.fields[m[1]] = next
		}
		if depth == 0 && next.action != action {
			return errors.New("another entry says another action of this mutation")
		}
		for _, name := range strings.FieldsFunc(m[2], func(r rune) bool { return r == ',' || r == ' ' }) {
			bare, must := strings.CutSuffix(name, "!")
			next.arguments[bare] = must || next.arguments[bare]
		}
		g = next
	}
	g.leaf = true
	return nil
}

// readGraphQL reads the document of a call, refuses what is not listed, and writes it anew.
func (call *Call) readGraphQL(_ []byte) error {
	source, _ := textOf(call.find("query"))
	switch {
	case source == "":
		return errors.New("query: a document is needed; stored ones (persisted queries) are refused")
	case len(source) > maxGraphSource:
		return fmt.Errorf("query: the document is longer than %d bytes", maxGraphSource)
	case call.find("extensions") != nil && !slices.Contains([]string{"null", "{}"}, string(call.find("extensions"))):
		return errors.New("extensions may not be given: they could name another document")
	}
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: source}, maxGraphTokens)
	if err != nil {
		return errors.New("query: it is not a GraphQL document, or too long a one")
	}
	if len(doc.Operations) != 1 {
		return errors.New("query: there must be exactly one operation")
	}
	op := doc.Operations[0]
	if name := call.find("operationName"); name != nil && !isNull(name) {
		if text, ok := textOf(name); !ok || text != "" && text != op.Name {
			return errors.New("operationName is not that of the operation")
		}
	}
	variables := call.find("variables")
	if variables != nil && variables[0] != '{' && !isNull(variables) {
		return errors.New("variables: it is no object")
	}
	r := graphReader{call: call, doc: doc, op: op, variables: variables}
	if err := r.read(call.Operation.graph[op.Operation]); err != nil {
		return fmt.Errorf("query: %w", err)
	}
	return call.writeGraphQL(op.Name, string(r.out), variables)
}

// writeGraphQL makes the body what was understood of it.
func (call *Call) writeGraphQL(name, document string, variables []byte) error {
	members := []member{{key: "query", value: quote(document)}}
	if variables != nil {
		members = append(members, member{key: "variables", value: variables})
	}
	if name != "" {
		members = append(members, member{key: "operationName", value: quote(name)})
	}
	for _, m := range call.members {
		if !slices.Contains(graphQLParams, m.key) {
			members = append(members, m) // refused later, if it is not known
		}
	}
	call.members, call.Body = members, writeObject(members)
	return nil
}

// visitArgument shows every value at a place within the arguments of a document: argument.issue.id,
// argument.issueCreate.input.teamId.
func (call *Call) visitArgument(p *place, show func(found) error) error {
	for i := range p.steps {
		key := argumentKey(p.steps[:i+1])
		for _, a := range call.arguments {
			if a.key == key {
				return walk(a.value, p.steps[i:], show)
			}
		}
	}
	return nil
}

func argumentKey(steps []step) string {
	keys := make([]string, len(steps))
	for i, s := range steps {
		keys[i] = s.key
	}
	return strings.Join(keys, ".")
}

// checkArguments checks that the places of resources are arguments that documents may have.
func (op *Operation) checkArguments() error {
	for _, r := range op.Resources {
		for _, p := range slices.Concat(r.places...) {
			if p.kind == inArgument && !op.hasArgument(&p) {
				return fmt.Errorf("%q is no argument of queries", p.text)
			}
		}
	}
	return nil
}

// hasArgument reports whether a place is, or is within, an argument that documents may have.
func (op *Operation) hasArgument(p *place) bool {
	for _, g := range op.graph {
		for _, s := range p.steps {
			if g == nil {
				break
			}
			if _, ok := g.arguments[s.key]; ok {
				return true
			}
			g = g.fields[s.key]
		}
	}
	return false
}
