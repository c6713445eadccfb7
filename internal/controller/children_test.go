package controller_test

import (
	"context"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
)

// TestChildrenComeBack: whatever somebody deletes by hand is there again, with another UID.
func TestChildrenComeBack(t *testing.T) {
	c := newCage(t)
	c.policy()
	claw := c.running("triage")
	for _, child := range children(claw) {
		if !get(t, child) {
			t.Fatalf("there is no %s %s", kindOf(child), child.GetName())
		}
		old := child.GetUID()
		remove(t, child)
		eventually(t, func() string {
			if !get(t, child) || child.GetUID() == old {
				return kindOf(child) + " " + child.GetName() + " is not back"
			}
			return ""
		})
	}
}

// TestChildrenAreReplaced: what somebody changed by hand is as it should be again, and carries nothing of theirs.
func TestChildrenAreReplaced(t *testing.T) {
	c := newCage(t)
	c.policy()
	claw := c.running("triage")
	for _, child := range children(claw) {
		var old types.UID
		eventually(t, func() string {
			get(t, child)
			old = child.GetUID()
			child.SetLabels(map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelClaw: "triage", "mine": "now"})
			if err := api.Update(context.Background(), child, client.FieldOwner("somebody")); err != nil {
				return err.Error() // it follows the one that was replaced before
			}
			return ""
		})
		eventually(t, func() string {
			if !get(t, child) || child.GetUID() == old || child.GetLabels()["mine"] != "" {
				return kindOf(child) + " " + child.GetName() + " was not replaced"
			}
			return ""
		})
	}
}

// TestPlantedChildren: what lies where a child belongs, made by somebody else before, is replaced.
func TestPlantedChildren(t *testing.T) {
	c := newCage(t)
	c.policy()
	claw := c.clawOf("triage")
	var planted []client.Object
	for _, child := range children(claw) {
		switch o := child.(type) {
		case *corev1.Service:
			o.Spec.Ports = []corev1.ServicePort{{Port: 22}}
		case *networkingv1.NetworkPolicy:
			o.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{}}
		case *corev1.Secret:
			o.Type, o.StringData = cage.SecretTypeGateway, map[string]string{cage.KeyProxyPassword: "known"}
		case *rbacv1.Role:
			o.Rules = []rbacv1.PolicyRule{{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}}}
		case *corev1.ServiceAccount, *corev1.ConfigMap:
		default:
			continue
		}
		planted = append(planted, child)
	}
	create(t, planted...)
	uids := map[string]types.UID{}
	for _, p := range planted {
		uids[kindOf(p)+p.GetName()] = p.GetUID()
	}
	c.running("triage")
	get(t, claw)
	for _, p := range planted {
		get(t, p)
		owner := metav1.GetControllerOf(p)
		if p.GetUID() == uids[kindOf(p)+p.GetName()] || owner == nil || owner.UID != claw.UID {
			t.Errorf("%s %s is still the planted one", kindOf(p), p.GetName())
		}
		if s, ok := p.(*corev1.Secret); ok && string(s.Data[cage.KeyProxyPassword]) == "known" {
			t.Errorf("Secret %s has a password that somebody knows", s.Name)
		}
	}
}

// A planted Secret that a finalizer holds is waited for: no key is written into it meanwhile.
func TestPlantedAndHeld(t *testing.T) {
	c := newCage(t)
	c.policy()
	planted := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.GatewayName("triage"), Finalizers: []string{"example.com/hold"}},
		Type:       cage.SecretTypeGateway,
	}
	create(t, planted)
	claw := c.claw("triage")
	condition(t, claw, v1alpha1.ConditionReady, v1alpha1.ReasonDependencyNotReady)
	eventually(t, func() string {
		if !get(t, planted) || planted.DeletionTimestamp == nil {
			return "it is not told to go"
		}
		return ""
	})
	if len(planted.Data) > 0 {
		t.Errorf("it holds %d keys", len(planted.Data))
	}
	update(t, planted, func(s *corev1.Secret) { s.Finalizers = nil })
	gatewayPod(t, claw)
}

// TestKeysAreKept: what was made once is not made again while it is there.
func TestKeysAreKept(t *testing.T) {
	c := newCage(t)
	c.policy()
	claw := c.running("triage")
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.GatewayName("triage")}}
	get(t, secret)
	before := secret.DeepCopy()
	// A rotation changes the one key, and nothing else.
	update(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: "triage-slack"}}, func(s *corev1.Secret) {
		s.StringData = map[string]string{"bot": "xoxb-rotated"}
	})
	eventually(t, func() string {
		get(t, secret)
		if string(secret.Data["credential.triage-slack.botToken"]) != "xoxb-rotated" {
			return "the gateway does not have the new key"
		}
		return ""
	})
	for key, value := range before.Data {
		if key != "credential.triage-slack.botToken" && string(secret.Data[key]) != string(value) {
			t.Errorf("%s has changed", key)
		}
	}
	grant := grantOf(t, claw)
	for _, cred := range grant.Spec.Credentials {
		if cred.Name == "triage-slack" && cred.Version == "" {
			t.Error("the grant does not tell the version")
		}
	}
}

// TestTamperedKeys: keys that somebody may know are made anew, and the agent is started again with them.
func TestTamperedKeys(t *testing.T) {
	c := newCage(t)
	c.policy()
	c.running("triage")
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.AgentName("triage")}}
	get(t, set)
	identity := set.Spec.Template.Annotations["clawstaff.dev/identity"]
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.GatewayName("triage")}}
	get(t, secret)
	ca := string(secret.Data[cage.KeyCAKey])
	secret.Data[cage.KeyProxyPassword] = []byte("known")
	if err := api.Update(context.Background(), secret, client.FieldOwner("somebody")); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if !get(t, secret) || string(secret.Data[cage.KeyProxyPassword]) == "known" || string(secret.Data[cage.KeyCAKey]) == ca {
			return "the keys are still those that somebody may know"
		}
		get(t, set)
		if set.Spec.Template.Annotations["clawstaff.dev/identity"] == identity {
			return "the agent keeps the old ones"
		}
		return ""
	})
}
