package cel

import (
	"context"
	"fmt"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	v1alpha1ac "github.com/clawstaff/clawstaff/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
)

// The admission policies.
const (
	closedCage    = "clawstaff-closed-cage"
	cageLabels    = "clawstaff-cage-labels"
	grantsPolicy  = "clawstaff-grants"
	reservedKeys  = "clawstaff-reserved-keys"
	podsPolicy    = "clawstaff-cage-pods"
	tokensPolicy  = "clawstaff-cage-tokens"
	managerAtHome = "clawstaff-manager-at-home"
)

// floorTemplates are the chart's templates with admission policies, and with the roles for people.
var floorTemplates = []string{
	"templates/closed-cage.yaml", "templates/grants.yaml", "templates/reserved-keys.yaml", "templates/pods.yaml", "templates/manager-at-home.yaml",
	"templates/people.yaml",
}

// refusal is one validation of one admission policy, and attacks that it stops.
type refusal struct {
	policy string
	// says stands in the messages of this validation, and of no other of the policy.
	says string
	// by are the users it stops: mallory, who may do everything by RBAC, if there are none.
	by []string
	// people is set where those with Kubernetes' roles edit and admin are stopped too, if only by RBAC.
	people  bool
	attacks []attack
}

func floor() []refusal {
	var out []refusal
	for _, part := range [][]refusal{closedCageRefusals(), labelRefusals(), grantRefusals(), keyRefusals(), podRefusals(), homeRefusals()} {
		out = append(out, part...)
	}
	return out
}

func closedCageRefusals() []refusal {
	return []refusal{
		{closedCage, "nobody enters a cage", nil, true, entering()},
		{closedCage, "metadata.ownerReferences of ClawStaff kinds are not for people", nil, true, owning()},
		{closedCage, "the finalizer clawstaff.dev/teardown is the manager", nil, true, lettingGo()},
		{closedCage, "people bind only the ClusterRoles", nil, true, roleBindings()},
		{closedCage, "people write only Claws, ClawPolicies", nil, true, everythingElse()},
		{tokensPolicy, "only nodes", nil, true, []attack{{"mint the gateway's token", mint("triage-gateway")}}},
		// Whatever else is spared, by being Kubernetes' own or by breaking the glass, a token is not.
		{tokensPolicy, "only nodes", []string{robot, glazier, chart.ManagerUser}, false, []attack{{"mint the gateway's token", mint("triage-gateway")}}},
	}
}

// With manager and webhook away, each attack is refused, by the policy and the rule that is meant to.
func TestFloor(t *testing.T) {
	children(t)
	kept(t)
	for _, r := range floor() {
		for _, a := range r.attacks {
			for _, user := range orMallory(r.by) {
				t.Run(fmt.Sprintf("%s/%s/%s", r.policy, a.name, user), func(t *testing.T) {
					checkRefusedBy(t, a.do(t.Context(), as(user), clientset(user)), r.policy, r.says)
				})
			}
			if !r.people {
				continue
			}
			// Whoever has the roles that people usually have is refused too, by RBAC or by the policy.
			for _, user := range []string{"edit", "admin"} {
				t.Run(fmt.Sprintf("%s/%s/%s", r.policy, a.name, user), func(t *testing.T) {
					if err := a.do(t.Context(), as(user), clientset(user)); !apierrors.IsForbidden(err) {
						t.Errorf("got %v, want a refusal", err)
					}
				})
			}
		}
	}
}

func orMallory(users []string) []string {
	if len(users) == 0 {
		return []string{"mallory"}
	}
	return users
}

func checkRefusedBy(t *testing.T, err error, policy, says string) {
	t.Helper()
	if !refusedBy(err, policy) || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v, want a refusal by %s that says %q", err, policy, says)
	}
}

// A rule that nobody has tried to break may be none: each has an attack, which is told by what the rule says.
func TestEveryValidationHasAnAttacker(t *testing.T) {
	for _, policy := range admissionPolicies(t) {
		for i, v := range policy.Spec.Validations {
			attacked := 0
			for _, r := range floor() {
				if r.policy == policy.Name && strings.Contains(v.MessageExpression, r.says) {
					attacked += len(r.attacks)
				}
			}
			if attacked == 0 {
				t.Errorf("no attack on validation %d of %s: %s", i, policy.Name, v.MessageExpression)
			}
		}
	}
	for _, r := range floor() {
		if n := rulesThatSay(admissionPolicies(t), r); n != 1 {
			t.Errorf("%d validations of %s say %q, want one", n, r.policy, r.says)
		}
	}
}

func rulesThatSay(policies []admissionregistrationv1.ValidatingAdmissionPolicy, r refusal) int {
	n := 0
	for _, policy := range policies {
		for _, v := range policy.Spec.Validations {
			if policy.Name == r.policy && strings.Contains(v.MessageExpression, r.says) {
				n++
			}
		}
	}
	return n
}

