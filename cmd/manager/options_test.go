package main

import (
	"strings"
	"testing"

	"github.com/clawstaff/clawstaff/internal/connector"
)

func TestParseOptions(t *testing.T) {
	catalogue, err := connector.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	needed := []string{"--operator-namespace=ns", "--gateway-image=gw", "--ledger-url=https://ledger:4318"}
	o, err := parseOptions(append(needed,
		"--resolve=slack.com=10.0.0.1:8443", "--probe-outside=198.51.100.66:443", "--probe-outside=[2001:db8::1]:443",
		`--gateway-resources={"limits":{"memory":"96Mi"}}`, `--inbound-from=[{"namespaceSelector":{"matchLabels":{"a":"b"}}}]`), catalogue)
	if err != nil {
		t.Fatal(err)
	}
	if len(o.outside) != 2 || len(o.settings.Resolve) != 1 || len(o.settings.InboundFrom) != 1 || o.settings.GatewayResources.Limits.Memory().Value() != 96<<20 {
		t.Errorf("got %+v", o)
	}
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"nothing":             {nil, "needed"},
		"plain ledger":        {[]string{"--operator-namespace=ns", "--gateway-image=gw", "--ledger-url=http://ledger"}, "https"},
		"unknown argument":    {append(needed, "more"), `"more"`},
		"resolve, no port":    {append(needed, "--resolve=slack.com=10.0.0.1"), "HOST=IP:PORT"},
		"resolve, a stranger": {append(needed, "--resolve=evil.example=10.0.0.1:443"), "evil.example"},
		"outside, a name":     {append(needed, "--probe-outside=example.com:443"), "IP:PORT"},
		"resources, unknown":  {append(needed, `--gateway-resources={"limit":{}}`), "limit"},
		"inbound, empty":      {append(needed, `--inbound-from=[{}]`), "empty peer"},
		"pull policy":         {append(needed, "--image-pull-policy=Sometimes"), "Sometimes"},
	} {
		if _, err := parseOptions(c.args, catalogue); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want something about %q", name, err, c.says)
		}
	}
}
