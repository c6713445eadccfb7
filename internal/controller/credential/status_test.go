package credential

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/credential"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func theCredential() *v1alpha1.ClawCredential {
	return &v1alpha1.ClawCredential{
		ObjectMeta: metav1.ObjectMeta{Name: "triage-slack", Namespace: "acme", UID: "cred", Generation: 2},
		Spec:       v1alpha1.ClawCredentialSpec{Claw: v1alpha1.CredentialClaw{Name: "triage", Owner: "sarah@acme.example"}},
	}
}

// good are the facts of a credential of which all is as it should be.
func good(changes ...func(*facts)) facts {
	f := facts{
		claw:    &v1alpha1.Claw{ObjectMeta: metav1.ObjectMeta{Name: "triage", UID: "claw"}, Spec: v1alpha1.ClawSpec{Owner: "sarah@acme.example"}},
		version: "v", fingerprints: []string{"f"}, rotated: now.Add(-time.Hour),
	}
	for _, change := range changes {
		change(&f)
	}
	return f
}

func TestComputeStatus(t *testing.T) {
	old := metav1.NewTime(now.AddDate(0, 0, -40))
	for name, c := range map[string]struct {
		before  v1alpha1.ClawCredentialStatus
		facts   facts
		ready   string
		synced  string
		uid     string
		version string
		rotated time.Time
	}{
		"ready": {facts: good(), ready: v1alpha1.ReasonReady, synced: v1alpha1.ReasonReady, uid: "claw", version: "v", rotated: now.Add(-time.Hour)},
		"barred, and bound all the same": {
			facts: good(func(f *facts) { f.barred = &credential.Refusal{Reason: v1alpha1.ReasonKeyTooOld} }),
			ready: v1alpha1.ReasonKeyTooOld, synced: v1alpha1.ReasonReady, uid: "claw", version: "v", rotated: now.Add(-time.Hour),
		},
		"barred, and of another owner": {
			facts: good(func(f *facts) {
				f.barred, f.claw.Spec.Owner = &credential.Refusal{Reason: v1alpha1.ReasonKeyTooOld}, "lee@acme.example"
			}),
			ready: v1alpha1.ReasonClawMismatch, synced: v1alpha1.ReasonReady, version: "v", rotated: now.Add(-time.Hour),
		},
		"a Claw that is going takes no key": {
			facts: good(func(f *facts) { f.claw.DeletionTimestamp = &old }),
			ready: v1alpha1.ReasonDependencyNotReady, synced: v1alpha1.ReasonReady, version: "v", rotated: now.Add(-time.Hour),
		},
		"a Claw that is going keeps its key": {
			before: v1alpha1.ClawCredentialStatus{ClawUID: "claw"}, facts: good(func(f *facts) { f.claw.DeletionTimestamp = &old }),
			ready: v1alpha1.ReasonReady, synced: v1alpha1.ReasonReady, uid: "claw", version: "v", rotated: now.Add(-time.Hour),
		},
		"a store that cannot be read just now": {
			facts: good(func(f *facts) { f.stale = "no route" }),
			ready: v1alpha1.ReasonReady, synced: v1alpha1.ReasonDependencyNotReady, uid: "claw", version: "v", rotated: now.Add(-time.Hour),
		},
		"a source that is gone keeps the age of its value": {
			before: v1alpha1.ClawCredentialStatus{Version: "v", LastRotatedAt: &old, Fingerprints: []string{"f"}, ClawUID: "claw"},
			facts: good(func(f *facts) {
				f.refusal, f.version, f.fingerprints, f.rotated = &credential.Refusal{Reason: v1alpha1.ReasonSecretNotFound}, "", nil, time.Time{}
			}),
			ready: v1alpha1.ReasonSecretNotFound, synced: v1alpha1.ReasonSecretNotFound, uid: "claw", version: "v", rotated: old.Time,
		},
		"revoked with its Claw": {
			before: v1alpha1.ClawCredentialStatus{Version: "v", LastRotatedAt: &old, Fingerprints: []string{"f"}, ClawUID: "claw"},
			facts:  good(func(f *facts) { f.claw.Spec.State = v1alpha1.ClawRevoked }),
			ready:  v1alpha1.ReasonRevoked, synced: v1alpha1.ReasonRevoked, uid: "claw",
		},
	} {
		t.Run(name, func(t *testing.T) {
			cred := theCredential()
			cred.Status = c.before
			got := computeStatus(cred, c.facts, now)
			reason := func(kind string) string { return meta.FindStatusCondition(got.Conditions, kind).Reason }
			if reason(v1alpha1.ConditionReady) != c.ready || reason(v1alpha1.ConditionSourceSynced) != c.synced {
				t.Errorf("Ready %s, SourceSynced %s", reason(v1alpha1.ConditionReady), reason(v1alpha1.ConditionSourceSynced))
			}
			if got.ClawUID != c.uid || got.Version != c.version {
				t.Errorf("bound to %q, version %q", got.ClawUID, got.Version)
			}
			if at := got.LastRotatedAt; (at == nil) != c.rotated.IsZero() || at != nil && !at.Time.Equal(c.rotated) {
				t.Errorf("last rotated at %v, want %s", at, c.rotated)
			}
			// Nothing new is nothing to write, whatever the time is.
			cred.Status = got
			if diff := cmp.Diff(got, computeStatus(cred, c.facts, now.Add(time.Hour))); diff != "" {
				t.Errorf("the same facts make another status later:\n%s", diff)
			}
		})
	}
}

