package controller_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
)

// TestDeliveredIntoTheContainer: a key is in the agent's files when its owner says so and policies let it, and
// for as long as the Claw may use it. Nothing of it starts the agent anew.
func TestDeliveredIntoTheContainer(t *testing.T) {
	c := newCage(t)
	p := c.policy()
	claw := c.running("triage")
	generation := templateOf(t, claw)
	agentHas := func(key, want string) {
		t.Helper()
		holds(t, c.name, cage.AgentName("triage"), key, want)
	}
	source := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: "triage-slack"}}
	get(t, source)
	bot := string(source.Data["bot"])
	cred := &v1alpha1.ClawCredential{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: "triage-slack"}}
	const token, signing = "credential.triage-slack.botToken", "credential.triage-slack.signingSecret"

	t.Log("only the gateway has it, unless its owner says otherwise")
	gatewayHas(t, claw, token, bot)
	agentHas(token, "")

	t.Log("its owner says otherwise: what is called with, and not what is verified with")
	deliver := func(d v1alpha1.Delivery) {
		t.Helper()
		update(t, cred, func(cred *v1alpha1.ClawCredential) { cred.Spec.Delivery = d })
	}
	deliver(v1alpha1.DeliveryContainer)
	agentHas(token, bot)
	agentHas(signing, "")
	gatewayHas(t, claw, token, bot)
	for _, granted := range grantOf(t, claw).Spec.Credentials {
		if want := granted.Name == "triage-slack"; want != (granted.Delivery == v1alpha1.DeliveryContainer) {
			t.Errorf("the grant says that %s is delivered to the %s", granted.Name, granted.Delivery)
		}
	}

	t.Log("a rotation")
	rotated := "xoxb-" + rand.String(20)
	update(t, source, func(s *corev1.Secret) { s.StringData = map[string]string{"bot": rotated} })
	agentHas(token, rotated)

	t.Log("a policy that wants keys in gateways only")
	update(t, p, func(p *v1alpha1.ClawPolicy) {
		p.Spec.Require.Credentials.Delivery = []v1alpha1.Delivery{v1alpha1.DeliveryGateway}
	})
	agentHas(token, "")
	gatewayHas(t, claw, token, "")
	credentialReady(t, c.name, "triage-slack", v1alpha1.ReasonDeliveryNotAllowed)
	condition(t, claw, v1alpha1.ConditionInScope, v1alpha1.ReasonOutOfScope)
	withheldBy(t, claw, v1alpha1.WithheldRequired, "everything")
	deliver(v1alpha1.DeliveryGateway)
	gatewayHas(t, claw, token, rotated)
	agentHas(token, "")
	update(t, p, func(p *v1alpha1.ClawPolicy) { p.Spec.Require.Credentials.Delivery = nil })

	t.Log("a revoked key is taken from the files too")
	deliver(v1alpha1.DeliveryContainer)
	agentHas(token, rotated)
	update(t, cred, func(cred *v1alpha1.ClawCredential) { cred.Spec.State = v1alpha1.CredentialRevoked })
	agentHas(token, "")
	gatewayHas(t, claw, token, "")
	remove(t, cred)
	condition(t, claw, v1alpha1.ConditionCredentialsReady, v1alpha1.ReasonDependencyNotReady)
	if got := templateOf(t, claw); got != generation {
		t.Error("the agent was started anew")
	}
}
