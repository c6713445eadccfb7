package v1alpha1

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

const ofWise = `Claw.clawstaff.dev "wise" is invalid: `

// A credential that is there and does not fit is refused where it is asked for; whose it is, is not told.
func TestCredentialsThatDoNotFit(t *testing.T) {
	const another = `name one of this Claw, or create another ClawCredential with spec.claw.name "wise", spec.claw.owner "sarah@acme.example" and spec.connector slack`
	names := func(name v1alpha1.ObjectName) func(*v1alpha1.Claw) {
		return func(c *v1alpha1.Claw) { c.Spec.Channels[0].Credential = name }
	}
	for _, tt := range []struct {
		name   string
		mutate func(*v1alpha1.Claw)
		want   string
	}{
		{"its own", func(*v1alpha1.Claw) {}, ""},
		{"none yet", names("later"), ""},
		{"another Claw's", names("of-another-claw"),
			`spec.channels[0].credential: Forbidden: ClawCredential "of-another-claw" is for another Claw, and a key is one Claw's: ` + another},
		{"another owner's", names("of-another-owner"),
			`spec.channels[0].credential: Forbidden: ClawCredential "of-another-owner" is for a Claw of this name of another owner than "sarah@acme.example": ` + another},
		{"of another connector", names("wise-anthropic"),
			`spec.channels[0].credential: Forbidden: ClawCredential "wise-anthropic" is for connector anthropic and this entry is of slack: ` + another},
		{"a revoked one", names("revoked"),
			`spec.channels[0].credential: Forbidden: ClawCredential "revoked" is Revoked, which is for ever: ` + another + `, with a new key`},
		{"a shared one", names("shared"),
			`spec.channels[0].credential: Forbidden: ClawCredential "shared" holds a key that another Claw has already, and a key is one Claw's: put a key of its own into its source`},
		{"in every entry", func(c *v1alpha1.Claw) {
			names("revoked")(c)
			c.Spec.Tools[0].Credential = "shared"
		}, `[spec.channels[0].credential: Forbidden: ClawCredential "revoked" is Revoked, which is for ever: ` + another + `, with a new key, ` +
			`spec.tools[0].credential: Forbidden: ClawCredential "shared" holds a key that another Claw has already, and a key is one Claw's: put a key of its own into its source]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.want
			if want != "" {
				want = ofWise + want
			}
			refusal(t, as(sarah).Create(t.Context(), wise(tt.mutate), client.DryRunAll), want)
		})
	}
}

func TestTimesOfAClaw(t *testing.T) {
	const zone = `"Mars/Base" is no zone of the IANA database: write one such as Europe/Berlin or UTC`
	past := metav1.NewTime(time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC))
	mars := &v1alpha1.Schedule{TimeZone: "Mars/Base", Windows: []v1alpha1.Window{{Days: []v1alpha1.Day{"Mon"}, Start: "08:00", End: "18:00"}}}
	refusal(t, as(sarah).Create(t.Context(), wise(func(c *v1alpha1.Claw) { c.Spec.ExpiresAt = &past }), client.DryRunAll),
		ofWise+`spec.expiresAt: Forbidden: asked for 2020-01-02T03:04:05Z, which is past: name a time to come, or revoke the Claw by setting spec.state to Revoked`)
	err := as(sarah).Create(t.Context(), wise(func(c *v1alpha1.Claw) { c.Spec.Schedule, c.Spec.Tools[0].Schedule = &v1alpha1.ClawSchedule{Schedule: *mars}, mars }), client.DryRunAll)
	refusal(t, err, ofWise+`[spec.schedule.timeZone: Forbidden: `+zone+`, spec.tools[0].schedule.timeZone: Forbidden: `+zone+`]`)
}

// An end that has come is the past of a Claw that was good once: what else is changed is not refused for it.
func TestAnEndThatHasComeCanStay(t *testing.T) {
	soon := metav1.NewTime(time.Now().Add(1500 * time.Millisecond))
	c := wise(func(c *v1alpha1.Claw) { c.Name, c.Spec.ExpiresAt = "ending", &soon })
	c.Spec.Channels, c.Spec.Tools, c.Spec.Models = nil, nil, nil
	if err := as(sarah).Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := as(admin).Delete(t.Context(), c); err != nil {
			t.Error(err)
		}
	}()
	change := func(patch string) error {
		return as(sarah).Patch(t.Context(), c.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch)), client.DryRunAll)
	}
	if err := until(t.Context(), func() error {
		if time.Now().After(soon.Time) {
			return nil
		}
		return errNotYet
	}); err != nil {
		t.Fatal(err)
	}
	refusal(t, change(`{"spec":{"purpose":"Another."}}`), "")
	refusal(t, change(`{"spec":{"expiresAt":"2020-01-01T00:00:00Z"}}`),
		`Claw.clawstaff.dev "ending" is invalid: spec.expiresAt: Forbidden: asked for 2020-01-01T00:00:00Z, which is past: name a time to come, or revoke the Claw by setting spec.state to Revoked`)
}

// A Revoked object is frozen by its schema, whoever asks.
func TestRevokedIsFinal(t *testing.T) {
	c := wise(func(c *v1alpha1.Claw) { c.Name, c.Spec.State = "over", v1alpha1.ClawRevoked })
	c.Spec.Channels, c.Spec.Tools, c.Spec.Models = nil, nil, nil
	if err := as(sarah).Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := as(admin).Delete(t.Context(), c); err != nil {
			t.Error(err)
		}
	}()
	err := as(admin).Patch(t.Context(), c.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"state":"Active"}}`)), client.DryRunAll)
	const want = `Claw.clawstaff.dev "over" is invalid: spec: Invalid value: a Revoked Claw is final and can only be deleted: create another Claw`
	if err == nil || err.Error() != want {
		t.Errorf("message:\n got %v\nwant %s", err, want)
	}
	refusal(t, as(sarah).Create(t.Context(), credential(func(c *v1alpha1.ClawCredential) { c.Name, c.Spec.Claw.Name = "late", "over" }), client.DryRunAll),
		`ClawCredential.clawstaff.dev "late" is invalid: spec.claw.name: Forbidden: Claw "over" is Revoked, and its credentials are revoked with it: name another Claw, or delete this one before its name is used again`)
}

