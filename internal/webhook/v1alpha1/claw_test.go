package v1alpha1

import (
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// refusal checks an answer: the whole of what the webhook says, so that nobody has to guess what is said.
func refusal(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	if err == nil {
		t.Fatal("not refused")
	}
	_, got, ok := strings.Cut(err.Error(), " denied the request: ")
	if !ok {
		t.Fatalf("not refused by the webhook: %v", err)
	}
	if got != want {
		t.Errorf("message:\n got %s\nwant %s", got, want)
	}
}

const (
	fix       = ": ask for what is allowed, or have security allow more"
	notOwner  = `spec.owner: Forbidden: asked by user %q, who is not %q: a Claw is written by its owner; `
	assigned  = `, or have it written by somebody who may assign owners.assign.clawstaff.dev in namespace "acme"`
	nobody    = `no member of ClawOrganization "acme" has this username: have the platform add it to kubernetes of one in its directory`
	pasted    = ` (not repeated here): everybody who may read the object would read it, and it would stay in etcd and in git. Put it into a Secret of type clawstaff.dev/credential that a ClawCredential names; and replace it at the provider, because it has been sent in the open`
	invalid   = `Claw.clawstaff.dev "triage" is invalid: `
	deniedFix = ` denies it or part of it, and a denial wins over every allow: remove it, ask for less, or have security change that policy`
)

func notOwnerMessage(user, owner string) string {
	who := nobody
	if user == sarah || user == lee {
		who = fmt.Sprintf("you are %q: set spec.owner to that", user)
	}
	return fmt.Sprintf(notOwner, user, owner) + who + assigned
}

func TestCreateClaw(t *testing.T) {
	for _, tt := range []struct {
		name   string
		user   string
		mutate func(*v1alpha1.Claw)
		want   string
	}{
		{name: "its owner", user: sarah},
		{name: "another member", user: lee, want: invalid + notOwnerMessage(lee, sarah)},
		{name: "a stranger", user: stranger, want: invalid + notOwnerMessage(stranger, sarah)},
		{name: "whoever may assign owners", user: gitops},
		{name: "a cluster administrator", user: admin},
		{name: "the manager, which has no business creating Claws", user: "system:serviceaccount:clawstaff-system:clawstaff-manager",
			want: invalid + notOwnerMessage("system:serviceaccount:clawstaff-system:clawstaff-manager", sarah)},
		{name: "no cage", user: sarah, mutate: func(c *v1alpha1.Claw) { c.Namespace = "open" },
			want: invalid + `metadata.namespace: Forbidden: namespace "open" is no organization's cage: create the Claw in the namespace of a ClawOrganization, or have the platform create a ClawOrganization with spec.namespace "open"`},
		{name: "a namespace that only says it is a cage", user: sarah, mutate: func(c *v1alpha1.Claw) { c.Namespace = "pretender" },
			want: invalid + `metadata.namespace: Forbidden: namespace "pretender" is no organization's cage: create the Claw in the namespace of a ClawOrganization, or have the platform create a ClawOrganization with spec.namespace "pretender"`},
		{name: "Kubernetes' own namespace", user: admin, mutate: func(c *v1alpha1.Claw) { c.Namespace = "kube-system" },
			want: invalid + `metadata.namespace: Forbidden: namespace "kube-system" is no organization's cage: create the Claw in the namespace of a ClawOrganization`},
		{name: "an owner who is no member", user: gitops, mutate: func(c *v1alpha1.Claw) { c.Spec.Owner = "eve@other.example" },
			want: invalid + `[spec.owner: Forbidden: "eve@other.example" is no member of ClawOrganization "acme": name one of spec.members, or have the platform add them there, ` +
				`spec.visibility: Forbidden: asked for visibility Team; ` + noPolicy + `, ` +
				`spec.channels[0].channels[0]: Forbidden: asked for slack channel "C0SUPPORT"; ` + noPolicy + `, ` +
				`spec.channels[0].users[0]: Forbidden: asked for slack user "*"; ` + noPolicy + `, ` +
				`spec.tools[0].actions[0]: Forbidden: asked for slack action Read; ` + noPolicy + `, ` +
				`spec.tools[0].resources[0].names[0]: Forbidden: asked for slack user "*"; ` + noPolicy + `, ` +
				`spec.models[0].models[0]: Forbidden: asked for anthropic model "claude-sonnet-5"; ` + noPolicy + `]`},
		{name: "a team the owner is not in", user: sarah, mutate: func(c *v1alpha1.Claw) { c.Spec.Teams = []v1alpha1.TeamName{"sales"} },
			want: invalid + `spec.teams[0]: Forbidden: owner "sarah@acme.example" is not in team "sales" of ClawOrganization "acme": name a team they are in, or have the platform add them to it`},
		{name: "an unknown connector", user: sarah, mutate: func(c *v1alpha1.Claw) { c.Spec.Tools[0].Connector = "slak" },
			want: invalid + `spec.tools[0].connector: Forbidden: asked for connector "slak"; the catalogue has no such connector: correct the name`},
		{name: "out of scope in every way", user: sarah, mutate: func(c *v1alpha1.Claw) {
			c.Spec.Visibility, c.Spec.Teams = v1alpha1.VisibilityOrganization, nil
			c.Spec.Channels[0].Channels = []v1alpha1.Pattern{"C0SUPPORT", "C0BOARD"}
			c.Spec.Tools[0].Actions = []v1alpha1.Action{v1alpha1.ActionRead, v1alpha1.ActionDelete, v1alpha1.ActionAdmin}
			c.Spec.Models[0].Models = []v1alpha1.Pattern{"*"}
		}, want: invalid + `[spec.visibility: Forbidden: asked for visibility Organization; allowed visibility: Team (by support-agents)` + fix + `, ` +
			`spec.channels[0].channels[1]: Forbidden: asked for slack channel "C0BOARD"; allowed slack channels: C0SUPPORT, C0TRIAGE (by support-agents)` + fix + `, ` +
			`spec.tools[0].actions[1]: Forbidden: asked for slack action Delete; ClawPolicy "support-agents"` + deniedFix + `, ` +
			`spec.tools[0].actions[2]: Forbidden: asked for slack action Admin; allowed slack actions: Read, Write (by support-agents)` + fix + `, ` +
			`spec.models[0].models[0]: Forbidden: asked for anthropic model "*"; allowed anthropic models: claude-* (by support-agents)` + fix + `]`},
		{name: "empty lists, which stand for nobody", user: sarah, mutate: func(c *v1alpha1.Claw) { c.Spec.Channels[0].Users = nil }},
		{name: "reserved keys", user: sarah, mutate: func(c *v1alpha1.Claw) {
			c.Labels = map[string]string{"clawstaff.dev/claw": "other", "team": "a", "x.clawstaff.dev/y": "z", "notclawstaff.dev/a": "b"}
			c.Annotations = map[string]string{"clawstaff.dev/anything": "x"}
		}, want: invalid + `[metadata.labels[clawstaff.dev/claw]: Forbidden: keys under clawstaff.dev/ are the operator's: leave this one as it was, ` +
			`metadata.labels[x.clawstaff.dev/y]: Forbidden: keys under clawstaff.dev/ are the operator's: leave this one as it was, ` +
			`metadata.annotations[clawstaff.dev/anything]: Forbidden: keys under clawstaff.dev/ are the operator's: leave this one as it was]`},
		{name: "keys pasted into the spec", user: sarah, mutate: func(c *v1alpha1.Claw) {
			c.Spec.Purpose = "Uses " + fake("ghp_", 36) + " to triage."
			c.Spec.Runtime.Container.Env = []v1alpha1.EnvVar{{Name: "A", Value: "xoxb-claw-placeholder"}, {Name: "B", Value: fake("sk-ant-", 40)}}
		}, want: invalid + `[spec.purpose: Forbidden: this looks like a GitHub token` + pasted + `, spec.runtime.container.env[1].value: Forbidden: this looks like an Anthropic key` + pasted + `]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := claw()
			if tt.mutate != nil {
				tt.mutate(c)
			}
			refusal(t, as(tt.user).Create(t.Context(), c, client.DryRunAll), tt.want)
		})
	}
}

const noPolicy = `no ClawPolicy selects this Claw, so nothing is allowed: have security write one that selects it, its owner, or a team of its owner`

// fake makes a text of the shape of a key that is none.
func fake(prefix string, n int) string { return prefix + strings.Repeat("x", n) }

func TestClawsBeyondTheQuota(t *testing.T) {
	small := func(name string) *v1alpha1.Claw {
		return claw(func(c *v1alpha1.Claw) { c.Name, c.Namespace = name, "small" })
	}
	first := small("first")
	if err := as(sarah).Create(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	// The cache may not have the first one yet; the second is judged by what the API server has before it is
	// refused, so it is refused sooner or later and never for a wrong reason.
	const want = `Claw.clawstaff.dev "second" is invalid: metadata.name: Forbidden: ClawOrganization "small" has 1 Claws and its spec.quota.claws is 1: delete a Claw, revoked ones included, or have the platform raise the quota`
	var err error
	_ = until(t.Context(), func() error {
		if err = as(sarah).Create(t.Context(), small("second"), client.DryRunAll); err == nil {
			return errNotYet
		}
		return nil
	})
	refusal(t, err, want)
	first.Spec.Purpose = "Something else."
	refusal(t, as(sarah).Update(t.Context(), first, client.DryRunAll), "")
}
