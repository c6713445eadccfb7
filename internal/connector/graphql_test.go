package connector

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

const graphOperations = `
- id: graphql
  methods: [POST]
  path: /graphql
  bodies: [GraphQL]
  action: Read
  queries:
  - repository(owner!,name!).issue(number).title
  - repository.issue.author.login
  - repository.issues(first, after, filter).nodes.title
  - page(id!).title
  - viewer.login
  - mutation Write pageUpdate(input!).success
  - mutation Delete pageDelete(id!).success
  resources:
  - {type: repository, optional: true, from: [argument.repository.owner/argument.repository.name]}
  - {type: page, optional: true, from: [argument.page.id, argument.pageUpdate.input.id, argument.pageDelete.id]}
  - {type: page, optional: true, from: ["argument.repository.issues.filter.pages[]"]}
  response: {filters: [{at: "data.repository.issues.nodes[]", optional: true, author: {from: author.login}}]}
`

func graphT(t testing.TB) *Connector { return loadT(t, lookedIntoHead2, graphOperations) }

var lookedIntoHead2 = strings.Replace(lookedIntoHead, "self: {operation: history, ids: [team_id/user_id, team_id/bot_id]}\n", "", 1)

// ask makes the body of a query.
func graphPost(query, variables, more string) Request {
	body := `{"query":` + string(quote(query))
	if variables != "" {
		body += `,"variables":` + variables
	}
	return post("/graphql", jsonType, body+more+"}")
}

func TestGraphQL(t *testing.T) {
	c := graphT(t)
	const variables = `{"o":"acme","n":"Api","p":"1"}`
	for name, tc := range map[string]struct {
		query, variables, more string
		written                string // of the document
		resources              string
		action                 v1alpha1.Action
	}{
		"literals":                    {query: `{ repository(owner: "acme", name: "api") { issue(number: 5) { title author { login } } } }`, written: `query { repository(owner: "acme", name: "api") { issue(number: 5) { title author { login } } } }`, resources: "repository:acme/api"},
		"variables":                   {query: "query Q($o: String!, $n: String!) {\n# comment\nrepository(owner: $o, name: $n) { issue { title } } }", variables: variables, more: `,"operationName":"Q"`, written: `query Q($o: String!, $n: String!) { repository(owner: $o, name: $n) { issue { title } } }`, resources: "repository:acme/api"},
		"a default":                   {query: `query ($p: ID! = "2") { page(id: $p) { title } }`, written: `query($p: ID! = "2") { page(id: $p) { title } }`, resources: "page:2"},
		"a variable, not the default": {query: `query ($p: ID! = "2") { page(id: $p) { title } }`, variables: variables, written: `query($p: ID! = "2") { page(id: $p) { title } }`, resources: "page:1"},
		"a number":                    {query: `{ page(id: 12) { title __typename } }`, written: `query { page(id: 12) { title __typename } }`, resources: "page:12"},
		"a variable nobody uses":      {query: `{ page(id: "2") { title } }`, variables: variables, written: `query { page(id: "2") { title } }`, resources: "page:2"},
		"a block of text":             {query: `{ page(id: """2""") { title } }`, written: `query { page(id: "2") { title } }`, resources: "page:2"},
		"within an object":            {query: `query ($p: [ID!]) { repository(owner: "acme", name: "api") { issues(first: 3, filter: {pages: $p, open: true, by: {kind: TEAM}}) { nodes { title } } } }`, variables: `{"p":["1","2"]}`, written: `query($p: [ID!]) { repository(owner: "acme", name: "api") { issues(first: 3, filter: {pages: $p, open: true, by: {kind: TEAM}}) { nodes { title } } } }`, resources: "repository:acme/api page:1 page:2"},
		"fragments":                   {query: `query { page(id: "2") { ...T } ...V } fragment T on Page { title } fragment V on Query { ... { viewer { ...L } } } fragment L on User { login }`, written: `query { page(id: "2") { ... on Page { title } } ... on Query { ... { viewer { ... on User { login } } } } }`, resources: "page:2"},
		"nothing to touch":            {query: `{ viewer { login } }`, written: `query { viewer { login } }`},
		"the same twice":              {query: `{ page(id: "2") { title } page(id: "2") { title } }`, written: `query { page(id: "2") { title } page(id: "2") { title } }`, resources: "page:2"},
		"a mutation":                  {query: `mutation M($i: PageInput!) { pageUpdate(input: $i) { success } }`, variables: `{"i":{"id":"1","title":"x"}}`, written: `mutation M($i: PageInput!) { pageUpdate(input: $i) { success } }`, resources: "page:1", action: "Write"},
		"a mutation, written":         {query: `mutation { pageUpdate(input: {id: "1", title: "a\"b\u00e9\n"}) { success } }`, written: `mutation { pageUpdate(input: {id: "1", title: "a\"bé\n"}) { success } }`, resources: "page:1", action: "Write"},
		"one that deletes":            {query: `mutation { pageDelete(id: "1") { success } }`, written: `mutation { pageDelete(id: "1") { success } }`, resources: "page:1", action: "Delete"},
		"an extension of nothing":     {query: `{ viewer { login } }`, more: `,"extensions":{},"operationName":null`, written: `query { viewer { login } }`},
	} {
		t.Run(name, func(t *testing.T) {
			call, err := c.Match(graphPost(tc.query, tc.variables, tc.more))
			if err != nil {
				t.Fatal(err)
			}
			var body struct{ Query string }
			if err := json.Unmarshal(call.Body, &body); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.written, body.Query); diff != "" {
				t.Error(diff)
			}
			var got []string
			for _, r := range call.Resources {
				got = append(got, r.Type+":"+r.Name)
			}
			if diff := cmp.Diff(tc.resources, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
			if want := tc.action; want != call.Action && (want != "" || call.Action != v1alpha1.ActionRead) {
				t.Errorf("action %s", call.Action)
			}
		})
	}
}