func TestWhoWritesACredential(t *testing.T) {
	const (
		of      = `ClawCredential.clawstaff.dev "triage-slack" is invalid: `
		written = `a ClawCredential is written by the owner of its Claw; you are "lee@acme.example": set spec.claw.owner to that, or have it written by somebody who may assign owners.assign.clawstaff.dev in namespace "acme"`
		borrow  = `spec.source.secret.name: Forbidden: asked by user "lee@acme.example", who may neither read nor write Secret "triage-slack" in namespace "acme": a credential draws a key only for somebody who could reach it anyway. Have the key's owner write the ClawCredential, or lend the Secret to "sarah@acme.example" with the annotation clawstaff.dev/owner, or be given the verb get, update or patch on that Secret`
	)
	refusal(t, as(lee).Create(t.Context(), credential(), client.DryRunAll),
		of+`[spec.claw.owner: Forbidden: asked by user "lee@acme.example", who is not "sarah@acme.example": `+written+`, `+borrow+`]`)
	refusal(t, as(admin).Create(t.Context(), credential(func(c *v1alpha1.ClawCredential) { c.Spec.Claw.Owner = "eve" }), client.DryRunAll),
		of+`spec.claw.owner: Forbidden: "eve" is no member of ClawOrganization "acme": name one of its directory, or have the platform add them there`)
	lees := claw(func(c *v1alpha1.Claw) { c.Name, c.Spec.Owner = "of-lee", lee })
	if err := as(lee).Create(t.Context(), lees); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := as(admin).Delete(t.Context(), lees); err != nil {
			t.Error(err)
		}
	}()
	if err := until(t.Context(), func() error {
		err := as(sarah).Create(t.Context(), credential(func(c *v1alpha1.ClawCredential) { c.Spec.Claw.Name = "of-lee" }), client.DryRunAll)
		if err == nil {
			return errNotYet
		}
		refusal(t, err, of+`spec.claw.owner: Forbidden: Claw "of-lee" has another owner than "sarah@acme.example", and would not get the key: name a Claw of theirs`)
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// A Secret that names a member is lent to them, and to nobody else.
func TestLentSecrets(t *testing.T) {
	ctx := t.Context()
	for name, annotations := range map[string]map[string]string{
		"lent":         {v1alpha1.AnnotationCredential: "new", v1alpha1.AnnotationOwner: lee},
		"of-another":   {v1alpha1.AnnotationCredential: "somebody-elses"},
		"not-lent":     {v1alpha1.AnnotationCredential: "new"},
		"lent-to-eve":  {v1alpha1.AnnotationCredential: "new", v1alpha1.AnnotationOwner: "eve"},
		"lent-but-not": {v1alpha1.AnnotationCredential: "somebody-elses", v1alpha1.AnnotationOwner: lee},
	} {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "acme", Annotations: annotations}, Type: v1alpha1.SecretTypeCredential}
		if err := as(admin).Create(ctx, s); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = as(admin).Delete(context.Background(), s) })
	}
	const of, path = `ClawCredential.clawstaff.dev "new" is invalid: `, `spec.source.secret.name: Forbidden: `
	reach := func(user, secret, owner string) string {
		return of + path + `asked by user "` + user + `", who may neither read nor write Secret "` + secret + `" in namespace "acme": a credential draws a key only for somebody who could reach it anyway. Have the key's owner write the ClawCredential, or lend the Secret to "` + owner + `" with the annotation clawstaff.dev/owner, or be given the verb get, update or patch on that Secret`
	}
	for _, tt := range []struct {
		name, user, secret, owner, want string
	}{
		{"to whom it is lent", lee, "lent", lee, ""},
		{"by whom it can be read, for whom it is lent to", admin, "lent", lee, ""},
		{"by whom it can be read, for another", admin, "lent", sarah,
			of + path + `Secret "lent" is lent to "lee@acme.example" by its annotation clawstaff.dev/owner, and this credential is for a Claw of "sarah@acme.example": name a Secret of theirs, or change who it is lent to`},
		{"another member", sarah, "lent", sarah, reach(sarah, "lent", sarah)},
		{"one who may assign owners and reads no Secrets", gitops, "lent", lee, reach(gitops, "lent", lee)},
		{"lent to nobody", lee, "not-lent", lee, reach(lee, "not-lent", lee)},
		{"lent to another", lee, "lent-to-eve", lee, reach(lee, "lent-to-eve", lee)},
		{"not there, so that nobody can have lent it", lee, "later", lee, reach(lee, "later", lee)},
		{"another credential's", admin, "of-another", sarah,
			of + path + `Secret "of-another" is ClawCredential "somebody-elses"'s already, by its annotation clawstaff.dev/credential: name another Secret, or change the annotation first`},
		{"lent, and another credential's", lee, "lent-but-not", lee,
			of + path + `Secret "lent-but-not" is ClawCredential "somebody-elses"'s already, by its annotation clawstaff.dev/credential: name another Secret, or change the annotation first`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := credential(func(c *v1alpha1.ClawCredential) {
				c.Name, c.Spec.Claw = "new", v1alpha1.CredentialClaw{Name: "mine", Owner: v1alpha1.MemberName(tt.owner)}
				c.Spec.Source.Secret.Name = v1alpha1.ObjectName(tt.secret)
			})
			refusal(t, as(tt.user).Create(ctx, c, client.DryRunAll), tt.want)
		})
	}
}

