package v1alpha1

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/clawstaff/clawstaff/internal/connector"
)

// keyShapes are what keys look like. They are matched anywhere in a text; hints are what a text has where
// one of them matches, so that most texts are let go without a closer look.
var keyShapes = []struct {
	what  string
	hints []string
	shape *regexp.Regexp
}{
	{"an Anthropic key", []string{"sk-ant-"}, regexp.MustCompile(`\bsk-ant-[A-Za-z0-9_-]{16,}`)},
	{"an OpenAI or similar key", []string{"sk-"}, regexp.MustCompile(`\bsk-[A-Za-z0-9_-]{16,}`)},
	{"a Slack token", []string{"xox"}, regexp.MustCompile(`\bxox[a-z](\.xox[a-z])?-[A-Za-z0-9.-]{10,}`)},
	{"a Slack app token", []string{"xapp-"}, regexp.MustCompile(`\bxapp-[A-Za-z0-9-]{10,}`)},
	{"a Slack webhook address", []string{"hooks.slack.com"}, regexp.MustCompile(`hooks\.slack\.com/(services|workflows|triggers)/[A-Za-z0-9/_-]{10,}`)},
	{"a GitHub token", []string{"gh", "github_pat_"}, regexp.MustCompile(`\b(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})`)},
	{"a GitLab token", []string{"gl"}, regexp.MustCompile(`\bgl[a-z]{2,5}-[A-Za-z0-9_-]{20,}`)},
	{"an AWS access key", []string{"AKIA", "ASIA"}, regexp.MustCompile(`\b(AKIA|ASIA)[A-Z0-9]{16}\b`)},
	{"a Google API key", []string{"AIza"}, regexp.MustCompile(`\bAIza[A-Za-z0-9_-]{35}`)},
	{"a Google access token", []string{"ya29."}, regexp.MustCompile(`\bya29\.[A-Za-z0-9_-]{20,}`)},
	{"a Telegram bot token", []string{":AA"}, regexp.MustCompile(`\b[0-9]{8,10}:AA[A-Za-z0-9_-]{33}`)},
	{"a signed token (JWT)", []string{"eyJ"}, regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.`)},
	{"an age identity", []string{"SECRET-KEY-1", "secret-key-1"}, regexp.MustCompile(`(?i)\bAGE-SECRET-KEY-1[a-z0-9]{20,}`)},
	{"a private key", []string{"PRIVATE KEY-----"}, regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----`)},
}

// pastedKeys refuses a spec in which something looks like a key, and does not repeat it. What stands for a
// key in an agent is none.
func pastedKeys(f *findings, catalogue *connector.Catalogue, spec any) {
	data, err := json.Marshal(spec)
	if err != nil {
		f.refuse("spec", "cannot be read: %v", err)
		return
	}
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		f.refuse("spec", "cannot be read: %v", err)
		return
	}
	placeholders := catalogue.Placeholders()
	walk("spec", tree, func(path, text string) {
		if !hinted(text) {
			return
		}
		for _, p := range placeholders {
			text = strings.ReplaceAll(text, p, "")
		}
		for _, k := range keyShapes {
			if k.shape.MatchString(text) {
				f.refuse(path, "this looks like %s (not repeated here): everybody who may read the object would read it, and it would stay in etcd and in git. Put it into a Secret of type clawstaff.dev/credential that a ClawCredential names; and replace it at the provider, because it has been sent in the open",
					k.what)
				return
			}
		}
	})
}

// minKey is the length of the shortest text that looks like a key.
const minKey = 14

func hinted(text string) bool {
	if len(text) < minKey {
		return false
	}
	for i := range keyShapes {
		for _, h := range keyShapes[i].hints {
			if strings.Contains(text, h) {
				return true
			}
		}
	}
	return false
}

// walk calls visit with every text of a JSON tree and where it is.
func walk(path string, node any, visit func(path, text string)) {
	switch v := node.(type) {
	case string:
		visit(path, v)
	case []any:
		for i, e := range v {
			walk(fmt.Sprintf("%s[%d]", path, i), e, visit)
		}
	case map[string]any:
		for _, key := range keysOf(v) {
			visit(path, key)
			walk(path+"."+key, v[key], visit)
		}
	}
}
