package organization

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
)

// facts are what was seen of an organization.
type facts struct {
	namespace *corev1.Namespace
	claws     int
	quota     bool
	// uncounted is the quota while Kubernetes does not count what it limits.
	uncounted *corev1.ResourceQuota
	// blocked says why the namespace cannot be this organization's cage.
	blocked *blocked
}

type blocked struct {
	reason, message string
	// waiting means that it ends by itself.
	waiting bool
}

// adopted tells whether the namespace is this organization's.
func (f facts) adopted(org *v1alpha1.ClawOrganization) bool {
	return f.namespace != nil && f.namespace.Labels[v1alpha1.LabelOrganization] == org.Name
}

func (r *Reconciler) observe(ctx context.Context, org *v1alpha1.ClawOrganization) (facts, error) {
	var f facts
	var namespace corev1.Namespace
	err := r.Live.Get(ctx, client.ObjectKey{Name: org.Cage()}, &namespace)
	switch {
	case err == nil:
		f.namespace = &namespace
	case !apierrors.IsNotFound(err):
		return f, fmt.Errorf("read namespace %s: %w", org.Cage(), err)
	}
	if f.adopted(org) {
		if f.claws, err = r.count(ctx, org); err != nil {
			return f, err
		}
		var quota corev1.ResourceQuota
		err := r.Client.Get(ctx, client.ObjectKey{Namespace: org.Cage(), Name: cage.QuotaName}, &quota)
		if client.IgnoreNotFound(err) != nil {
			return f, err
		}
		f.quota = err == nil
		if f.quota && uncounted(&quota) {
			f.uncounted = &quota
		}
	}
	f.blocked, err = r.judge(ctx, org, f.namespace)
	return f, err
}

// count counts the Claws of a cage; live when the organization is about to go, because then a Claw the
// cache does not know yet would be left behind.
func (r *Reconciler) count(ctx context.Context, org *v1alpha1.ClawOrganization) (int, error) {
	var reader client.Reader = r.Client
	if !org.DeletionTimestamp.IsZero() {
		reader = r.Live
	}
	var claws v1alpha1.ClawList
	if err := reader.List(ctx, &claws, client.InNamespace(org.Cage())); err != nil {
		return 0, fmt.Errorf("count the Claws of %s: %w", org.Cage(), err)
	}
	return len(claws.Items), nil
}

// judge says why a namespace cannot be the organization's cage, or nil. It is adopted only if its label
// says so and nothing in it could have been planted; that is looked at once, and then it is closed.
func (r *Reconciler) judge(ctx context.Context, org *v1alpha1.ClawOrganization, namespace *corev1.Namespace) (*blocked, error) {
	name := org.Cage()
	switch {
	case reserved(name) || name == r.OperatorNamespace:
		return &blocked{reason: v1alpha1.ReasonNamespaceNotOurs, message: fmt.Sprintf(
			"namespace %q belongs to the cluster or to the operator and can be no cage: delete this organization and create one with another spec.namespace", name)}, nil
	case namespace == nil:
		return nil, nil
	case namespace.DeletionTimestamp != nil:
		return &blocked{waiting: true, reason: v1alpha1.ReasonDependencyNotReady, message: fmt.Sprintf(
			"namespace %q is being deleted; it is made again when it is gone", name)}, nil
	case namespace.Labels[v1alpha1.LabelOrganization] != org.Name:
		return &blocked{reason: v1alpha1.ReasonNamespaceNotOurs, message: fmt.Sprintf(
			"namespace %q exists and is not labelled %s=%s: choose another spec.namespace, or create that namespace anew with this label",
			name, v1alpha1.LabelOrganization, org.Name)}, nil
	}
	adopted, err := r.hasAdopted(ctx, org)
	if err != nil || adopted {
		return nil, err
	}
	strangers, err := r.strangers(ctx, name)
	if err != nil || len(strangers) == 0 {
		return nil, err
	}
	return &blocked{reason: v1alpha1.ReasonNamespaceNotEmpty, message: fmt.Sprintf(
		"namespace %q holds what is not a cage's: %s: remove it, or choose another spec.namespace. A cage to be holds only a new namespace's defaults, ClawStaff kinds, ConfigMaps and Secrets of type %s",
		name, strings.Join(strangers, ", "), v1alpha1.SecretTypeCredential)}, nil
}

