package cluster

import (
	"encoding/json"
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/clawstaff/clawstaff/hack/localcluster/internal/layout"
)

func TestEveryFileIsWellFormed(t *testing.T) {
	entries, err := fs.ReadDir(files, "files")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		content, err := render(entry.Name())
		if err != nil {
			t.Error(err)
			continue
		}
		switch {
		case strings.HasSuffix(entry.Name(), ".yaml"):
			for i, document := range strings.Split(string(content), "\n---\n") {
				var object map[string]any
				if err := yaml.UnmarshalStrict([]byte(document), &object); err != nil || object["kind"] == nil {
					t.Errorf("%s, document %d: %v\n%s", entry.Name(), i+1, err, document)
				}
			}
		case strings.HasSuffix(entry.Name(), ".conflist"):
			if !json.Valid(content) {
				t.Errorf("%s:\n%s", entry.Name(), content)
			}
		}
	}
}

func TestInternetPatterns(t *testing.T) {
	answers := func(name string) (ips []string) {
		for _, host := range newPlace().Internet {
			if regexp.MustCompile(host.Pattern).MatchString(name) {
				ips = append(ips, host.IP)
			}
		}
		return ips
	}
	for _, host := range layout.InternetHosts {
		for _, name := range host.Names {
			for _, spelled := range []string{name + ".", strings.ToUpper(name) + "."} {
				if got := answers(spelled); len(got) != 1 || got[0] != host.IP {
					t.Errorf("%s is answered with %v, want %s", spelled, got, host.IP)
				}
			}
		}
	}
	for _, name := range []string{"example.com.", "notslack.com.", "slack.com.evil.example.", "slackxcom.", "sub.slack.com.", "."} {
		if got := answers(name); len(got) > 0 {
			t.Errorf("%s is answered with %v, want nothing", name, got)
		}
	}
}
