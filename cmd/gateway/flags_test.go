package main

import (
	"strings"
	"testing"
)

func TestParseOptions(t *testing.T) {
	t.Setenv("POD_NAME", "pod")
	t.Setenv("POD_UID", "1")
	claw := "--namespace=acme --claw=triage --claw-uid=2"
	for name, tc := range map[string]struct{ args, err string }{
		"fine":                   {claw + " --service-address=10.96.0.7 --resolve slack.com=10.0.0.1:8443 --resolve api.openai.com=[fd00::1]:443", ""},
		"no Claw":                {"--namespace=acme", "are needed"},
		"argument":               {claw + " x", "unexpected"},
		"unknown flag":           {claw + " --listen=:1", "not defined"},
		"override without port":  {claw + " --resolve slack.com=10.0.0.1", "HOST=IP:PORT"},
		"override of a stranger": {claw + " --resolve evil.example=10.0.0.1:443", "not the host of a connector"},
		"address that is none":   {claw + " --service-address=None", "not an IP address"},
		"address with a zone":    {claw + " --service-address=fe80::1%eth0", "not an IP address"},
		"override twice":         {claw + " --resolve slack.com=10.0.0.1:443 --resolve slack.com=10.0.0.2:443", "already"},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := parseOptions(strings.Fields(tc.args))
			if (tc.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Fatalf("got %v, want %q", err, tc.err)
			}
			if err == nil && (o.podName != "pod" || o.podUID != "1" || len(o.overrides) != 2 || o.address.String() != "10.96.0.7") {
				t.Errorf("options %+v", o)
			}
		})
	}
}