// Whoever has a key that another Claw has learns which one only where it is theirs.
func TestHolderIsNamedToItsOwnerOnly(t *testing.T) {
	for name, c := range map[string]struct {
		owner     v1alpha1.MemberName
		namespace string
		named     bool
	}{
		"of the same owner":       {"sarah@acme.example", "acme", true},
		"of another owner":        {"lee@acme.example", "acme", false},
		"of another organization": {"sarah@acme.example", "globex", false},
	} {
		holder := theCredential()
		holder.Name, holder.Namespace, holder.Spec.Claw = "diary-key", c.namespace, v1alpha1.CredentialClaw{Name: "diary", Owner: c.owner}
		for _, said := range computeStatus(theCredential(), good(func(f *facts) { f.holder = holder }), now).Conditions {
			if strings.Contains(said.Message, "diary") != (c.named && said.Type != v1alpha1.ConditionSourceSynced) || strings.Contains(said.Message, "lee") {
				t.Errorf("%s: %s says %q", name, said.Type, said.Message)
			}
		}
	}
}

func TestRotatedAt(t *testing.T) {
	ago := func(d time.Duration) *metav1.Time { return &metav1.Time{Time: now.Add(-d)} }
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		last    *metav1.Time
		version string // that was seen last
		made    *metav1.Time
		want    time.Time
	}{
		"first seen: as old as its Secret":         {nil, "", ago(90 * day), now.Add(-90 * day)},
		"the same":                                 {ago(40 * day), "v", ago(90 * day), now.Add(-40 * day)},
		"the same in a new Secret":                 {ago(40 * day), "v", ago(day), now.Add(-40 * day)},
		"another in the same Secret":               {ago(40 * day), "old", ago(90 * day), now},
		"another in a new Secret":                  {ago(40 * day), "old", ago(day), now.Add(-day)},
		"a Secret from a clock that is ahead":      {nil, "", ago(-day), now},
		"known before its age was":                 {nil, "v", ago(5 * day), now.Add(-5 * day)},
		"another, and a clock that has gone ahead": {ago(day), "old", ago(-day), now},
	} {
		cred := theCredential()
		cred.Status.LastRotatedAt, cred.Status.Version = c.last, c.version
		source := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: *c.made}}
		if got := rotatedAt(cred, "v", source, now); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if got := rotatedAt(theCredential(), "", nil, now); !got.IsZero() {
		t.Errorf("what was not read is of %s", got)
	}
}

