package v1alpha1

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
)

// create makes objects that are gone when the test is.
func create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, obj := range objects {
		if err := as(admin).Create(t.Context(), obj); err != nil {
			t.Fatalf("create %s: %v", obj.GetName(), err)
		}
		t.Cleanup(func() { _ = client.IgnoreNotFound(as(admin).Delete(context.Background(), obj)) })
	}
}

// A spec as large as can be stored is judged like any other, in every way it can be asked about.
func TestSpecOfAMegabyte(t *testing.T) {
	ctx := t.Context()
	large := claw(func(c *v1alpha1.Claw) {
		c.Name = "large"
		for i := range 128 {
			c.Spec.Runtime.Container.Env = append(c.Spec.Runtime.Container.Env, v1alpha1.EnvVar{Name: fmt.Sprintf("V%d", i), Value: strings.Repeat("a b-", 1024)})
		}
		for range 64 {
			c.Spec.Runtime.Container.Command = append(c.Spec.Runtime.Container.Command, strings.Repeat("sk-x ", 1600))
		}
	})
	create(t, large)
	for name, patch := range map[string]string{
		"its purpose": `{"spec":{"purpose":"Another."}}`, "a label": `{"metadata":{"labels":{"a":"b"}}}`, "revoked": `{"spec":{"state":"Revoked"}}`,
	} {
		if err := as(sarah).Patch(ctx, large.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch)), client.DryRunAll); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Thousands of things that are wrong are told in one answer, and not all of them.
	keys := claw(func(c *v1alpha1.Claw) {
		for range 64 {
			c.Spec.Runtime.Container.Command = append(c.Spec.Runtime.Container.Command, fake("ghp_", 36))
		}
		for i := range 64 {
			c.Spec.Runtime.Container.Env = append(c.Spec.Runtime.Container.Env, v1alpha1.EnvVar{Name: fmt.Sprintf("V%d", i), Value: fake("ghp_", 36)})
		}
	})
	err := as(sarah).Create(ctx, keys, client.DryRunAll)
	if err == nil || !strings.HasSuffix(err.Error(), `spec: Forbidden: and 64 more like these: mend these first to see the rest]`) {
		t.Errorf("128 keys: %.300v", err)
	}
}

// people makes a directory of 10,000 members in ten files, the first thousand in the spec.
func people(t *testing.T, mutate func(*v1alpha1.ClawOrganization)) *v1alpha1.ClawOrganization {
	t.Helper()
	name := func(f, i int) string { return fmt.Sprintf("m%d-%d@large.example", f, i) }
	org := organization("large", func(o *v1alpha1.ClawOrganization) { o.Spec.Teams[0].Members = []v1alpha1.MemberName{sarah} })
	for i := range 990 {
		org.Spec.Members = append(org.Spec.Members, v1alpha1.Member{Name: v1alpha1.MemberName(name(0, i)),
			Identities: map[string][]string{"slack": {fmt.Sprintf("T01/U0-%d", i)}}, Kubernetes: []string{name(0, i)}})
	}
	for f := range 9 {
		var b strings.Builder
		b.WriteString("members:\n")
		for i := range 1000 {
			fmt.Fprintf(&b, "- {name: %s, identities: {slack: [T01/U%d-%d]}, kubernetes: [%s]}\n", name(f+1, i), f+1, i, name(f+1, i))
		}
		fmt.Fprintf(&b, "teams: [{name: support, members: [%s]}]\n", name(f+1, 7))
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("large-%d", f), Namespace: chart.Namespace}, Data: map[string]string{"members.yaml": b.String()}}
		create(t, cm)
		org.Spec.DirectoryRefs = append(org.Spec.DirectoryRefs, v1alpha1.ConfigMapReference{ConfigMap: v1alpha1.ObjectName(cm.Name)})
	}
	mutate(org)
	return org
}

