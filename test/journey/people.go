package journey

import (
	"context"
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"
)

// eve has Kubernetes' own edit role. The binding is cluster-wide, because a cage takes no RoleBindings
// from people: that is the first door that is shut.
const eve = "eve@acme.example"

// editor: whoever has the built-in edit role tries what it allows everywhere else.
func (j *Journey) editor(ctx context.Context) error {
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "clawstaff-journey-editor-" + rand.String(5)},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: eve}},
	}
	if err := j.Client.Create(ctx, binding); err != nil {
		return err
	}
	defer func() { _ = j.Client.Delete(context.WithoutCancel(ctx), binding) }() // a stranger's binding does no harm here
	if err := j.bound(ctx); err != nil {
		return err
	}
	as := func(args ...string) []string { return append([]string{"--as", eve, "-n", Namespace}, args...) }
	const entering, writing = "nobody enters a cage", "is a cage"
	for _, attempt := range []struct {
		args []string
		says string
	}{
		{as("exec", Claw+"-agent-0", "-c", "agent", "--", "/usr/local/bin/node", "--version"), entering},
		{as("exec", "deploy/"+Claw+"-gateway", "--", "/gateway", "--help"), entering},
		{as("create", "token", Claw+"-gateway"), writing},
		{as("delete", "networkpolicy", "clawstaff-default-deny"), writing},
		{as("set", "image", "statefulset/"+Claw+"-agent", "agent=evil.example/agent:1"), writing},
		{as("label", "pod", Claw+"-agent-0", "clawstaff.dev/component=gateway", "--overwrite"), writing},
		{as("create", "deployment", "shell", "--image=evil.example/shell:1"), writing},
		{as("patch", "clawgrant", Claw, "--type=merge", "-p", `{"spec":{"agentIPs":["10.0.0.1"]}}`), ""},
	} {
		if err := j.refused(ctx, attempt.args, attempt.says); err != nil {
			return err
		}
	}
	return nil
}

// bound shows that the role is really there: what follows is refused by the cage, not by RBAC.
func (j *Journey) bound(ctx context.Context) error {
	for _, right := range [][]string{
		{"create", "pods", "--subresource=exec"},
		{"create", "serviceaccounts", "--subresource=token"},
		{"delete", "networkpolicies"},
	} {
		if out, err := j.Kubectl(ctx, append([]string{"auth", "can-i", "--as", eve, "-n", Namespace}, right...)...); err != nil {
			return fmt.Errorf("the edit role does not allow what is to be tried: %s: %w", out, err)
		}
	}
	j.Tell.Say("RBAC says yes: %s may exec, mint tokens and delete NetworkPolicies in %s", eve, Namespace)
	return nil
}

// outOfScope: the owner asks for more than the policies allow.
func (j *Journey) outOfScope(ctx context.Context) error {
	before := j.generation(ctx)
	err := j.refused(ctx, []string{"-n", Namespace, "patch", "claw", Claw, "--type=json", "-p", `[` +
		`{"op":"add","path":"/spec/channels/0/channels/-","value":"C0FINANCE"},` +
		`{"op":"add","path":"/spec/tools","value":[{"connector":"slack","credential":"triage-slack","actions":["Delete"],"resources":[{"type":"channel","names":["C0SUPPORT"]}]}]},` +
		`{"op":"replace","path":"/spec/models/0/models","value":["claude-opus-5"]}]`},
		"spec.channels[0].channels[1]", "spec.tools[0]", "spec.models[0]", "C0FINANCE", "no-deletion")
	if err != nil {
		return err
	}
	if after := j.generation(ctx); after != before {
		return fmt.Errorf("the Claw was changed all the same: generation %d, then %d", before, after)
	}
	return nil
}

func (j *Journey) generation(ctx context.Context) int64 {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(clawKind)
	if err := j.Client.Get(ctx, ctrlclient.ObjectKey{Namespace: Namespace, Name: Claw}, object); err != nil {
		return -1
	}
	return object.Generation
}
