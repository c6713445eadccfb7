package controller_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// cageOf is an organization of a test's own, with two members, and its cage.
type cageOf struct {
	t    *testing.T
	name string
}

const (
	sarah = v1alpha1.MemberName("sarah@acme.example")
	lee   = v1alpha1.MemberName("lee@acme.example")
)

func organizationOf(name string, changes ...func(*v1alpha1.ClawOrganization)) *v1alpha1.ClawOrganization {
	o := &v1alpha1.ClawOrganization{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.ClawOrganizationSpec{
			Members: []v1alpha1.Member{
				{Name: sarah, Identities: map[string][]string{"slack": {"T01ACME/U01SARAH"}}, Kubernetes: []string{"sarah"}},
				{Name: lee, Identities: map[string][]string{"slack": {"T01ACME/U01LEE"}}},
			},
			Teams: []v1alpha1.Team{{Name: "support", Members: []v1alpha1.MemberName{sarah, lee}}},
		},
	}
	for _, change := range changes {
		change(o)
	}
	return o
}

func newCage(t *testing.T, changes ...func(*v1alpha1.ClawOrganization)) cageOf {
	t.Helper()
	c := cageOf{t, "org-" + rand.String(6)}
	create(t, organizationOf(c.name, changes...))
	c.organizationReady(v1alpha1.ReasonReady)
	return c
}

func create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		if err := api.Create(context.Background(), o); err != nil {
			t.Fatalf("create %T %s: %v", o, o.GetName(), err)
		}
	}
}

// update changes an object, however often it changes in between.
func update[T client.Object](t *testing.T, o T, change func(T)) {
	t.Helper()
	eventually(t, func() string {
		if err := api.Get(context.Background(), client.ObjectKeyFromObject(o), o); err != nil {
			return err.Error()
		}
		change(o)
		if err := api.Update(context.Background(), o); err != nil {
			return err.Error()
		}
		return ""
	})
}

func remove(t *testing.T, o client.Object, options ...client.DeleteOption) {
	t.Helper()
	if err := client.IgnoreNotFound(api.Delete(context.Background(), o, options...)); err != nil {
		t.Fatalf("delete %T %s: %v", o, o.GetName(), err)
	}
}

func get(t *testing.T, o client.Object) bool {
	t.Helper()
	err := api.Get(context.Background(), client.ObjectKeyFromObject(o), o)
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatalf("get %T %s: %v", o, o.GetName(), err)
	}
	return err == nil
}

func (c cageOf) organizationReady(reason string) *v1alpha1.ClawOrganization {
	c.t.Helper()
	o := &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: c.name}}
	eventually(c.t, func() string {
		get(c.t, o)
		return wants(o.Status.Conditions, v1alpha1.ConditionReady, reason)
	})
	return o
}

// wants says how a condition's reason differs from the wanted one.
func wants(conditions []metav1.Condition, kind, reason string) string {
	got := meta.FindStatusCondition(conditions, kind)
	if got == nil || got.Reason != reason {
		return fmt.Sprintf("%s is not %s: %s", kind, reason, brief(conditions))
	}
	return ""
}

func brief(conditions []metav1.Condition) string {
	var lines []string
	for _, c := range conditions {
		lines = append(lines, fmt.Sprintf("%s=%s %s (%s)", c.Type, c.Status, c.Reason, c.Message))
	}
	return "\n  " + strings.Join(lines, "\n  ")
}

// policyFor allows everything the tests' Claws ask for.
func (c cageOf) policy(changes ...func(*v1alpha1.ClawPolicy)) *v1alpha1.ClawPolicy {
	p := &v1alpha1.ClawPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "everything", Namespace: c.name},
		Spec: v1alpha1.ClawPolicySpec{
			Selector: v1alpha1.PolicySelector{All: true},
			Allow: v1alpha1.PolicyRules{
				Visibility: []v1alpha1.Visibility{v1alpha1.VisibilityPrivate, v1alpha1.VisibilityTeam},
				Channels:   []v1alpha1.ChannelRule{{Connector: "slack", Channels: []v1alpha1.Pattern{"*"}, Users: []v1alpha1.Pattern{"*"}}},
				Models:     []v1alpha1.ModelRule{{Connector: "anthropic", Models: []v1alpha1.Pattern{"claude-*"}}},
			},
		},
	}
	for _, change := range changes {
		change(p)
	}
	create(c.t, p)
	return p
}