// hasAdopted tells whether the organization's status says that it has its namespace. A cache that lags
// would have a cage judged a second time, after others were let in.
func (r *Reconciler) hasAdopted(ctx context.Context, org *v1alpha1.ClawOrganization) (bool, error) {
	if org.Status.Namespace == org.Cage() {
		return true, nil
	}
	var live v1alpha1.ClawOrganization
	if err := r.Live.Get(ctx, client.ObjectKey{Name: org.Name}, &live); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	return live.UID == org.UID && live.Status.Namespace == org.Cage(), nil
}

func reserved(name string) bool { return name == "default" || strings.HasPrefix(name, "kube-") }

// maxStrangers are named in a message.
const maxStrangers = 5

// strangers lists what a namespace holds that is neither a new namespace's nor ours.
func (r *Reconciler) strangers(ctx context.Context, namespace string) ([]string, error) {
	var claws v1alpha1.ClawList
	if err := r.Client.List(ctx, &claws, client.InNamespace(namespace)); err != nil {
		return nil, err
	}
	known := map[types.UID]bool{}
	for i := range claws.Items {
		known[claws.Items[i].UID] = true
	}
	var out []string
	for _, list := range []client.ObjectList{
		// Owners come before what they own.
		&appsv1.DeploymentList{}, &appsv1.StatefulSetList{}, &appsv1.ReplicaSetList{}, &corev1.ServiceList{},
		&corev1.PodList{}, &discoveryv1.EndpointSliceList{}, &corev1.ServiceAccountList{}, &corev1.SecretList{},
		&corev1.PersistentVolumeClaimList{}, &networkingv1.NetworkPolicyList{}, &rbacv1.RoleList{}, &rbacv1.RoleBindingList{},
		// What makes pods, and will when the cage is closed: Kubernetes' own controllers may go on in one.
		&appsv1.DaemonSetList{}, &batchv1.JobList{}, &batchv1.CronJobList{}, &corev1.ReplicationControllerList{},
	} {
		if err := r.Live.List(ctx, list, client.InNamespace(namespace)); err != nil {
			return nil, fmt.Errorf("look into namespace %s: %w", namespace, err)
		}
		err := meta.EachListItem(list, func(o runtime.Object) error {
			item, ok := o.(client.Object)
			switch {
			case !ok:
			case belongs(item, known):
				known[item.GetUID()] = true
			default:
				out = append(out, fmt.Sprintf("%s %s", kindOf(item), item.GetName()))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(out)
	if len(out) > maxStrangers {
		out = append(out[:maxStrangers], fmt.Sprintf("and %d more", len(out)-maxStrangers))
	}
	return out, nil
}

// belongs tells what may be in a cage before it is one. Known are the Claws, and what is known to be theirs.
func belongs(o client.Object, known map[types.UID]bool) bool {
	switch o := o.(type) {
	case *corev1.ServiceAccount:
		if o.Name == "default" {
			return true
		}
	case *corev1.Secret:
		if string(o.Type) == v1alpha1.SecretTypeCredential && len(o.OwnerReferences) == 0 {
			return true
		}
	case *networkingv1.NetworkPolicy:
		if o.Name == cage.DefaultDeny {
			return true
		}
	}
	// An organization that is created again finds its Claws and what is theirs.
	if owner := metav1.GetControllerOf(o); owner != nil {
		return known[owner.UID]
	}
	return slices.ContainsFunc(o.GetOwnerReferences(), func(owner metav1.OwnerReference) bool { return known[owner.UID] })
}

func kindOf(o client.Object) string {
	name := fmt.Sprintf("%T", o)
	return name[strings.LastIndex(name, ".")+1:]
}