func TestTenThousandMembers(t *testing.T) {
	ctx := t.Context()
	org := people(t, func(*v1alpha1.ClawOrganization) {})
	create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "large", Labels: map[string]string{v1alpha1.LabelOrganization: "large"}}}, org, clawPolicy("large"))
	theirs := func(user string) *v1alpha1.Claw {
		return claw(func(c *v1alpha1.Claw) { c.Namespace, c.Spec.Owner = "large", v1alpha1.MemberName(user) })
	}
	// A member of a file owns a Claw like any other, and is held to their teams.
	refusal(t, as("m9-7@large.example").Create(ctx, theirs("m9-7@large.example"), client.DryRunAll), "")
	err := as("m9-8@large.example").Create(ctx, theirs("m9-8@large.example"), client.DryRunAll)
	if err == nil || !strings.Contains(err.Error(), `spec.teams[0]: Forbidden: owner "m9-8@large.example" is not in team "support" of ClawOrganization "large": `) {
		t.Errorf("somebody of no team: %v", err)
	}
	for name, patch := range map[string]string{
		"a label": `{"metadata":{"labels":{"a":"b"}}}`, "stopped": `{"spec":{"state":"Stopped"}}`, "a quota": `{"spec":{"quota":{"claws":5}}}`,
	} {
		start := time.Now()
		if err := as(stranger).Patch(ctx, org.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch)), client.DryRunAll); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("%s took %s: the API server waits 5 s", name, took)
		}
	}
}

// Who is claimed by two in files counts for nobody, and the organization is told; in a spec it is refused.
func TestContestedInFiles(t *testing.T) {
	ctx := t.Context()
	create(t,
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "contested", Namespace: chart.Namespace}, Data: map[string]string{
			"a.yaml": "members:\n- {name: kim, identities: {slack: [T01ACME/U01SARAH]}, kubernetes: [sarah@acme.example]}\n- {name: sam, role: boss}\n"}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "files", Labels: map[string]string{v1alpha1.LabelOrganization: "files"}}})
	org := organization("files", func(o *v1alpha1.ClawOrganization) {
		o.Spec.DirectoryRefs = []v1alpha1.ConfigMapReference{{ConfigMap: "contested"}}
	})
	warnings(t, org, []string{
		`spec.directoryRefs: contested/a.yaml: members[1] counts for nothing: unknown field "role"`,
		`spec.directoryRefs: Kubernetes username "sarah@acme.example" is claimed by kim and sarah@acme.example, so it is nobody's: leave it with one of them`,
		`spec.directoryRefs: slack identity "T01ACME/U01SARAH" is claimed by kim and sarah@acme.example, so it is nobody's: leave it with one of them`,
	})
	create(t, org, clawPolicy("files"))
	refusal(t, as(sarah).Create(ctx, claw(func(c *v1alpha1.Claw) { c.Namespace = "files" }), client.DryRunAll),
		`Claw.clawstaff.dev "triage" is invalid: spec.owner: Forbidden: asked by user "sarah@acme.example", who is not "sarah@acme.example": a Claw is written by its owner; no member of ClawOrganization "files" has this username: have the platform add it to kubernetes of one in its directory, or have it written by somebody who may assign owners.assign.clawstaff.dev in namespace "files"`)
	refusal(t, as(lee).Create(ctx, claw(func(c *v1alpha1.Claw) { c.Namespace, c.Spec.Owner = "files", lee }), client.DryRunAll), "")
}

