// Catalogue writes what is generated of the catalogue of connectors: the operations of those whose service publishes a
// machine-readable description, and the pages about all of them in docs/. What a description says (methods, paths,
// parameters) is taken from it; what it does not say (whether a call reads or deletes, what it touches, why it is
// refused) was decided by people and is in rules/. It fails on an operation of which nothing was decided, on a rule that is
// about nothing, and on a number of operations that differs from the one that was last reviewed.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	_ "google.golang.org/api/googleapi" // go.mod pins the module whose Discovery documents are read
)

func main() {
	var places places
	flag.StringVar(&places.rules, "rules", "rules", "folder with the rules, one connector a file")
	flag.StringVar(&places.google, "google", "", "folder of the Go module google.golang.org/api")
	flag.StringVar(&places.github, "github", "", "OpenAPI description of GitHub's REST API")
	flag.StringVar(&places.slack, "slack", "slack/methods.json", "methods of Slack's Web API")
	flag.StringVar(&places.catalogue, "catalogue", "../../internal/connector/catalogue", "folder of the connectors")
	flag.StringVar(&places.docs, "docs", "../../docs", "folder of the documentation")
	flag.Parse()
	if err := run(places); err != nil {
		fmt.Fprintln(os.Stderr, "catalogue:", err)
		os.Exit(1)
	}
}

// places are the files and folders it works with.
type places struct{ rules, google, github, slack, catalogue, docs string }

func run(p places) error {
	files, err := filepath.Glob(filepath.Join(p.rules, "*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("%s: there are no rules", p.rules)
	}
	coverage := map[string]coverage{}
	for _, file := range files {
		book, err := readRules(file)
		if err != nil {
			return err
		}
		if want := strings.TrimSuffix(filepath.Base(file), ".yaml"); book.Connector != want {
			return fmt.Errorf("%s: connector: it is called %q, but the file %q", file, book.Connector, want)
		}
		published, err := p.published(book)
		if err != nil {
			return fmt.Errorf("%s: %w", book.Connector, err)
		}
		operations, classified, err := decide(published, book)
		if err != nil {
			return fmt.Errorf("%s: %w", book.Connector, err)
		}
		coverage[book.Connector] = classified
		if err := write(filepath.Join(p.catalogue, book.Connector+".operations.yaml"), book, operations); err != nil {
			return err
		}
	}
	return writeDocs(p, coverage)
}

// published returns the operations that a description lists.
func (p places) published(book *ruleBook) ([]published, error) {
	switch book.Source.Kind {
	case "discovery":
		return readDiscovery(filepath.Join(p.google, book.Source.File), book)
	case "openapi":
		return readOpenAPI(p.github, book)
	default:
		return nil, fmt.Errorf("source: %q is no kind of description", book.Source.Kind)
	}
}
