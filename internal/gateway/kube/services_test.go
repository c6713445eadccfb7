package kube

import (
	"strings"
	"testing"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

const wiki = `connector: wiki
hosts: [{host: wiki.acme.example, base: /api}]
denial: Problem
slots: {key: {use: Inject, header: Authorization, format: "Bearer {{value}}", env: WIKI_KEY, placeholder: wiki-claw-placeholder}}
resources: {page: {shape: '[a-z0-9-]{1,64}'}}
operations:
- {id: pages.get, methods: [GET], path: "/pages/{page}", action: Read, resources: [{type: page, from: [path.page]}]}
`

func own(name, definition string) v1alpha1.GrantConnector {
	return v1alpha1.GrantConnector{Name: v1alpha1.ConnectorName(name), Definition: definition}
}

func TestServices(t *testing.T) {
	var s services
	if c, err := s.of(nil); c != nil || err != nil {
		t.Errorf("none of its own: %v, %v", c, err)
	}
	first, err := s.of([]v1alpha1.GrantConnector{own("wiki", wiki)})
	if err != nil {
		t.Fatal(err)
	}
	if site, ok := first.Find("wiki.acme.example", "/api/pages/x"); !ok || site.Connector.Name != "wiki" || !first.Known("slack") {
		t.Error("the catalogue lacks what is the organization's own, or what is part of the program")
	}
	if again, _ := s.of([]v1alpha1.GrantConnector{own("wiki", wiki)}); again != first {
		t.Error("the same definition is another catalogue")
	}
	if changed, err := s.of([]v1alpha1.GrantConnector{own("wiki", strings.Replace(wiki, "/pages", "/sites", 1))}); err != nil || changed == first {
		t.Errorf("another definition is the same catalogue, or %v", err)
	}
	if c, err := s.of(nil); c != nil || err != nil {
		t.Errorf("none any more: %v, %v", c, err)
	}
}

func TestServicesThatCannotBeUsed(t *testing.T) {
	for name, own := range map[string][]v1alpha1.GrantConnector{
		"no YAML":             {own("wiki", "\t")},
		"nothing":             {own("wiki", "")},
		"an unknown field":    {own("wiki", wiki+"surprise: true\n")},
		"another name":        {own("notes", wiki)},
		"a built-in's name":   {own("slack", strings.Replace(wiki, "connector: wiki", "connector: slack", 1))},
		"named as a built-in": {own("slack", wiki)},
		"a built-in's host":   {own("wiki", strings.Replace(wiki, "wiki.acme.example, base: /api", "slack.com", 1))},
		"one of two is wrong": {own("wiki", wiki), own("notes", "connector: notes")},
		"two of one place":    {own("wiki", wiki), own("notes", strings.Replace(wiki, "connector: wiki", "connector: notes", 1))},
	} {
		var s services
		c, err := s.of(own)
		if err == nil || c != nil {
			t.Errorf("%s: used", name)
			continue
		}
		if text := text(err); strings.ContainsAny(text, "\n\r") {
			t.Errorf("%s: %q is not one line", name, text)
		}
	}
}

// A connector of the organization's own is in the snapshot; it stays the same while its definition does; another ends
// what was begun; one that cannot be used denies everything and says why.
func TestOwnConnectors(t *testing.T) {
	w := newWorld(t)
	watcher := w.active(nil)
	with := func(definition string, more func(*v1alpha1.ClawGrantSpec)) func(*v1alpha1.ClawGrantSpec) {
		return func(s *v1alpha1.ClawGrantSpec) {
			s.Connectors = []v1alpha1.GrantConnector{own("wiki", definition)}
			if more != nil {
				more(s)
			}
		}
	}
	knows := func(path string) bool {
		s := watcher.Current()
		if !s.Active() || s.Catalogue == nil {
			return false
		}
		site, ok := s.Catalogue.Find("wiki.acme.example", path)
		return ok && site.Connector.Name == "wiki"
	}
	before := watcher.Current()
	w.regrant(with(wiki, nil))
	w.eventually("the connector is known", func() bool { return knows("/api/x") })
	w.closed(before.Done)
	first := watcher.Current()

	w.regrant(with(wiki, func(s *v1alpha1.ClawGrantSpec) { s.AgentIPs = append(s.AgentIPs, "10.0.0.2") }))
	w.eventually("the address is known", func() bool { return len(watcher.Current().Grant.AgentIPs) == 2 })
	if now := watcher.Current(); now.Catalogue != first.Catalogue || now.Done != first.Done {
		t.Error("a connector that has not changed is another")
	}

	w.regrant(with(strings.Replace(wiki, "base: /api", "base: /v2", 1), nil))
	w.eventually("the connector has changed", func() bool { return knows("/v2/x") && !knows("/api/x") })
	w.closed(first.Done)
	second := watcher.Current()

	w.regrant(with("connector: wiki", nil))
	w.eventually("everything is denied", func() bool { return !watcher.Current().Active() })
	w.closed(second.Done)
	if reason := watcher.Current().Reason; !strings.HasPrefix(reason, "the ClawGrant's connector wiki cannot be used: ") {
		t.Errorf("the reason is %q", reason)
	}
	w.regrant(with(wiki, nil))
	w.eventually("the grant is in force again", func() bool { return knows("/api/x") })
}