func TestGraphQLRefuses(t *testing.T) {
	c := graphT(t)
	page := func(in string) string { return `{ page(id: "1") { ` + in + ` } }` }
	for name, tc := range map[string]struct{ query, variables, more, reason string }{
		"no document":                         {``, ``, ``, "a document is needed"},
		"a stored document":                   {``, ``, `,"extensions":{"persistedQuery":{"version":1,"sha256Hash":"x"}}`, "a document is needed"},
		"two documents":                       {page("title"), ``, `,"extensions":{"persistedQuery":{"sha256Hash":"x"}}`, "extensions may not"},
		"a document of another time":          {page("title"), ``, `,"id":"x"`, "not one of"},
		"two queries":                         {page("title"), ``, `,"query":"{ viewer { login } }"`, "twice"},
		"not GraphQL":                         {`select *`, ``, ``, "not a GraphQL document"},
		"half of it":                          {`{ page(id: "1") {`, ``, ``, "not a GraphQL document"},
		"two operations":                      {`query A { viewer { login } } query B { viewer { login } }`, ``, `,"operationName":"A"`, "exactly one operation"},
		"none":                                {`fragment A on B { c }`, ``, ``, "exactly one operation"},
		"another operation":                   {`query A { viewer { login } }`, ``, `,"operationName":"B"`, "operationName"},
		"a subscription":                      {`subscription { viewer { login } }`, ``, ``, "is not allowed here"},
		"introspection":                       {`{ __schema { types { name } } }`, ``, ``, "__schema"},
		"introspection of a type":             {`{ __type(name: "X") { name } }`, ``, ``, "__type"},
		"an unlisted field":                   {page("title body"), ``, ``, "page.body"},
		"an unlisted field in a fragment":     {`{ page(id: "1") { ...F } } fragment F on Page { body }`, ``, ``, "page.body"},
		"an unlisted field in a nameless one": {page("... on Page { body }"), ``, ``, "page.body"},
		"a field elsewhere":                   {`{ title }`, ``, ``, "field title"},
		"an object without fields":            {`{ page(id: "1") }`, ``, ``, "field page"},
		"within a leaf":                       {page("title { x }"), ``, ``, "page.title.x"},
		"an alias":                            {`{ page: viewer { login } }`, ``, ``, "aliases are not allowed"},
		"an alias of a leaf":                  {page("login: title"), ``, ``, "aliases are not allowed"},
		"a directive":                         {page("title @skip(if: true)"), ``, ``, "directives are not allowed"},
		"a directive on a fragment":           {page("... @include(if: true) { title }"), ``, ``, "directives are not allowed"},
		"a directive on a spread":             {`{ page(id: "1") { ...F @defer } } fragment F on Page { title }`, ``, ``, "directives"},
		"a directive on the operation":        {`query @x { viewer { login } }`, ``, ``, "directives are not allowed"},
		"a directive on a variable":           {`query ($a: ID @x) { page(id: $a) { title } }`, `{"a":"1"}`, ``, "directives"},
		"a fragment that is not there":        {page("...F"), ``, ``, "not there"},
		"a fragment within itself":            {`{ page(id: "1") { ...F } } fragment F on Page { ...G } fragment G on Page { ...F }`, ``, ``, "within itself"},
		"a fragment twice":                    {`{ page(id: "1") { ...F } } fragment F on Page { title } fragment F on Page { title }`, ``, ``, "twice"},
		"an unlisted argument":                {`{ page(id: "1", as: "admin") { title } }`, ``, ``, `argument "as"`},
		"an argument twice":                   {`{ page(id: "1", id: "9") { title } }`, ``, ``, `argument "id"`},
		"an argument missing":                 {`{ page { title } }`, ``, ``, `"id" is missing`},
		"an argument that is null":            {`{ page(id: null) { title } }`, ``, ``, `"id" is missing`},
		"a variable without a value":          {`query ($p: ID) { page(id: $p) { title } }`, `{}`, ``, `"id" is missing`},
		"a variable that is null":             {`query ($p: ID = "1") { page(id: $p) { title } }`, `{"p":null}`, ``, `"id" is missing`},
		"a variable nobody defines":           {`{ page(id: $p) { title } }`, `{"p":"1"}`, ``, "not defined"},
		"a variable twice":                    {`query ($p: ID, $p: ID) { page(id: $p) { title } }`, `{"p":"1"}`, ``, "twice"},
		"a variable given twice":              {`query ($p: ID) { page(id: $p) { title } }`, `{"p":"1","p":"9"}`, ``, "twice"},
		"a default that is a variable":        {`query ($p: ID = $q, $q: ID) { page(id: $p) { title } }`, `{"q":"9"}`, ``, "not a"},
		"the same with two arguments":         {`{ page(id: "1") { title } page(id: "2") { title } }`, ``, ``, "selected twice"},
		"half a repository":                   {`{ repository(owner: "acme") { issue { title } } }`, ``, ``, `"name" is missing`},
		"a repository in one part":            {`{ repository(owner: "acme/api", name: "") { issue { title } } }`, ``, ``, "not a part of a name"},
		"a member twice":                      {`mutation { pageUpdate(input: {id: "1", id: "9"}) { success } }`, ``, ``, "twice"},
		"two actions":                         {`mutation { pageUpdate(input: {id: "1"}) { success } pageDelete(id: "1") { success } }`, ``, ``, "exactly one field"},
		"two actions in a fragment":           {`mutation { ... { pageDelete(id: "1") { success } } }`, ``, ``, "exactly one field"},
		"an unlisted mutation":                {`mutation { userDelete(id: "1") { success } }`, ``, ``, "userDelete"},
		"variables in a list":                 {page("title"), `[1]`, ``, "no object"},
		"half a character":                    {`{ page(id: "\ud800") { title } }`, ``, ``, "not understood"},
		"too long":                            {page(strings.Repeat("title ", 12000)), ``, ``, "longer than"},
		"too many words":                      {page(strings.Repeat("title ", 9000)), ``, ``, "too long a one"},
		"too many fields":                     {page(strings.Repeat("title ", 2100)), ``, ``, "more than 2000 fields"},
		"a fragment that grows":               {`{ page(id: "1") { ...A } } fragment A on P { ...B ...B ...B ...B } fragment B on P { ...C ...C ...C ...C } fragment C on P { ...D ...D ...D ...D } fragment D on P { ...E ...E ...E ...E } fragment E on P { ...F ...F ...F ...F } fragment F on P { ...G ...G ...G } fragment G on P { title }`, ``, ``, "more than 2000 fields"},
		"too deep":                            {page(strings.Repeat("... { ", 40) + "title" + strings.Repeat(" }", 40)), ``, ``, "deeper than"},
		"values too deep":                     {`{ repository(owner: "acme", name: "api") { issues(filter: ` + strings.Repeat("[", 60) + strings.Repeat("]", 60) + `) { nodes { title } } } }`, ``, ``, "not understood"},
	} {
		t.Run(name, func(t *testing.T) {
			call, err := c.Match(graphPost(tc.query, tc.variables, tc.more))
			var refusal *Refusal
			if !errors.As(err, &refusal) || !strings.Contains(err.Error(), tc.reason) || len(err.Error()) > 600 {
				t.Errorf("got %.700v, for %v", err, call.Resources)
			}
		})
	}
}

