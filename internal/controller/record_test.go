package controller_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
)

// record is what the API server itself says of the manager's requests: each one, and which role allowed it.
type record struct{ dir string }

// agentOfTests marks what a test asks as the manager, to see that it is refused.
const agentOfTests = "test-of-rights"

func newRecord(dir string) (record, error) {
	policy := fmt.Sprintf(`apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules: [{level: Metadata, users: [%q]}, {level: None}]
`, managerUser.Name)
	r := record{dir}
	return r, os.WriteFile(r.path("policy.yaml"), []byte(policy), 0o600)
}

func (r record) path(name string) string { return filepath.Join(r.dir, name) }

// keep has the API server write its audit log. It also has it ask for the right to block an owner's deletion,
// as some distributions do.
func (r record) keep(env *envtest.Environment) {
	env.ControlPlane.GetAPIServer().Configure().
		Set("audit-policy-file", r.path("policy.yaml")).
		Set("audit-log-path", r.path("audit.log")).
		Append("enable-admission-plugins", "OwnerReferencesPermissionEnforcement")
}

// inCages is the role the manager has in each cage.
const inCages = "ClusterRole clawstaff-manager-cage"

// right is one verb on one resource of one name, which one role gives; the name is empty where it gives all.
type right struct{ role, verb, group, resource, name string }

func (r right) String() string {
	resource := r.resource
	if r.group != "" {
		resource += "." + r.group
	}
	return strings.TrimSpace(fmt.Sprintf("%s: %s %s %s", r.role, r.verb, resource, r.name))
}

type auditEvent struct {
	Verb           string
	UserAgent      string
	ObjectRef      *struct{ APIGroup, Resource, Subresource, Namespace, Name string }
	ResponseStatus struct{ Code int }
	// Annotations say who decided what.
	Annotations map[string]string
}

// verbs are those that a request takes: an apply that makes its object takes create too, and a watch is a list
// first where the API server cannot stream one.
func (q auditEvent) verbs() []string {
	switch {
	case q.Verb == "patch" && q.ResponseStatus.Code == http.StatusCreated:
		return []string{"patch", "create"}
	case q.Verb == "watch":
		return []string{"watch", "list"}
	default:
		return []string{q.Verb}
	}
}

func (q auditEvent) resource() string {
	if q.ObjectRef.Subresource != "" {
		return q.ObjectRef.Resource + "/" + q.ObjectRef.Subresource
	}
	return q.ObjectRef.Resource
}

var allowedBy = regexp.MustCompile(`^RBAC: allowed by \w+ "[^"]*" of (\w+) "([^"]*)"`)

// compare says which rights the chart gives that the manager never used, and which it lacked.
func (r record) compare() error {
	given, err := chartRights()
	if err != nil {
		return err
	}
	used, problems, err := r.used()
	if err != nil {
		return err
	}
	if err := passedOn(used); err != nil {
		return err
	}
	for g := range given {
		if !used[g] {
			problems = append(problems, "given and never used: "+g.String())
		}
	}
	if len(problems) == 0 {
		return nil
	}
	slices.Sort(problems)
	return fmt.Errorf("the chart's rights of the manager, in manager-rbac.yaml, are not those it uses:\n%s", strings.Join(slices.Compact(problems), "\n"))
}

// chartRights takes the chart's roles apart.
func chartRights() (map[right]bool, error) {
	objects, err := chart.Render("templates/manager-rbac.yaml")
	if err != nil {
		return nil, err
	}
	out := map[right]bool{}
	for _, o := range objects {
		kind := o.GetObjectKind().GroupVersionKind().Kind
		if kind != "ClusterRole" && kind != "Role" {
			continue
		}
		var role rbacv1.ClusterRole
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
		if err != nil {
			return nil, err
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, &role); err != nil {
			return nil, err
		}
		for _, rule := range role.Rules {
			maps.Copy(out, apart(kind+" "+role.Name, rule))
		}
	}
	return out, nil
}

