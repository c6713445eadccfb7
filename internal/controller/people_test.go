package controller_test

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
)

// adminConfig is how an administrator reaches the API server.
var adminConfig *rest.Config

// as is a client of somebody who is nobody in particular.
func as(t *testing.T, username string) client.WithWatch {
	t.Helper()
	config := rest.CopyConfig(adminConfig)
	config.Impersonate = rest.ImpersonationConfig{UserName: username, Groups: []string{"system:authenticated"}}
	c, err := client.NewWithWatch(config, client.Options{Scheme: api.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// usernames gives Sarah and Lee usernames of their own, and returns them.
func usernames() (ofSarah, ofLee string, change func(*v1alpha1.ClawOrganization)) {
	ofSarah, ofLee = "sarah-"+rand.String(5), "lee-"+rand.String(5)
	return ofSarah, ofLee, func(o *v1alpha1.ClawOrganization) {
		o.Spec.Members[0].Kubernetes, o.Spec.Members[1].Kubernetes = []string{ofSarah}, []string{ofLee}
	}
}

// member gives somebody the chart's role for members, in the cage.
func (c cageOf) member(username string) {
	c.t.Helper()
	roles, err := chart.Render("templates/people.yaml")
	if err != nil {
		c.t.Fatal(err)
	}
	for _, role := range roles {
		if err := api.Create(context.Background(), role); err != nil && !apierrors.IsAlreadyExists(err) {
			c.t.Fatal(err)
		}
	}
	create(c.t, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: "member-" + rand.String(5)},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "clawstaff-member"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: username}},
	})
}

// may waits until somebody may read a Claw, or may not.
func may(t *testing.T, who client.Client, o client.Object, want bool) {
	t.Helper()
	eventually(t, func() string {
		err := who.Get(context.Background(), client.ObjectKeyFromObject(o), o)
		switch {
		case want && err != nil:
			return err.Error()
		case !want && !apierrors.IsForbidden(err):
			return "it is not forbidden to read " + kindOf(o) + " " + o.GetName()
		}
		return ""
	})
}

// TestOwnersLookAfterTheirOwn: an owner may read, change and delete their own Claw and the credentials that
// are for it and for them, by name, and nothing of anybody else.
func TestOwnersLookAfterTheirOwn(t *testing.T) {
	ctx := context.Background()
	ofSarah, ofLee, change := usernames()
	c := newCage(t, change)
	c.policy()
	c.member(ofSarah)
	c.member(ofLee)
	mine := c.claw("mine", func(claw *v1alpha1.Claw) { claw.Spec.Visibility, claw.Spec.Teams = v1alpha1.VisibilityPrivate, nil })
	theirs := c.claw("theirs", func(claw *v1alpha1.Claw) { claw.Spec.Owner = lee })
	// Lee has written a key for a Claw of Sarah's name, but of another owner: it is not Sarah's to touch.
	foreign := c.credential("mine", "foreign", func(cred *v1alpha1.ClawCredential, _ *corev1.Secret) { cred.Spec.Claw.Owner = lee })
	s := as(t, ofSarah)

	may(t, s, mine, true)
	mine.Spec.Purpose = "changed by its owner"
	if err := s.Update(ctx, mine); err != nil {
		t.Errorf("the owner cannot change their Claw: %v", err)
	}
	grant := grantOf(t, mine)
	may(t, s, grant, true)
	key := &v1alpha1.ClawCredential{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: "mine-slack"}}
	may(t, s, key, true)
	if err := s.Patch(ctx, key, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"state":"Revoked"}}`))); err != nil {
		t.Errorf("the owner cannot revoke their key: %v", err)
	}
	if err := s.Delete(ctx, key); err != nil {
		t.Errorf("the owner cannot delete their key: %v", err)
	}
	for _, list := range []client.ObjectList{&v1alpha1.ClawList{}, &v1alpha1.ClawCredentialList{}, &v1alpha1.ClawGrantList{}, &v1alpha1.ClawPolicyList{}, &corev1.SecretList{}} {
		if err := s.List(ctx, list, client.InNamespace(c.name)); !apierrors.IsForbidden(err) {
			t.Errorf("the owner lists %T: %v", list, err)
		}
	}
	for _, o := range []client.Object{
		theirs, foreign, grantOf(t, theirs),
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: "mine-slack"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.GatewayName("mine")}},
	} {
		if err := s.Get(ctx, client.ObjectKeyFromObject(o), o.DeepCopyObject().(client.Object)); !apierrors.IsForbidden(err) {
			t.Errorf("the owner reads %s %s: %v", kindOf(o), o.GetName(), err)
		}
		if err := s.Delete(ctx, o); !apierrors.IsForbidden(err) {
			t.Errorf("the owner deletes %s %s: %v", kindOf(o), o.GetName(), err)
		}
	}
	if err := s.Patch(ctx, grant, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"state":"Active"}}`))); !apierrors.IsForbidden(err) {
		t.Errorf("the owner writes their grant: %v", err)
	}

	// Over is over, and still theirs to look at and to remove.
	revoke(t, mine)
	condition(t, mine, v1alpha1.ConditionReady, v1alpha1.ReasonRevoked)
	may(t, s, mine, true)
	if err := s.Delete(ctx, mine); err != nil {
		t.Errorf("the owner cannot delete their Claw: %v", err)
	}
	gone(t, mine)
	may(t, s, mine, false)
}