// credential is a key for a Claw, and the Secret it is in. The value is its own unless given.
func (c cageOf) credential(claw, name string, changes ...func(*v1alpha1.ClawCredential, *corev1.Secret)) *v1alpha1.ClawCredential {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: c.name, Annotations: map[string]string{v1alpha1.AnnotationCredential: name}},
		Type:       v1alpha1.SecretTypeCredential,
		StringData: map[string]string{"bot": "xoxb-" + rand.String(20), "signing": rand.String(20), "key": "sk-" + rand.String(20)},
	}
	cred := &v1alpha1.ClawCredential{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: c.name},
		Spec: v1alpha1.ClawCredentialSpec{
			Claw:      v1alpha1.CredentialClaw{Name: v1alpha1.ObjectName(claw), Owner: sarah},
			Connector: "slack",
			Source: v1alpha1.CredentialSource{Secret: &v1alpha1.SecretSource{
				Name: v1alpha1.ObjectName(name), Keys: map[string]string{"botToken": "bot", "signingSecret": "signing"},
			}},
		},
	}
	for _, change := range changes {
		change(cred, s)
	}
	if s.Name != "" {
		create(c.t, s)
	}
	create(c.t, cred)
	return cred
}

func anthropic(cred *v1alpha1.ClawCredential, _ *corev1.Secret) {
	cred.Spec.Connector, cred.Spec.Source.Secret.Keys = "anthropic", map[string]string{"apiKey": "key"}
}

// clawOf is an agent of Sarah's that speaks in one channel and asks one model.
func (c cageOf) clawOf(name string, changes ...func(*v1alpha1.Claw)) *v1alpha1.Claw {
	claw := &v1alpha1.Claw{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: c.name},
		Spec: v1alpha1.ClawSpec{
			Owner: sarah, Purpose: "a test", Visibility: v1alpha1.VisibilityTeam, Teams: []v1alpha1.TeamName{"support"},
			Channels: []v1alpha1.ChannelRequest{{Credential: v1alpha1.ObjectName(name + "-slack"), ChannelRule: v1alpha1.ChannelRule{
				Connector: "slack", Channels: []v1alpha1.Pattern{"C0SUPPORT"}, Users: []v1alpha1.Pattern{"*"}}}},
			Models: []v1alpha1.ModelRequest{{Credential: v1alpha1.ObjectName(name + "-anthropic"), ModelRule: v1alpha1.ModelRule{
				Connector: "anthropic", Models: []v1alpha1.Pattern{"claude-sonnet-5"}}}},
			Runtime: v1alpha1.Runtime{Container: &v1alpha1.ContainerRuntime{Image: "agent:test"}},
		},
	}
	for _, change := range changes {
		change(claw)
	}
	return claw
}

// claw creates a Claw and its credentials.
func (c cageOf) claw(name string, changes ...func(*v1alpha1.Claw)) *v1alpha1.Claw {
	c.t.Helper()
	claw := c.clawOf(name, changes...)
	create(c.t, claw)
	ofItsOwner := func(cred *v1alpha1.ClawCredential, _ *corev1.Secret) { cred.Spec.Claw.Owner = claw.Spec.Owner }
	c.credential(name, name+"-slack", ofItsOwner)
	c.credential(name, name+"-anthropic", anthropic, ofItsOwner)
	return claw
}

// condition waits for a Claw's condition to have a reason.
func condition(t *testing.T, claw *v1alpha1.Claw, kind, reason string) {
	t.Helper()
	eventually(t, func() string {
		if !get(t, claw) {
			return "the Claw is gone"
		}
		return wants(claw.Status.Conditions, kind, reason)
	})
}

// running plays the kubelet and the gateway until the Claw is ready.
func (c cageOf) running(name string, changes ...func(*v1alpha1.Claw)) *v1alpha1.Claw {
	c.t.Helper()
	claw := c.claw(name, changes...)
	gateway := gatewayPod(c.t, claw)
	agentPod(c.t, claw, proved)
	enforce(c.t, claw, gateway)
	condition(c.t, claw, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	return claw
}