func TestQueriesRefuse(t *testing.T) {
	for name, tc := range map[string]struct{ queries, more, reason string }{
		"introspection":             {`["__schema.types"]`, "", "FIELD(ARGUMENT"},
		"an alias":                  {`["a: b"]`, "", "FIELD(ARGUMENT"},
		"a dot at the end":          {`["a."]`, "", "ends with a dot"},
		"a mutation of no action":   {`["mutation a.b"]`, "", "with its action"},
		"a mutation of two actions": {`["mutation Read a.b", "mutation Write a.c"]`, "", "another action"},
		"a resource of no argument": {`["a(id).b"]`, `, resources: [{type: page, from: [argument.a.x]}]`, "no argument of queries"},
	} {
		file := lookedIntoHead2 + "operations:\n- {id: x, methods: [POST], path: /x, bodies: [GraphQL], action: Read, queries: " + tc.queries + tc.more + "}\n"
		if _, err := Load(map[string][]byte{"one": []byte(file)}); err == nil || !strings.Contains(err.Error(), tc.reason) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestGraphQLAnswer: an answer of errors lacks what a filter looks for.
func TestGraphQLAnswer(t *testing.T) {
	c := graphT(t)
	call, err := c.Match(graphPost(`{ viewer { login } }`, "", ""))
	if err != nil {
		t.Fatal(err)
	}
	const failed = `{"errors":[{"message":"x"}],"data":null}`
	if out, _, err := call.FilterAnswer([]byte(failed), world()); err != nil || string(out) != failed {
		t.Errorf("%s, %v", out, err)
	}
	out, removed, err := call.FilterAnswer([]byte(`{"data":{"repository":{"issues":{"nodes":[{"author":{"login":"eve"}},{"author":{"login":"sarah"}}]}}}}`), world())
	if err != nil || removed != 1 || string(out) != `{"data":{"repository":{"issues":{"nodes":[{"author":{"login":"sarah"}}]}}}}` {
		t.Errorf("%s, %d, %v", out, removed, err)
	}
}

// FuzzGraphQL: what is let through selects nothing but what is listed, to a reader that was not asked to judge it, and
// names in its literals nothing but what was found.
func FuzzGraphQL(f *testing.F) {
	c := graphT(f)
	f.Add(`query Q($o: String!) { repository(owner: $o, name: "api") { issue(number: 1) { title ...F } } } fragment F on I { author { login } }`, `{"o":"acme"}`)
	f.Add(`mutation { pageUpdate(input: {id: "1", t: """a"""}) { success } }`, `{}`)
	f.Add(`{ page(id: 1) { title } viewer { login } }`, `null`)
	f.Fuzz(func(t *testing.T, document, variables string) {
		call, err := c.Match(graphPost(document, variables, ""))
		if err != nil {
			return
		}
		var body struct{ Query string }
		if err := json.Unmarshal(call.Body, &body); err != nil {
			t.Fatalf("%s: %v", call.Body, err)
		}
		doc, err := parser.ParseQuery(&ast.Source{Input: body.Query})
		if err != nil || len(doc.Operations) != 1 || len(doc.Fragments) != 0 {
			t.Fatalf("%q: %v", body.Query, err)
		}
		known := map[string]bool{"repository": true, "issue": true, "issues": true, "nodes": true, "title": true, "author": true, "login": true, "page": true, "viewer": true, "pageUpdate": true, "pageDelete": true, "success": true, "__typename": true}
		var walk func(ast.SelectionSet)
		walk = func(set ast.SelectionSet) {
			for _, s := range set {
				switch s := s.(type) {
				case *ast.Field:
					if !known[s.Name] || s.Alias != s.Name || len(s.Directives) > 0 {
						t.Fatalf("%q selects %s", body.Query, s.Name)
					}
					for _, a := range s.Arguments {
						literal := a.Value.Kind == ast.StringValue || a.Value.Kind == ast.IntValue
						if page := (policy.Resource{Type: "page", Name: a.Value.Raw}); s.Name == "page" && literal && !slices.Contains(call.Resources, page) {
							t.Fatalf("%q touches %v, not %v", body.Query, call.Resources, page)
						}
					}
					walk(s.SelectionSet)
				case *ast.InlineFragment:
					walk(s.SelectionSet)
				default:
					t.Fatalf("%q has a fragment", body.Query)
				}
			}
		}
		walk(doc.Operations[0].SelectionSet)
		again, err := c.Match(graphPost(body.Query, variables, ""))
		if err != nil || string(again.Body) != string(call.Body) && variables != "" {
			t.Fatalf("%q: written again it is %s (%v)", body.Query, again.Body, err)
		}
	})
}