// TestPrivateClawIsUnseen: to another member, of the same teams, a Private Claw is not there in any way.
func TestPrivateClawIsUnseen(t *testing.T) {
	ofSarah, ofLee, change := usernames()
	c := newCage(t, change)
	c.policy()
	c.member(ofSarah)
	c.member(ofLee)
	claw := c.claw("private", func(claw *v1alpha1.Claw) { claw.Spec.Visibility, claw.Spec.Teams = v1alpha1.VisibilityPrivate, nil })
	may(t, as(t, ofSarah), claw, true)
	unseen(t, as(t, ofLee), claw)

	// Lee's own Claw gives Lee nothing of Sarah's.
	own := c.claw("own", func(claw *v1alpha1.Claw) { claw.Spec.Owner = lee })
	may(t, as(t, ofLee), own, true)
	unseen(t, as(t, ofLee), claw)
	watched(t, as(t, ofLee), own, true)
}

func unseen(t *testing.T, who client.WithWatch, claw *v1alpha1.Claw) {
	t.Helper()
	ctx := context.Background()
	if err := who.Get(ctx, client.ObjectKeyFromObject(claw), &v1alpha1.Claw{}); !apierrors.IsForbidden(err) {
		t.Errorf("get: %v", err)
	}
	if err := who.List(ctx, &v1alpha1.ClawList{}, client.InNamespace(claw.Namespace)); !apierrors.IsForbidden(err) {
		t.Errorf("list: %v", err)
	}
	if err := who.List(ctx, &v1alpha1.ClawList{}, client.InNamespace(claw.Namespace), client.MatchingFields{"metadata.name": claw.Name}); !apierrors.IsForbidden(err) {
		t.Errorf("list by name: %v", err)
	}
	watched(t, who, claw, false)
	if _, err := who.Watch(ctx, &v1alpha1.ClawList{}, client.InNamespace(claw.Namespace)); !apierrors.IsForbidden(err) {
		t.Errorf("watch of all: %v", err)
	}
}

func watched(t *testing.T, who client.WithWatch, claw *v1alpha1.Claw, want bool) {
	t.Helper()
	w, err := who.Watch(context.Background(), &v1alpha1.ClawList{}, client.InNamespace(claw.Namespace), client.MatchingFields{"metadata.name": claw.Name})
	if err == nil {
		w.Stop()
	}
	if want && err != nil || !want && !apierrors.IsForbidden(err) {
		t.Errorf("watch of %s: %v", claw.Name, err)
	}
}

