package gateway

import (
	"testing"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
	"github.com/clawstaff/clawstaff/internal/secret"
)

const ownKey = "svc-real-24680-zyxwvu"

// serviceHead is a service of the tests' own, without operations. It is at a host for which the provider has a certificate.
const serviceHead = `
connector: svc
hosts: [{host: slack.com, base: /v1}]
denial: Problem
slots: {key: {use: Inject, header: Authorization, format: "Bearer {{value}}", env: SVC_KEY, placeholder: svc-claw-placeholder}}
headers: [x-note]
resources:
  thing: {shape: '[a-z0-9.-]{1,64}'}
  channel: {shape: '[A-Z0-9]{1,16}'}
  model: {shape: '[a-z0-9.-]{1,64}'}
operations:
`

// service has the world know that service alone, with a grant to read and write the things that begin with "a", hear in
// channel C1, and ask models that begin with "m".
func service(t testing.TB, operations string) option {
	return serviceWith(t, serviceHead+operations, ownKey)
}

func serviceWith(t testing.TB, definition, key string) option {
	t.Helper()
	catalogue, err := connector.Load(map[string][]byte{"svc.yaml": []byte(definition)})
	if err != nil {
		t.Fatal(err)
	}
	return func(c *Config, s *state.Snapshot) {
		c.Catalogue = catalogue
		g := s.Grant
		g.Credentials = []v1alpha1.GrantCredential{{Name: "svc", Connector: "svc", Slots: []string{"key"}}}
		g.Audience = []v1alpha1.GrantAudience{{Connector: "svc", Principals: []string{"sarah"}}}
		g.Channels = []v1alpha1.ChannelRequest{{
			ChannelRule: v1alpha1.ChannelRule{Connector: "svc", Channels: []v1alpha1.Pattern{"C1"}, Users: []v1alpha1.Pattern{"*"}}, Credential: "svc",
		}}
		g.Tools = []v1alpha1.ToolRequest{{
			ToolRule: v1alpha1.ToolRule{
				Connector: "svc", Actions: []v1alpha1.Action{v1alpha1.ActionRead, v1alpha1.ActionWrite},
				Resources: []v1alpha1.ResourceScope{{Type: "thing", Names: []v1alpha1.Pattern{"a*"}}},
			}, Credential: "svc",
		}}
		g.Models = []v1alpha1.ModelRequest{{ModelRule: v1alpha1.ModelRule{Connector: "svc", Models: []v1alpha1.Pattern{"m*"}}, Credential: "svc"}}
		s.Keys = map[string]map[string]secret.Value{"svc": {"key": secret.New([]byte(key))}}
	}
}
