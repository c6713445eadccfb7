package main

import (
	"fmt"
	"os"
	"strings"

	"sigs.k8s.io/yaml"
)

// ruleBook is what people decided about the operations of one service.
//
// Operations are named by id and paths by template. In an id "*" stands for anything; in a path, "*" for one segment and
// "**" at its end for any number of them, none too.
type ruleBook struct {
	Connector string `json:"connector"`
	Source    source `json:"source"`
	// Hosts are the ids of the hosts the operations are at.
	Host string `json:"host"`
	// Query parameters every operation takes, and parameters none takes: those that carry keys or lead elsewhere.
	Query []string `json:"query"`
	Drop  []string `json:"drop"`
	// Values of query parameters of every operation, where it takes them; those of operations that can answer with a file.
	Values []value `json:"values"`
	Media  []value `json:"media"`
	// Upload is how files come in.
	Upload *uploadRule `json:"upload"`
	// Groups say where operations are: what they touch, or why nobody may ask for them. The first one counts.
	Groups []group `json:"groups"`
	// Names and Overrides say what an operation does where the method of HTTP does not tell. Overrides go first; in each
	// list the first that matches counts.
	Names     []class `json:"names"`
	Overrides []class `json:"overrides"`
	// Deny lists operations that nobody may ask for, whatever their group.
	Deny []denial `json:"deny"`
	// Aliases are ids of operations that are another one: by another spelling of its path.
	Aliases map[string]string `json:"aliases"`
	// Details are what else there is to say.
	Details []detail `json:"details"`
	// Texts are what people wrote, found in answers.
	Texts textRules `json:"texts"`
	// Others are operations that the description does not have.
	Others []operation `json:"others"`
}

type source struct {
	Kind string `json:"kind"` // discovery, openapi
	Name string `json:"name"` // for people
	File string `json:"file"`
	Base string `json:"base"` // of paths, cut off
	// Operations is how many there were when the rules were last reviewed.
	Operations int `json:"operations"`
}

// value limits what may be at a place.
type value struct {
	At     string `json:"at"`
	Shape  string `json:"shape,omitempty"`
	Except string `json:"except,omitempty"`
}

type uploadRule struct {
	Host string `json:"host"`
	// Media is the kind of body of an upload without metadata.
	Media string `json:"media"`
	// Mail is set where what is uploaded is a message.
	Mail bool `json:"mail"`
	// Deny is why the third way is refused.
	Deny string `json:"deny"`
}

type group struct {
	Paths     []string `json:"paths"`
	IDs       []string `json:"ids"`
	Deny      string   `json:"deny"`
	Authority string   `json:"authority"`
	Resources []any    `json:"resources"`
}

type class struct {
	Action string   `json:"action"`
	IDs    []string `json:"ids"`
}

type denial struct {
	Why string   `json:"why"`
	IDs []string `json:"ids"`
}

// detail changes operations: lists are added to, the rest is replaced.
type detail struct {
	IDs       []string  `json:"ids"`
	Path      string    `json:"path"`
	Host      string    `json:"host"`
	Drop      []string  `json:"drop"`
	Query     []string  `json:"query"`
	Params    []string  `json:"params"`
	Bodies    []string  `json:"bodies"`
	Mail      string    `json:"mail"`
	Authority string    `json:"authority"`
	Forbid    []string  `json:"forbid"`
	Fields    []any     `json:"fields"`
	Nested    []any     `json:"nested"`
	Values    []value   `json:"values"`
	Resources []any     `json:"resources"`
	Instead   []any     `json:"instead"` // of the resources of the group
	Response  *response `json:"response"`
}

// textRules say how people's texts are found in answers: an object with one of the fields, and an object of one of the
// authors that has a login, is a text of that author. The whole answer, and elements of lists, are then filtered by author;
// such an object within another is taken out.
type textRules struct {
	Fields  []string `json:"fields"`
	Authors []string `json:"authors"`
	Login   string   `json:"login"`
	// Keep lists operations whose texts are passed on: of which the text is the agent's own, or that of people
	// who may change the thing itself.
	Keep []string `json:"keep"`
}

func readRules(file string) (*ruleBook, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	book := &ruleBook{}
	if err := yaml.UnmarshalStrict(raw, book); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return book, nil
}

// patterns are ids or paths of rules, with whether they were about anything.
type patterns struct {
	match func(pattern, s string) bool
	used  map[string]bool
}

// any reports whether one of a list matches.
func (p *patterns) any(list []string, s string) bool {
	for _, pattern := range list {
		if p.match(pattern, s) {
			p.used[pattern] = true
			return true
		}
	}
	return false
}

// unused returns those of a list that never matched, or always after another.
func (p *patterns) unused(list []string) (out []string) {
	for _, pattern := range list {
		if !p.used[pattern] {
			out = append(out, pattern)
		}
	}
	return out
}

// matchID matches a pattern in which "*" stands for anything.
func matchID(pattern, id string) bool {
	head, rest, found := strings.Cut(pattern, "*")
	if !found {
		return pattern == id
	}
	id, ok := strings.CutPrefix(id, head)
	if !ok {
		return false
	}
	for i := range len(id) + 1 {
		if matchID(rest, id[i:]) {
			return true
		}
	}
	return false
}

// matchPath matches a pattern of segments.
func matchPath(pattern, path string) bool {
	want, have := strings.Split(pattern, "/"), strings.Split(path, "/")
	for i, segment := range want {
		switch {
		case segment == "**":
			return true
		case i >= len(have), segment != "*" && segment != have[i]:
			return false
		}
	}
	return len(want) == len(have)
}