// TestBindingFollowsTheOwner: who owns a Claw now may look after it now, and who did may not.
func TestBindingFollowsTheOwner(t *testing.T) {
	ofSarah, ofLee, change := usernames()
	c := newCage(t, change)
	c.policy()
	claw := c.claw("triage")
	org := &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: c.name}}
	may(t, as(t, ofSarah), claw, true)
	may(t, as(t, ofLee), claw, false)

	t.Log("a new owner")
	update(t, claw, func(claw *v1alpha1.Claw) { claw.Spec.Owner = lee })
	may(t, as(t, ofLee), claw, true)
	may(t, as(t, ofSarah), claw, false)
	// The keys are still for Sarah's Claw, and so not Lee's.
	key := &v1alpha1.ClawCredential{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: "triage-slack"}}
	may(t, as(t, ofLee), key, false)

	t.Log("another username")
	update(t, org, func(o *v1alpha1.ClawOrganization) { o.Spec.Members[1].Kubernetes = []string{ofLee + "-new"} })
	may(t, as(t, ofLee+"-new"), claw, true)
	may(t, as(t, ofLee), claw, false)

	t.Log("a username that two members have is nobody's")
	update(t, org, func(o *v1alpha1.ClawOrganization) { o.Spec.Members[0].Kubernetes = []string{ofLee + "-new"} })
	may(t, as(t, ofLee+"-new"), claw, false)
	update(t, org, func(o *v1alpha1.ClawOrganization) { o.Spec.Members[0].Kubernetes = []string{ofSarah} })
	may(t, as(t, ofLee+"-new"), claw, true)

	t.Log("no username, and nobody is bound")
	update(t, org, func(o *v1alpha1.ClawOrganization) { o.Spec.Members[1].Kubernetes = nil })
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.OwnerName("triage")}}
	gone(t, binding)
	update(t, org, func(o *v1alpha1.ClawOrganization) { o.Spec.Members[1].Kubernetes = []string{ofLee} })
	may(t, as(t, ofLee), claw, true)

	t.Log("a member renamed is another member")
	update(t, org, func(o *v1alpha1.ClawOrganization) {
		o.Spec.Members[1].Name = "lee.new@acme.example"
		o.Spec.Teams[0].Members[1] = "lee.new@acme.example"
	})
	gone(t, binding)
	condition(t, claw, v1alpha1.ConditionOwnerPresent, v1alpha1.ReasonOwnerNotMember)

	t.Log("a revoked Claw's owner can leave too")
	update(t, claw, func(claw *v1alpha1.Claw) { claw.Spec.Owner = sarah })
	may(t, as(t, ofSarah), claw, true)
	revoke(t, claw)
	condition(t, claw, v1alpha1.ConditionReady, v1alpha1.ReasonRevoked)
	may(t, as(t, ofSarah), claw, true)
	update(t, org, func(o *v1alpha1.ClawOrganization) { o.Spec.Members = o.Spec.Members[1:] })
	gone(t, binding)
}

// directoryFile is a ConfigMap of the operator's namespace with one part of a directory.
func directoryFile(t *testing.T, lines ...string) *corev1.ConfigMap {
	t.Helper()
	cm := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: "directory-" + rand.String(6)},
		Data:       map[string]string{"members.yaml": strings.Join(lines, "\n")},
	}
	create(t, cm)
	t.Cleanup(func() { remove(t, cm) })
	return cm
}

// reads has an organization read its directory from a ConfigMap alone.
func reads(cm *corev1.ConfigMap) func(*v1alpha1.ClawOrganization) {
	return func(o *v1alpha1.ClawOrganization) {
		o.Spec.Members, o.Spec.Teams = nil, nil
		o.Spec.DirectoryRefs = []v1alpha1.ConfigMapReference{{ConfigMap: v1alpha1.ObjectName(cm.Name)}}
	}
}

func edit(t *testing.T, cm *corev1.ConfigMap, from, to string) {
	t.Helper()
	update(t, cm, func(cm *corev1.ConfigMap) {
		if !strings.Contains(cm.Data["members.yaml"], from) {
			t.Fatalf("%q is not in %s", from, cm.Data["members.yaml"])
		}
		cm.Data["members.yaml"] = strings.ReplaceAll(cm.Data["members.yaml"], from, to)
	})
}

var directoryLines = []string{
	"members:",
	"  - name: sarah@acme.example",
	"    identities: {slack: [T01ACME/U01SARAH]}",
	"    kubernetes: [SARAH]",
	"  - name: lee@acme.example",
	"    identities: {slack: [T01ACME/U01LEE], github: [lee]}",
	"  - name: kim@acme.example",
	"    identities: {slack: [T01ACME/U01KIM]}",
	"teams:",
	"  - {name: support, members: [sarah@acme.example, lee@acme.example]}",
}