// Every policy is in force, closes when it cannot judge, and says what was refused in its own words.
func TestPoliciesAreInForce(t *testing.T) {
	bound := map[string]bool{}
	for _, obj := range rendered(t) {
		var b admissionregistrationv1.ValidatingAdmissionPolicyBinding
		if typed(t, obj, "ValidatingAdmissionPolicyBinding", &b) {
			bound[b.Spec.PolicyName] = len(b.Spec.ValidationActions) == 1 && b.Spec.ValidationActions[0] == admissionregistrationv1.Deny && b.Spec.MatchResources == nil
		}
	}
	for _, policy := range admissionPolicies(t) {
		if !bound[policy.Name] {
			t.Errorf("%s denies nothing", policy.Name)
		}
		if *policy.Spec.FailurePolicy != admissionregistrationv1.Fail {
			t.Errorf("%s fails open", policy.Name)
		}
		for i, v := range policy.Spec.Validations {
			if v.MessageExpression == "" || v.Reason == nil {
				t.Errorf("validation %d of %s does not say why", i, policy.Name)
			}
		}
	}
}

// renderedOnce are the objects of the floor, rendered for all tests.
var renderedOnce []client.Object

func rendered(t *testing.T) []client.Object {
	t.Helper()
	if len(renderedOnce) == 0 {
		t.Fatal("the chart was not rendered")
	}
	return renderedOnce
}

func admissionPolicies(t *testing.T) []admissionregistrationv1.ValidatingAdmissionPolicy {
	t.Helper()
	var out []admissionregistrationv1.ValidatingAdmissionPolicy
	for _, obj := range rendered(t) {
		var policy admissionregistrationv1.ValidatingAdmissionPolicy
		if typed(t, obj, "ValidatingAdmissionPolicy", &policy) {
			out = append(out, policy)
		}
	}
	return out
}

// typed converts a rendered object, if it is of a kind.
func typed(t *testing.T, obj client.Object, kind string, into any) bool {
	t.Helper()
	u, ok := obj.(*unstructured.Unstructured)
	if !ok || u.GetKind() != kind {
		return false
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, into); err != nil {
		t.Fatal(err)
	}
	return true
}

// kept makes what people have written, with the manager's finalizer on the Claw.
func kept(t *testing.T) {
	t.Helper()
	for _, obj := range []client.Object{
		claw(named("kept")),
		credential(func(c *v1alpha1.ClawCredential) { c.Name = "kept" }),
		clawPolicy(func(p *v1alpha1.ClawPolicy) { p.Name = "kept" }),
		organization(func(o *v1alpha1.ClawOrganization) { o.Name = "kept" }),
	} {
		if err := k8s.Create(t.Context(), obj); client.IgnoreAlreadyExists(err) != nil {
			t.Fatal(err)
		}
	}
	finalizer := v1alpha1ac.Claw("kept", cage).WithFinalizers(v1alpha1.Finalizer)
	if err := as(chart.ManagerUser).Apply(t.Context(), finalizer, client.FieldOwner(v1alpha1.ManagedBy)); err != nil {
		t.Fatal(err)
	}
	// What the manager has marked, as it may.
	for _, obj := range marked() {
		if err := as(chart.ManagerUser).Patch(t.Context(), obj, merge(`{"metadata":{"labels":{"clawstaff.dev/mark":"ours"},"annotations":{"clawstaff.dev/mark":"ours"}}}`)); err != nil {
			t.Fatal(err)
		}
	}
}

func marked() []client.Object {
	return []client.Object{
		&v1alpha1.Claw{ObjectMeta: in("kept")}, &v1alpha1.ClawCredential{ObjectMeta: in("kept")}, &v1alpha1.ClawPolicy{ObjectMeta: in("kept")},
		&v1alpha1.ClawOrganization{ObjectMeta: clusterScoped("kept")},
	}
}

// inForce tries each policy, without keeping anything, and says which does not refuse yet.
func inForce(ctx context.Context) error {
	rogue := pod("rogue")
	rogue.Namespace, rogue.Spec.HostNetwork = strict, true
	_, minted := clientset(robot).CoreV1().ServiceAccounts(cage).CreateToken(ctx, "default", tokenRequest(nil), dryRun)
	mallory, dry := as("mallory"), client.DryRunAll
	marked := claw(func(c *v1alpha1.Claw) { c.Labels = map[string]string{"clawstaff.dev/x": "y"} })
	for policy, err := range map[string]error{
		closedCage:    mallory.Create(ctx, service("probe"), dry),
		cageLabels:    mallory.Patch(ctx, namespaceOf(cage), merge(`{"metadata":{"labels":{"clawstaff.dev/organization":"other"}}}`), dry),
		grantsPolicy:  mallory.Create(ctx, grant("probe"), dry),
		reservedKeys:  mallory.Create(ctx, marked, dry),
		podsPolicy:    as(robot).Create(ctx, rogue, dry),
		tokensPolicy:  minted,
		managerAtHome: as(chart.ManagerUser).Create(ctx, configMap(open, "probe"), dry),
	} {
		if !refusedBy(err, policy) {
			return fmt.Errorf("%s is not in force: %w", policy, err)
		}
	}
	return nil
}
