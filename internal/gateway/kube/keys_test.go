package kube

import (
	"crypto/x509"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/clawstaff/clawstaff/internal/pki"
)

func TestParseKeys(t *testing.T) {
	ca, err := pki.NewCA("test", time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	other, err := pki.NewCA("other", time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.Issue(time.Now(), time.Hour, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	good := map[string][]byte{
		"ca.crt": ca.Cert, "ca.key": ca.Key, "proxy-password": []byte("p"), "resign-secret": []byte("r"),
		"credential.slack-key.botToken": []byte("xoxb"), "credential.slack-key.signingSecret": nil, "credential.nothing": []byte("x"), "stray": []byte("x"),
	}
	with := func(name string, value []byte) map[string][]byte {
		data := maps.Clone(good)
		data[name] = value
		return data
	}
	tests := map[string]struct {
		data map[string][]byte
		kind string // of the Secret; the right one where empty
		says string // empty: it is taken
	}{
		"good":                      {data: good},
		"roots of the organization": {data: with("upstream-ca.crt", other.Cert)},
		"another type":              {data: good, kind: "Opaque", says: "type"},
		"no password":               {data: with("proxy-password", nil), says: "proxy-password"},
		"no signing secret":         {data: with("resign-secret", nil), says: "resign-secret"},
		"no authority":              {data: with("ca.crt", nil), says: "ca.crt"},
		"no key":                    {data: with("ca.key", nil), says: "ca.key"},
		"another's key":             {data: with("ca.key", other.Key), says: "ca.key"},
		"a leaf for an authority":   {data: func() map[string][]byte { d := with("ca.crt", leaf.Cert); d["ca.key"] = leaf.Key; return d }(), says: "authority"},
		"a key that is none":        {data: with("ca.key", ca.Cert), says: "private key"},
		"roots that are none":       {data: with("upstream-ca.crt", []byte("x")), says: "upstream-ca.crt"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			kind := tt.kind
			if kind == "" {
				kind = secretType
			}
			raw, err := json.Marshal(map[string]any{"type": kind, "data": tt.data})
			if err != nil {
				t.Fatal(err)
			}
			k, err := parseKeys(raw, x509.NewCertPool())
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("got %v", err)
			}
			if err == nil && (len(k.credentials) != 1 || len(k.credentials["slack-key"]) != 1 || string(k.credentials["slack-key"]["botToken"].Reveal()) != "xoxb") {
				t.Errorf("got %v", k.credentials)
			}
		})
	}
	if _, err := parseKeys([]byte(`{"data":{"proxy-password":"hunter2"`), x509.NewCertPool()); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}
