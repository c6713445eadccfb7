package kube

import (
	"encoding/json"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
		"a field":            {spec: strings.Replace(string(good), `{`, `{"budget":{},`, 1), says: `unknown field "budget"`},
		"a limit":            {spec: strings.Replace(string(good), `{`, `{"limits":{"tokensPerMinute":1},`, 1), says: `unknown field "limits.tokensPerMinute"`},
		"of a schedule":      {spec: strings.Replace(string(good), `{`, `{"schedules":[{"holidays":"DE"}],`, 1), says: `unknown field "schedules[0].holidays"`},
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

// TestGrantContent: all there is in a grant today is taken, and values that are none are not.
func TestGrantContent(t *testing.T) {
	expires := metav1.Now().Rfc3339Copy()
	for name, tt := range map[string]struct {
		change func(*v1alpha1.ClawGrantSpec)
		says   string // empty: it is taken
	}{
		"schedules":          {func(s *v1alpha1.ClawGrantSpec) { s.Schedules = []v1alpha1.Schedule{{TimeZone: "UTC"}} }, ""},
		"an end":             {func(s *v1alpha1.ClawGrantSpec) { s.ExpiresAt = &expires }, ""},
		"a limit":            {func(s *v1alpha1.ClawGrantSpec) { s.Limits.RequestsPerMinute = 1 }, ""},
		"a limit below none": {func(s *v1alpha1.ClawGrantSpec) { s.Limits.RequestsPerMinute = -1 }, "limits are invalid"},
		"correspondents": {func(s *v1alpha1.ClawGrantSpec) {
			s.Channels[0].Correspondents.Domains = []v1alpha1.Domain{"acme.example"}
		}, ""},
		"a tool's schedule":        {func(s *v1alpha1.ClawGrantSpec) { s.Tools[0].Schedule = &v1alpha1.Schedule{TimeZone: "UTC"} }, ""},
		"delivery by the gateway":  {func(s *v1alpha1.ClawGrantSpec) { s.Credentials[0].Delivery = v1alpha1.DeliveryGateway }, ""},
		"delivery to the agent":    {func(s *v1alpha1.ClawGrantSpec) { s.Credentials[0].Delivery = v1alpha1.DeliveryContainer }, ""},
		"a delivery of tomorrow":   {func(s *v1alpha1.ClawGrantSpec) { s.Credentials[0].Delivery = "Pigeon" }, `delivery "Pigeon" is not known`},
		"a content not its hash's": {func(s *v1alpha1.ClawGrantSpec) { s.Hash = "another" }, "hash"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := v1alpha1.ClawGrantSpec{ClawUID: "u", State: v1alpha1.GrantActive, Visibility: v1alpha1.VisibilityPrivate,
				Channels: make([]v1alpha1.ChannelRequest, 1), Tools: make([]v1alpha1.ToolRequest, 1), Credentials: make([]v1alpha1.GrantCredential, 1)}
			tt.change(&spec)
			if spec.Hash == "" {
				spec.Hash = policy.Hash(&spec)
			}
			raw, err := json.Marshal(map[string]any{"spec": spec})
			if err != nil {
				t.Fatal(err)
			}
			_, err = parseGrant(&object{raw: raw}, audit.ClawRef{UID: "u"})
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestDeliveryMakesNoDifference: whoever else holds a key, the gateway puts it in.
func TestDeliveryMakesNoDifference(t *testing.T) {
	for delivery, want := range map[string]bool{"": true, `"delivery":"Gateway",`: true, `"delivery":"Container",`: true, `"delivery":"Pigeon",`: false} {
		o := &object{raw: []byte(`{"spec":{` + delivery + `"claw":{"name":"triage"},"connector":"slack"}}`)}
		if got := usable(o, audit.ClawRef{Name: "triage", UID: "u"}, "slack"); got != want {
			t.Errorf("%s: %v", delivery, got)
		}
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
