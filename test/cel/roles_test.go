package cel

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/internal/testing/controlplane"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// holder is who has one of the roles for people in the cage, and nothing else.
func holder(t *testing.T, role string) string {
	t.Helper()
	user := "the-" + role
	if err := k8s.Create(t.Context(), bind(user, role)); client.IgnoreAlreadyExists(err) != nil {
		t.Fatal(err)
	}
	eventually(t, role, func() error {
		if len(rights(t, user)) == len(rights(t, "nobody")) {
			return fmt.Errorf("%s has no rights yet", user)
		}
		return nil
	})
	return user
}

// rights are a user's in the cage, as the API server says, one a line.
func rights(t *testing.T, user string) []string {
	t.Helper()
	review := &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: cage}}
	if err := as(user).Create(t.Context(), review); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, rule := range review.Status.ResourceRules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				line := resource
				if group != "" {
					line += "." + group
				}
				if len(rule.ResourceNames) > 0 {
					line += " " + strings.Join(rule.ResourceNames, ",")
				}
				out = append(out, line+": "+strings.Join(rule.Verbs, " "))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// What the roles for people give is reviewed line by line: a change of the chart changes this file.
func TestTheRolesForPeople(t *testing.T) {
	everybody := rights(t, "nobody")
	var got bytes.Buffer
	for _, role := range peopleRoles {
		fmt.Fprintf(&got, "%s\n", role)
		for _, line := range rights(t, holder(t, role)) {
			if slices.Contains(everybody, line) {
				continue
			}
			if strings.Contains(line, "*") {
				t.Errorf("%s has a wildcard: %s", role, line)
			}
			fmt.Fprintf(&got, "  %s\n", line)
		}
	}
	path := filepath.Join("testdata", "roles.txt")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s differs (-want +got); -update rewrites it:\n%s", path, diff)
	}
}

// None of them leads to a key, into a pod, to another's identity, or to more rights.
func TestNoRoleForPeopleLeadsToAKey(t *testing.T) {
	var asks []authorizationv1.ResourceAttributes
	ask := func(group, resource, sub string, verbs ...string) {
		for _, verb := range verbs {
			asks = append(asks, authorizationv1.ResourceAttributes{Namespace: cage, Group: group, Resource: resource, Subresource: sub, Verb: verb})
		}
	}
	ask("", "secrets", "", "get", "list", "watch", "update", "patch", "delete", "deletecollection")
	ask("", "pods", "log", "get")
	ask("", "configmaps", "", "get", "list", "update", "patch")
	for _, sub := range []string{"exec", "attach", "portforward", "proxy"} {
		ask("", "pods", sub, "get", "create")
	}
	ask("", "pods", "ephemeralcontainers", "update", "patch")
	ask("", "pods", "", "create", "update", "patch", "delete")
	ask("", "services", "proxy", "get", "create")
	ask("", "nodes", "proxy", "get", "create")
	ask("", "serviceaccounts", "token", "create")
	ask("", "serviceaccounts", "", "create", "impersonate")
	ask("", "users", "", "impersonate")
	ask("", "groups", "", "impersonate")
	ask("", "namespaces", "", "create", "update", "patch", "delete")
	ask("apps", "deployments", "", "create", "update", "patch", "delete")
	ask("networking.k8s.io", "networkpolicies", "", "create", "update", "patch", "delete")
	ask(rbacv1.GroupName, "roles", "", "create", "update", "bind", "escalate")
	ask(rbacv1.GroupName, "clusterroles", "", "create", "update", "bind", "escalate")
	ask(rbacv1.GroupName, "clusterrolebindings", "", "create", "update")
	ask("clawstaff.dev", "clawgrants", "", "create", "update", "patch", "delete")
	ask("clawstaff.dev", "clawgrants", "status", "update", "patch")
	ask("clawstaff.dev", "claws", "status", "update", "patch")
	ask("clawstaff.dev", "clawcredentials", "status", "update", "patch")
	ask("breakglass.clawstaff.dev", "cages", "", "enter")
	ask("assign.clawstaff.dev", "owners", "", "assign")
	ask("external-secrets.io", "externalsecrets", "", "create", "update", "patch")
	ask("admissionregistration.k8s.io", "validatingadmissionpolicies", "", "update", "patch", "delete")
	for _, role := range peopleRoles {
		user := holder(t, role)
		for _, a := range asks {
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: user, Groups: []string{"system:authenticated"}, ResourceAttributes: &a}}
			if err := k8s.Create(t.Context(), review); err != nil {
				t.Fatal(err)
			}
			if review.Status.Allowed {
				t.Errorf("%s may %s %s/%s of %q", role, a.Verb, a.Resource, a.Subresource, a.Group)
			}
		}
	}
}

// No role adds to another, and none is added to one of Kubernetes': who has a role was given it.
func TestRolesForPeopleAreNotAggregated(t *testing.T) {
	n := 0
	for _, obj := range rendered(t) {
		var role rbacv1.ClusterRole
		if !typed(t, obj, "ClusterRole", &role) {
			continue
		}
		n++
		if role.AggregationRule != nil {
			t.Errorf("%s is made of others", role.Name)
		}
		for label := range role.Labels {
			if strings.HasPrefix(label, "rbac.authorization.k8s.io/") {
				t.Errorf("%s is added to others", role.Name)
			}
		}
		if !slices.Contains(peopleRoles, role.Name) {
			t.Errorf("%s is none of the roles for people", role.Name)
		}
	}
	if n != len(peopleRoles) {
		t.Errorf("%d roles for people, want %d", n, len(peopleRoles))
	}
	text, err := os.ReadFile(filepath.Join(controlplane.Root(), "docs", "roles.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range peopleRoles {
		if !bytes.Contains(text, []byte(role)) {
			t.Errorf("docs/roles.md does not know %s", role)
		}
	}
}

// An administrator gives people the four roles, and no right that is not theirs to give.
func TestAnAdministratorBindsTheRolesForPeople(t *testing.T) {
	admin := as(holder(t, "clawstaff-admin"))
	for _, role := range peopleRoles {
		if err := admin.Create(t.Context(), binding("given-"+role, role), client.DryRunAll); err != nil {
			t.Errorf("bind %s: %v", role, err)
		}
	}
	for _, role := range []string{"cluster-admin", "system:aggregate-to-edit", "everything-there-is"} {
		if err := admin.Create(t.Context(), binding("given", role), client.DryRunAll); !apierrors.IsForbidden(err) {
			t.Errorf("bind %s: got %v, want a refusal", role, err)
		}
	}
}