func TestSchedulesOfPolicies(t *testing.T) {
	const zone = `"Mars/Base" is no zone of the IANA database: write one such as Europe/Berlin or UTC`
	mars := &v1alpha1.Schedule{TimeZone: "Mars/Base", Windows: []v1alpha1.Window{{Days: []v1alpha1.Day{"Mon"}, Start: "08:00", End: "18:00"}}}
	refusal(t, as(admin).Create(t.Context(), clawPolicy("acme", func(p *v1alpha1.ClawPolicy) { p.Name, p.Spec.Require.Schedule = "new", mars }), client.DryRunAll),
		`ClawPolicy.clawstaff.dev "new" is invalid: spec.require.schedule.timeZone: Forbidden: `+zone)
	refusal(t, as(admin).Create(t.Context(), organization("new", func(o *v1alpha1.ClawOrganization) {
		o.Spec.Baseline.Require.Schedule = mars
		o.Spec.Baseline.Deny.Tools = []v1alpha1.ToolRule{{Connector: "githb"}}
	}), client.DryRunAll),
		`ClawOrganization.clawstaff.dev "new" is invalid: [spec.baseline.deny.tools[0].connector: Forbidden: the catalogue has no connector "githb"; it has anthropic, openai, slack, `+
			`spec.baseline.require.schedule.timeZone: Forbidden: `+zone+`]`)
}