func apart(role string, rule rbacv1.PolicyRule) map[right]bool {
	out := map[right]bool{}
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	for _, verb := range rule.Verbs {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, name := range names {
					out[right{role, verb, group, resource, name}] = true
				}
			}
		}
	}
	return out
}

// used reads from the audit log what the manager did, and what it was refused.
func (r record) used() (used map[right]bool, refused []string, err error) {
	f, err := os.Open(r.path("audit.log"))
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	bound, err := boundNamespaces()
	if err != nil {
		return nil, nil, err
	}
	used = map[right]bool{}
	lacked := map[right]string{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var q auditEvent
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			return nil, nil, err
		}
		if q.ObjectRef == nil || q.UserAgent == agentOfTests {
			continue
		}
		if q.Annotations["authorization.k8s.io/decision"] == "forbid" {
			if in := q.ObjectRef.Namespace; in != "" && in != operatorNamespace && !bound[in] {
				continue // what was under way when the rights there were given up
			}
			// A cage's Secrets are asked for until the rights in the cage are in force.
			if q.ObjectRef.Resource != "secrets" || q.Verb != "list" && q.Verb != "watch" || q.ObjectRef.Namespace == "" {
				in := right{inCages, q.Verb, q.ObjectRef.APIGroup, q.resource(), ""}
				if q.ObjectRef.Namespace == operatorNamespace {
					in.role = q.ObjectRef.Namespace
				}
				lacked[in] = fmt.Sprintf("used and not given: %s %s of group %q in namespace %q", q.Verb, q.resource(), q.ObjectRef.APIGroup, q.ObjectRef.Namespace)
			}
			continue
		}
		by := allowedBy.FindStringSubmatch(q.Annotations["authorization.k8s.io/reason"])
		if by == nil {
			continue // not by a role
		}
		for _, verb := range q.verbs() {
			used[right{by[1] + " " + by[2], verb, q.ObjectRef.APIGroup, q.resource(), ""}] = true
			used[right{by[1] + " " + by[2], verb, q.ObjectRef.APIGroup, q.resource(), q.ObjectRef.Name}] = true
		}
	}
	for l, problem := range lacked {
		// What is allowed in another cage is given: here the binding was on its way, or gone for a moment with an
		// organization that was made again.
		if !used[l] {
			refused = append(refused, problem)
		}
	}
	return used, refused, lines.Err()
}

// boundNamespaces are those in which the manager has its rights, and no test took them for a while.
func boundNamespaces() (map[string]bool, error) {
	var bindings rbacv1.RoleBindingList
	if err := api.List(context.Background(), &bindings, client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}); err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for i := range bindings.Items {
		b := &bindings.Items[i]
		if _, taken := rightsTaken.Load(b.Namespace); !taken && cage.IsManagerBinding(b, operatorNamespace) {
			out[b.Namespace] = true
		}
	}
	return out, nil
}

// rightsTaken are namespaces in which a test took the manager's rights, or had it wait for them.
var rightsTaken sync.Map

// passedOn adds what the manager must hold without doing it: what it gives to others, the role it binds to
// itself, and the deletion of owners that its children block.
func passedOn(used map[right]bool) error {
	ctx, inCage, outside := context.Background(), inCages, "ClusterRole clawstaff-manager"
	var roles rbacv1.RoleList
	managed := client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}
	if err := api.List(ctx, &roles, managed); err != nil {
		return err
	}
	for _, role := range roles.Items {
		for _, rule := range role.Rules {
			rule.ResourceNames = nil
			maps.Copy(used, apart(inCage, rule))
		}
		for _, owner := range role.OwnerReferences {
			if owner.BlockOwnerDeletion != nil && *owner.BlockOwnerDeletion {
				used[right{inCage, "update", v1alpha1.GroupVersion.Group, "claws/finalizers", ""}] = true
			}
		}
	}
	var bindings rbacv1.RoleBindingList
	if err := api.List(ctx, &bindings, managed); err != nil {
		return err
	}
	for _, b := range bindings.Items {
		if b.RoleRef.Kind == "ClusterRole" {
			used[right{outside, "bind", rbacv1.GroupName, "clusterroles", b.RoleRef.Name}] = true
		}
	}
	return nil
}
