package cel

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
)

// cage is a cage, and open a namespace that is none. strict and lenient are cages with a sandbox.
const (
	cage    = "acme"
	strict  = "strict"
	lenient = "lenient"
	open    = "open"
)

// Beside mallory: robot is a controller of Kubernetes that somebody has taken over, glazier may break the
// glass of every cage, and node is a kubelet. Each may do as much as mallory, in every namespace.
const (
	robot   = "system:serviceaccount:kube-system:robot"
	glazier = "glazier"
	node    = "system:node:one"
)

// refusedBy reports whether an admission policy refused, rather than RBAC or a schema.
func refusedBy(err error, policy string) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "ValidatingAdmissionPolicy '"+policy+"'")
}

// The people of these tests: edit and admin have what Kubernetes' roles of these names give in the cage;
// mallory may do everything there in every group Kubernetes and ClawStaff have, manages namespaces, and may do
// everything with ClawStaff kinds everywhere.
func cageObjects() []client.Object {
	everything := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "everything-there-is"}, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{"", "apps", "batch", "policy", "networking.k8s.io", "rbac.authorization.k8s.io", "discovery.k8s.io",
			"coordination.k8s.io", "events.k8s.io", v1alpha1.GroupVersion.Group},
		Resources: []string{"*"}, Verbs: []string{"*"},
	}}}
	kinds := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "clawstaff-kinds"}, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"*"}, Verbs: []string{"*"},
	}}}
	namespaces := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "namespaces"}, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{""}, Resources: []string{"namespaces", "namespaces/status", "namespaces/finalize"}, Verbs: []string{"*"},
	}}}
	enter := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "enter-cages"}, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{"breakglass.clawstaff.dev"}, Resources: []string{"cages"}, Verbs: []string{"enter"},
	}}}
	out := []client.Object{
		cageNamespace(cage, nil),
		// Pod Security comes first; where a cluster exempts a namespace from it, the policy is alone.
		cageNamespace(strict, map[string]string{v1alpha1.LabelRuntimeClass: "gvisor", v1alpha1.LabelRuntimeClassMode: "Required", "pod-security.kubernetes.io/enforce": "privileged"}),
		cageNamespace(lenient, map[string]string{v1alpha1.LabelRuntimeClass: "gvisor", v1alpha1.LabelRuntimeClassMode: "Preferred", "pod-security.kubernetes.io/enforce": "privileged"}),
		namespaceOf(open), namespaceOf(chart.Namespace),
		&nodev1.RuntimeClass{ObjectMeta: clusterScoped("gvisor"), Handler: "runsc"},
		&nodev1.RuntimeClass{ObjectMeta: clusterScoped("runc"), Handler: "runc"},
		&schedulingv1.PriorityClass{ObjectMeta: clusterScoped("clawstaff-gateway"), Value: 100000},
		&corev1.ServiceAccount{ObjectMeta: in("default")},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: open}},
		// Roles that nobody may bind in a cage, though they give nothing here.
		&rbacv1.ClusterRole{ObjectMeta: clusterScoped("clawstaff-manager-cage")}, &rbacv1.ClusterRole{ObjectMeta: clusterScoped("clawstaff-manager")},
		&rbacv1.ClusterRole{ObjectMeta: clusterScoped("clawstaff-member-and-more")},
		&rbacv1.Role{ObjectMeta: in("clawstaff-member")}, &rbacv1.Role{ObjectMeta: in("triage-gateway")},
		clusterBind("system:serviceaccount:acme:triage-gateway", "clawstaff-kinds"),
		everything, kinds, namespaces, enter,
		clusterBind("mallory", "namespaces"), clusterBind("mallory", "clawstaff-kinds"),
		bind("mallory", "everything-there-is"),
		clusterBind(robot, "everything-there-is"), clusterBind(node, "everything-there-is"),
		clusterBind(glazier, "everything-there-is"), clusterBind(glazier, "enter-cages"),
	}
	// The roles edit and admin are filled by a controller that does not run here; these are its parts.
	for _, part := range []string{"system:aggregate-to-view", "system:aggregate-to-edit", "clawstaff-kinds"} {
		out = append(out, bind("edit", part), bind("admin", part))
	}
	// The manager's own rights are the chart's business.
	return append(out, bind("admin", "system:aggregate-to-admin"), clusterBind(chart.ManagerUser, "cluster-admin"))
}

func clusterScoped(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }

func namespaceOf(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: clusterScoped(name)}
}

func cageNamespace(name string, labels map[string]string) *corev1.Namespace {
	ns := namespaceOf(name)
	ns.Labels = map[string]string{v1alpha1.LabelOrganization: name, "pod-security.kubernetes.io/enforce": "restricted", "team": "a"}
	maps.Copy(ns.Labels, labels)
	return ns
}

func bind(user, role string) client.Object {
	return &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: rbacName(user, role), Namespace: cage},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: user}},
	}
}

func clusterBind(user, role string) client.Object {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: rbacName(user, role)},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: user}},
	}
}

func rbacName(user, role string) string { return strings.ReplaceAll(user+"-is-"+role, ":", "-") }

// configAs returns the API server as a user sees it; a service account is in the groups it would be in.
func configAs(user string) *rest.Config {
	c := rest.CopyConfig(config)
	c.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	if parts := strings.Split(user, ":"); len(parts) == 4 && strings.HasPrefix(user, "system:serviceaccount:") {
		c.Impersonate.Groups = append(c.Impersonate.Groups, "system:serviceaccounts", "system:serviceaccounts:"+parts[2])
	}
	if user == node {
		c.Impersonate.Groups = append(c.Impersonate.Groups, "system:nodes")
	}
	return c
}

func as(user string) client.Client {
	c, err := client.New(configAs(user), client.Options{Scheme: scheme})
	if err != nil {
		panic(err) // the configuration is ours
	}
	return c
}

func clientset(user string) *kubernetes.Clientset {
	return kubernetes.NewForConfigOrDie(configAs(user))
}

// eventually waits until f has no error: RBAC and admission policies take effect a moment after they are written.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		last = f()
		return last == nil, nil
	})
	if err != nil {
		t.Errorf("%s: %v", what, last)
	}
}
