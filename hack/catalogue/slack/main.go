// Slack writes the operations of the slack connector: from methods.json, what Slack's own client knows of its Web API, and
// rules.yaml, what was decided of each method. It fails on a method, or an argument, of which nothing was decided.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
)

const target = "../../internal/connector/catalogue/slack.operations.yaml"

func main() {
	if err := run("slack", target); err != nil {
		fmt.Fprintln(os.Stderr, "slack:", err)
		os.Exit(1)
	}
}

func run(folder, target string) error {
	var pkg published
	raw, err := os.ReadFile(folder + "/methods.json")
	if err == nil {
		err = json.Unmarshal(raw, &pkg)
	}
	if err != nil {
		return fmt.Errorf("methods.json: %w", err)
	}
	var rules ruleBook
	raw, err = os.ReadFile(folder + "/rules.yaml")
	if err == nil {
		err = yaml.UnmarshalStrict(raw, &rules)
	}
	if err != nil {
		return fmt.Errorf("rules.yaml: %w", err)
	}
	operations, err := decide(pkg, rules)
	if err != nil {
		return err
	}
	out := fmt.Appendf(nil, "# Generated from %s and hack/catalogue/slack/rules.yaml; change the rules, not this file.\noperations:\n", pkg.Package)
	for _, op := range operations {
		line, err := json.Marshal(op)
		if err != nil {
			return err
		}
		out = append(append(append(out, "- "...), line...), '\n')
	}
	return os.WriteFile(target, out, 0o644)
}

// published is what Slack's package knows.
type published struct {
	Package string   `json:"package"`
	Methods []method `json:"methods"`
}

type method struct {
	ID        string   `json:"id"`
	Arguments []string `json:"arguments"`
}

// ruleBook is what was decided.
type ruleBook struct {
	// Stripped and Refused are arguments of which the same is decided wherever they are.
	Stripped []string `json:"stripped"`
	Refused  []string `json:"refused"`
	// Shared holds parts that rules refer to.
	Shared map[string]any `json:"shared"`
	// Deny lists the methods that are always refused.
	Deny []denial `json:"deny"`
	// Operations are the others.
	Operations []rule `json:"operations"`
	// Others are operations that are no methods of the package; written as they are.
	Others []operation `json:"others"`
}

// denial is why some methods are refused. A method may end in ".*", for all below it.
type denial struct {
	Methods []string `json:"methods"`
	Action  string   `json:"action"`
	Why     string   `json:"why"`
}

// rule is a method that may be allowed.
type rule struct {
	operation `json:",inline"`
	// Refuse lists arguments that are not taken, Extra those that are although the package does not know them.
	Refuse []string `json:"refuse"`
	Extra  []string `json:"extra"`
}

// operation is one of the catalogue, with the fields Slack needs.
type operation struct {
	ID        string         `json:"id"`
	Host      string         `json:"host,omitempty"`
	Methods   []string       `json:"methods"`
	Path      string         `json:"path"`
	Action    string         `json:"action"`
	Deny      string         `json:"deny,omitempty"`
	Authority string         `json:"authority,omitempty"`
	Query     []string       `json:"query,omitempty"`
	Bodies    []string       `json:"bodies,omitempty"`
	Params    []string       `json:"params,omitempty"`
	Set       map[string]any `json:"set,omitempty"`
	Resources []resource     `json:"resources,omitempty"`
	Nested    []any          `json:"nested,omitempty"`
	Response  any            `json:"response,omitempty"`
}

type resource struct {
	Type    string   `json:"type"`
	From    []string `json:"from"`
	Split   string   `json:"split,omitempty"`
	Capture string   `json:"capture,omitempty"`
	Except  string   `json:"except,omitempty"`
}

var errDecided = errors.New("rules.yaml: not every method and argument is decided")