// TestDirectoryFile: what a ConfigMap of the operator's namespace says of members counts like what the spec
// says, as long as it says so.
func TestDirectoryFile(t *testing.T) {
	ofSarah := "sarah-" + rand.String(5)
	cm := directoryFile(t, directoryLines...)
	edit(t, cm, "SARAH]\n  - name: lee", ofSarah+"]\n  - name: lee")
	c := newCage(t, reads(cm))
	c.policy(func(p *v1alpha1.ClawPolicy) {
		p.Spec.Selector = v1alpha1.PolicySelector{Teams: []v1alpha1.TeamName{"support"}}
	})
	claw := c.running("triage")
	principals(t, claw, "T01ACME/U01LEE", "T01ACME/U01SARAH")
	may(t, as(t, ofSarah), claw, true)

	t.Log("a member joins the team")
	edit(t, cm, "lee@acme.example]}", "lee@acme.example, kim@acme.example]}")
	principals(t, claw, "T01ACME/U01KIM", "T01ACME/U01LEE", "T01ACME/U01SARAH")

	t.Log("an identity changes hands")
	edit(t, cm, "U01LEE", "U02LEE")
	principals(t, claw, "T01ACME/U01KIM", "T01ACME/U01SARAH", "T01ACME/U02LEE")

	t.Log("the owner leaves the team, and no policy selects their Claw any more")
	edit(t, cm, "members: [sarah@acme.example, lee", "members: [lee")
	condition(t, claw, v1alpha1.ConditionOwnerPresent, v1alpha1.ReasonOwnerNotMember)
	principals(t, claw)
	policySelects(t, c, 0)
	edit(t, cm, "members: [lee", "members: [sarah@acme.example, lee")
	condition(t, claw, v1alpha1.ConditionOwnerPresent, v1alpha1.ReasonReady)
	policySelects(t, c, 1)

	t.Log("the file is gone, and with it everybody")
	remove(t, cm)
	condition(t, claw, v1alpha1.ConditionOwnerPresent, v1alpha1.ReasonOwnerNotMember)
	principals(t, claw)
	gone(t, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.OwnerName("triage")}})

	t.Log("it is there again")
	cm.ResourceVersion = ""
	create(t, cm)
	condition(t, claw, v1alpha1.ConditionOwnerPresent, v1alpha1.ReasonReady)
	principals(t, claw, "T01ACME/U01KIM", "T01ACME/U01SARAH", "T01ACME/U02LEE")
	may(t, as(t, ofSarah), claw, true)
}

func policySelects(t *testing.T, c cageOf, want int32) {
	t.Helper()
	p := &v1alpha1.ClawPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: "everything"}}
	eventually(t, func() string {
		if get(t, p); p.Status.SelectedClaws != want {
			return "the policy does not count the Claws it selects"
		}
		return ""
	})
}

// principals waits until a grant lists exactly some people of Slack, in order.
func principals(t *testing.T, claw *v1alpha1.Claw, want ...string) {
	t.Helper()
	eventually(t, func() string {
		var got []string
		for _, a := range grantOf(t, claw).Spec.Audience {
			got = append(got, a.Principals...)
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			return "the audience is " + strings.Join(got, " ")
		}
		return ""
	})
}

// TestDirectoryEditsReachOnlyWhomTheyAreAbout: a directory edit is looked at for every Claw of the organization,
// and written for those alone for which it makes a difference.
func TestDirectoryEditsReachOnlyWhomTheyAreAbout(t *testing.T) {
	cm := directoryFile(t, directoryLines...)
	c := newCage(t, reads(cm))
	c.policy()
	team := c.running("team")
	private := c.running("private", func(claw *v1alpha1.Claw) {
		claw.Spec.Visibility, claw.Spec.Teams = v1alpha1.VisibilityPrivate, nil
		claw.Spec.Channels[0].Channels = []v1alpha1.Pattern{"D0SARAH"}
	})
	settled(t)
	// Once more for the sibling that came later.
	edit(t, cm, "github: [lee]", "github: [lee, lee-home]")
	settledAfter(t, writes.Load())

	t.Log("an identity that no Claw's channels are of")
	asked := writesAbout(c.name)
	edit(t, cm, "github: [lee, lee-home]", "github: [lee, lee-work]")
	settledAfter(t, writes.Load())
	if n := writesAbout(c.name) - asked; n != 0 {
		t.Errorf("the manager asked %d times to write:\n%s", n, lastWrites())
	}

	t.Log("an identity of the team")
	before := versions(t, c.name)
	edit(t, cm, "U01LEE", "U02LEE")
	principals(t, team, "T01ACME/U01SARAH", "T01ACME/U02LEE")
	settled(t)
	after := versions(t, c.name)
	for name, version := range after {
		about := name == "ClawGrant team" || name == "Claw team"
		if about != (before[name] != version) {
			t.Errorf("%s: written %v, want %v", name, before[name] != version, about)
		}
	}
	principals(t, private, "T01ACME/U01SARAH")
}

// settledAfter waits until the manager has had time to write something because of a change, and has not for a second.
func settledAfter(t *testing.T, asked int64) {
	t.Helper()
	deadline := time.Now().Add(3 * time.Second)
	eventually(t, func() string {
		if writes.Load() == asked && time.Now().Before(deadline) {
			return "waiting"
		}
		return ""
	})
	settled(t)
}
