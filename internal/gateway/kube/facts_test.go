package kube

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// TestAGrantOfALaterVersionDenies: a field this gateway does not know may be one that forbids.
func TestAGrantOfALaterVersionDenies(t *testing.T) {
	claw := audit.ClawRef{UID: "u"}
	spec := v1alpha1.ClawGrantSpec{ClawUID: "u", State: v1alpha1.GrantActive, Visibility: v1alpha1.VisibilityPrivate,
		Models: []v1alpha1.ModelRequest{{ModelRule: v1alpha1.ModelRule{Connector: "anthropic"}, Credential: "c"}}}
	spec.Hash = policy.Hash(&spec)
	good, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		spec string
		says string // empty: it is taken
	}{
		"as it is":           {spec: string(good)},
		"a field":            {spec: strings.Replace(string(good), `{`, `{"limits":{},`, 1), says: `unknown field "limits"`},
		"a field deep in it": {spec: strings.Replace(string(good), `"credential":"c"`, `"credential":"c","schedule":{}`, 1), says: `unknown field "models[0].schedule"`},
		"another case":       {spec: strings.Replace(string(good), `"state"`, `"State"`, 1), says: "unknown field"},
		"a field twice":      {spec: strings.Replace(string(good), `{`, `{"state":"Stopped",`, 1), says: "duplicate field"},
		"a state":            {spec: strings.Replace(string(good), `"Active"`, `"Paused"`, 1), says: `state "Paused" is not known`},
		"another type":       {spec: strings.Replace(string(good), `"Active"`, `1`, 1), says: "cannot be read"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := &object{raw: []byte(`{"spec":` + tt.spec + `}`)}
			_, err := parseGrant(o, claw)
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAClawOfALaterVersionDenies(t *testing.T) {
	o := &object{raw: []byte(`{"spec":{"state":"Suspended"}}`)}
	o.meta.UID = "u"
	if _, err := parseClaw(o, audit.ClawRef{UID: "u"}); err == nil {
		t.Error("an unknown state was taken")
	}
}

func FuzzParseGrant(f *testing.F) {
	f.Add([]byte(`{"metadata":{"uid":"g","resourceVersion":"1"},"spec":{"clawUID":"u","state":"Active"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := parseObject(raw)
		if err != nil {
			return
		}
		g, err := parseGrant(o, audit.ClawRef{UID: "u"})
		if err == nil && g.spec.Hash != policy.Hash(g.spec) {
			t.Error("a grant without its hash was taken")
		}
	})
}
