package v1alpha1

import (
	"strings"
	"testing"

	"github.com/clawstaff/clawstaff/internal/connector"
)

func TestPastedKeys(t *testing.T) {
	catalogue, err := connector.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	look := func(text string) findings {
		var f findings
		pastedKeys(&f, catalogue, map[string]any{"env": []any{map[string]any{"value": "before " + text + " after"}}})
		return f
	}
	for what, key := range map[string]string{
		"an Anthropic key":        fake("sk-ant-", 40),
		"an OpenAI":               fake("sk-proj-", 40),
		"a Slack token":           fake("xoxb-", 30),
		"a Slack app token":       fake("xapp-", 30),
		"a Slack webhook address": "https://hooks.slack.com/services/" + fake("T0", 20),
		"a GitHub token":          fake("github_pat_", 30),
		"a GitLab token":          fake("glpat-", 20),
		"an AWS access key":       "AKIA" + strings.Repeat("A", 16),
		"a Google API key":        fake("AIza", 35),
		"a Google access token":   fake("ya29.", 30),
		"a Telegram bot token":    fake("123456789:AA", 33),
		"a signed token":          fake("eyJ", 20) + "." + fake("eyJ", 20) + "." + fake("", 20),
		"an age identity":         fake("AGE-SECRET-KEY-1", 58),
		"a private key":           "-----BEGIN EC PRIVATE KEY-----",
	} {
		f := look(key)
		switch {
		case len(f.errs) != 1:
			t.Errorf("%s: %d refusals, want 1", what, len(f.errs))
		case f.errs[0].Field != "spec.env[0].value" || !strings.Contains(f.errs[0].Error(), what):
			t.Errorf("%s: refused as %v", what, f.errs[0])
		case strings.Contains(f.errs[0].Error(), key):
			t.Errorf("%s: the refusal repeats it", what)
		}
	}
	for _, harmless := range []string{
		"", "Triages tickets about risk-assessment and disk-usage-of-the-largest-volumes.", "task-123456789012345678",
		"https://api.slack.com/apps", "eyJ is how they begin", "T01ACME/U01SARAH", "claude-sonnet-5",
		strings.Join(catalogue.Placeholders(), " "),
	} {
		if f := look(harmless); len(f.errs) > 0 {
			t.Errorf("%q is refused: %v", harmless, f.errs)
		}
	}
}