// TestWhichEditsAreAboutCredentials: others have no credential looked at again.
func TestWhichEditsAreAboutCredentials(t *testing.T) {
	before := &v1alpha1.ClawPolicy{}
	before.Spec.Require.Credentials.MaxAgeDays = 90
	for name, c := range map[string]struct {
		change func(*v1alpha1.ClawPolicy)
		same   bool
	}{
		"models":   {func(p *v1alpha1.ClawPolicy) { p.Spec.Allow.Models = []v1alpha1.ModelRule{{Connector: "anthropic"}} }, true},
		"lifetime": {func(p *v1alpha1.ClawPolicy) { p.Spec.Require.MaxLifetimeDays = 1 }, true},
		"age":      {func(p *v1alpha1.ClawPolicy) { p.Spec.Require.Credentials.MaxAgeDays = 30 }, false},
		"stores":   {func(p *v1alpha1.ClawPolicy) { p.Spec.Allow.Stores = []v1alpha1.StoreRule{{}} }, false},
		"denied":   {func(p *v1alpha1.ClawPolicy) { p.Spec.Deny.Stores = []v1alpha1.StoreRule{{}} }, false},
		"selector": {func(p *v1alpha1.ClawPolicy) { p.Spec.Selector.All = true }, false},
		"deletion": {func(p *v1alpha1.ClawPolicy) { p.DeletionTimestamp = &metav1.Time{Time: now} }, false},
	} {
		after := before.DeepCopy()
		if c.change(after); sameRules(before, after) != c.same {
			t.Errorf("%s: the same is %v", name, !c.same)
		}
	}
	if aboutCredentials(&v1alpha1.ClawPolicy{}) || !aboutCredentials(before) {
		t.Error("a policy is taken for what it is not")
	}
	org := &v1alpha1.ClawOrganization{}
	for name, c := range map[string]struct {
		change          func(*v1alpha1.ClawOrganization)
		baseline, teams bool
	}{
		"quota":    {func(o *v1alpha1.ClawOrganization) { o.Spec.Quota.Claws = new(int32) }, true, true},
		"baseline": {func(o *v1alpha1.ClawOrganization) { o.Spec.Baseline.Require.Credentials.MaxAgeDays = 1 }, false, true},
		"stores":   {func(o *v1alpha1.ClawOrganization) { o.Spec.Baseline.Deny.Stores = []v1alpha1.StoreRule{{}} }, false, true},
		"team":     {func(o *v1alpha1.ClawOrganization) { o.Spec.Teams = []v1alpha1.Team{{Name: "t"}} }, true, false},
		"member":   {func(o *v1alpha1.ClawOrganization) { o.Spec.Members = []v1alpha1.Member{{Name: "m"}} }, true, false},
		"file":     {func(o *v1alpha1.ClawOrganization) { o.Spec.DirectoryRefs = []v1alpha1.ConfigMapReference{{}} }, true, false},
		"adopted":  {func(o *v1alpha1.ClawOrganization) { o.Status.Namespace = "acme" }, false, true},
	} {
		after := org.DeepCopy()
		if c.change(after); sameBaseline(org, after) != c.baseline || sameTeams(org, after) != c.teams {
			t.Errorf("%s: baseline %v, teams %v", name, sameBaseline(org, after), sameTeams(org, after))
		}
	}
}

// TestOursExternalSecret: what External Secrets Operator notes on it is no matter; what anybody asks for in its name is.
func TestOursExternalSecret(t *testing.T) {
	cred := theCredential()
	managed := func(manager, operation, subresource, fields string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{
			Manager: manager, Operation: metav1.ManagedFieldsOperationType(operation), Subresource: subresource, FieldsV1: metav1.NewFieldsV1(fields),
		}
	}
	mine := managed(v1alpha1.ManagedBy, "Apply", "", `{"f:spec":{}}`)
	for name, c := range map[string]struct {
		fields []metav1.ManagedFieldsEntry
		owner  string
		want   bool
	}{
		"ours":               {[]metav1.ManagedFieldsEntry{mine}, "cred", true},
		"noted on":           {[]metav1.ManagedFieldsEntry{mine, managed("external-secrets", "Update", "", `{"f:metadata":{"f:finalizers":{}}}`)}, "cred", true},
		"its status":         {[]metav1.ManagedFieldsEntry{mine, managed("external-secrets", "Update", "status", `{"f:spec":{}}`)}, "cred", true},
		"asked for more":     {[]metav1.ManagedFieldsEntry{mine, managed("kubectl", "Update", "", `{"f:spec":{"f:dataFrom":{}}}`)}, "cred", false},
		"in our name":        {[]metav1.ManagedFieldsEntry{mine, managed(v1alpha1.ManagedBy, "Update", "", `{"f:spec":{"f:dataFrom":{}}}`)}, "cred", false},
		"given away":         {[]metav1.ManagedFieldsEntry{mine, managed("kubectl", "Update", "", `{"f:metadata":{"f:ownerReferences":{}}}`)}, "cred", false},
		"of a former object": {[]metav1.ManagedFieldsEntry{mine}, "former", false},
	} {
		live := &unstructured.Unstructured{}
		live.SetGroupVersionKind(credential.ExternalSecretKind)
		yes := true
		live.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "clawstaff.dev/v1alpha1", Kind: "ClawCredential", Name: cred.Name, UID: cred.UID, Controller: &yes}})
		if c.owner != "cred" {
			live.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "clawstaff.dev/v1alpha1", Kind: "ClawCredential", Name: cred.Name, UID: "former", Controller: &yes}})
		}
		live.SetManagedFields(c.fields)
		if got := ours(live, cred); got != c.want {
			t.Errorf("%s: ours is %v", name, got)
		}
	}
}