// Whoever takes a member away is told whose Claws that stops; and their Claws are not theirs to write any more.
func TestMemberRenamedOrRemoved(t *testing.T) {
	ctx := t.Context()
	org := organization("turnover")
	theirs := claw(func(c *v1alpha1.Claw) { c.Name, c.Namespace = "of-sarah", "turnover" })
	create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "turnover", Labels: map[string]string{v1alpha1.LabelOrganization: "turnover"}}}, org, clawPolicy("turnover"), theirs)
	org.Spec.Members[0].Name = "sarah.smith@acme.example"
	org.Spec.Teams[0].Members[0] = "sarah.smith@acme.example"
	var got []string
	if err := until(ctx, func() error {
		var err error
		if got, err = warnedOfUpdate(t, org.DeepCopy()); err == nil && len(got) == 0 {
			return errNotYet // the cache has not the Claw yet
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	const want = `spec.members: "sarah@acme.example" is no member any more and owns 1 Claws, among them "of-sarah": these are granted nothing until they have another owner, or the member is back`
	if len(got) != 1 || got[0] != want {
		t.Errorf("warnings:\n got %q\nwant %q", got, want)
	}
	if err := as(admin).Update(ctx, org); err != nil {
		t.Fatal(err)
	}
	change := func(patch string) error {
		return as(sarah).Patch(ctx, theirs.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch)), client.DryRunAll)
	}
	if err := until(ctx, func() error {
		err := change(`{"spec":{"purpose":"Another."}}`)
		if err == nil {
			return errNotYet
		}
		if !strings.Contains(err.Error(), `spec.owner: Forbidden: "sarah@acme.example" is no member of ClawOrganization "turnover": `) {
			t.Errorf("a change by who was the owner: %v", err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	refusal(t, change(`{"metadata":{"labels":{"a":"b"}}}`), "")
	refusal(t, change(`{"spec":{"state":"Revoked"}}`), "")
}

func TestQuotaBelowWhatThereIs(t *testing.T) {
	org := organization("crowded")
	create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "crowded", Labels: map[string]string{v1alpha1.LabelOrganization: "crowded"}}}, org, clawPolicy("crowded"))
	for _, name := range []string{"a", "b"} {
		create(t, claw(func(c *v1alpha1.Claw) { c.Name, c.Namespace = name, "crowded" }))
	}
	one := int32(1)
	org.Spec.Quota.Claws = &one
	const want = `spec.quota.claws is 1 and there are 2 Claws: they go on, and no other can be created until there are fewer`
	if err := until(t.Context(), func() error {
		got, err := warnedOfUpdate(t, org.DeepCopy())
		switch {
		case err != nil:
			return err
		case len(got) != 1 || got[0] != want:
			return fmt.Errorf("warnings %q, want %q", got, want)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// Windows that are empty are refused by the schema, with the way to write them.
func TestEmptyWindows(t *testing.T) {
	for name, tt := range map[string]struct {
		schedule v1alpha1.Schedule
		want     string
	}{
		"no window": {v1alpha1.Schedule{TimeZone: "UTC"}, "spec.schedule.windows"},
		"no day":    {v1alpha1.Schedule{TimeZone: "UTC", Windows: []v1alpha1.Window{{Start: "08:00", End: "18:00"}}}, "spec.schedule.windows[0].days"},
		"no time": {v1alpha1.Schedule{TimeZone: "UTC", Windows: []v1alpha1.Window{{Days: []v1alpha1.Day{"Mon"}, Start: "08:00", End: "08:00"}}},
			"a window that starts when it ends is empty: the whole day is 00:00 to 24:00"},
		"the machine's zone": {v1alpha1.Schedule{TimeZone: "Local", Windows: []v1alpha1.Window{{Days: []v1alpha1.Day{"Mon"}, Start: "08:00", End: "18:00"}}},
			"Local is whatever a machine is set to"},
	} {
		err := as(sarah).Create(t.Context(), wise(func(c *v1alpha1.Claw) { c.Spec.Schedule = &v1alpha1.ClawSchedule{Schedule: tt.schedule} }), client.DryRunAll)
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}

// In the hour that a change of clocks leaves out there is no time, which is no reason to refuse a window.
func TestWindowInAGapOfClocks(t *testing.T) {
	gap := v1alpha1.Schedule{TimeZone: "Europe/Berlin", Windows: []v1alpha1.Window{{Days: []v1alpha1.Day{"Sun"}, Start: "02:00", End: "03:00"}}}
	refusal(t, as(sarah).Create(t.Context(), wise(func(c *v1alpha1.Claw) { c.Spec.Schedule = &v1alpha1.ClawSchedule{Schedule: gap} }), client.DryRunAll), "")
}

// An organization that goes gets no new Claws, or it would never be gone; what it has can still be changed.
func TestOrganizationThatGoes(t *testing.T) {
	ctx := t.Context()
	org := organization("leaving", func(o *v1alpha1.ClawOrganization) { o.Finalizers = []string{v1alpha1.Finalizer} })
	of := func(name string) *v1alpha1.Claw {
		return claw(func(c *v1alpha1.Claw) { c.Name, c.Namespace = name, "leaving" })
	}
	create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "leaving", Labels: map[string]string{v1alpha1.LabelOrganization: "leaving"}}}, org, clawPolicy("leaving"))
	t.Cleanup(func() {
		err := as(admin).Patch(context.Background(), org, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))
		if client.IgnoreNotFound(err) != nil {
			t.Error(err)
		}
	})
	if err := as(admin).Delete(ctx, org); err != nil {
		t.Fatal(err)
	}
	if err := until(ctx, func() error {
		err := as(sarah).Create(ctx, of("late"), client.DryRunAll)
		if err == nil {
			return errNotYet // the cache has not heard of it
		}
		refusal(t, err, `Claw.clawstaff.dev "late" is invalid: metadata.namespace: Forbidden: ClawOrganization "leaving" is being deleted and takes no new Claws: create the Claw in another organization, or when this one is there again`)
		return nil
	}); err != nil {
		t.Error(err)
	}
}
