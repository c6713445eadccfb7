// Command goclients runs the scenarios of one Go client as they are named on standard input, a line
// each, and answers each with a line of JSON: what the client returned, or how it failed. It can also
// be the MCP server that the clients talk to. It is a module of its own, so that the product does not
// depend on what it is tested with.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// scenario is one thing a client does. What it returns is for the test to look at.
type scenario func(ctx context.Context) (string, error)

// clients are the scenarios by client and name.
var clients = map[string]map[string]scenario{
	"slack-go":  slackScenarios,
	"go-github": githubScenarios,
	"google":    googleScenarios,
	"mcp":       mcpScenarios,
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "mcp-server" {
		if err := serveMCP(); err != nil {
			fmt.Fprintln(os.Stderr, "goclients:", err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) != 2 || clients[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: goclients mcp-server | slack-go | go-github | google | mcp")
		os.Exit(2)
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		run, ok := clients[os.Args[1]][lines.Text()]
		if !ok {
			say(result{Text: "there is no scenario " + lines.Text()})
			continue
		}
		text, err := run(context.Background())
		if err != nil {
			text = err.Error()
		}
		say(result{OK: err == nil, Text: text})
	}
}

type result struct {
	OK    bool   `json:"ok"`
	First bool   `json:"first,omitempty"`
	Text  string `json:"text"`
}

func say(r result) { _ = json.NewEncoder(os.Stdout).Encode(r) }

// pieces is a writer that tells when the first piece is there: the provider sends no more before that.
type pieces struct{ n int }

// Write implements io.Writer.
func (p *pieces) Write(b []byte) (int, error) {
	if p.n == 0 && len(b) > 0 {
		say(result{First: true})
	}
	p.n += len(b)
	return len(b), nil
}

// length reads something that streams, and returns how long it was.
func length(r io.Reader) (string, error) {
	p := &pieces{}
	_, err := io.Copy(p, r)
	return fmt.Sprint(p.n), err
}
