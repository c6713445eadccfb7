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
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/directory"
)

// facts are what was seen of an organization.
type facts struct {
	namespace *corev1.Namespace
	claws     int
	quota     bool
	// binding gives the manager its rights in the cage.
	binding *rbacv1.RoleBinding
	// taken is set when the namespace has become this organization's just now.
	taken bool
	// members of the whole directory, and what of it does not count.
	members  int
	problems []directory.Problem
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
		// Live when something is about to go, because then a Claw the cache does not know yet would be left behind.
		var reader client.Reader = r.Client
		if !org.DeletionTimestamp.IsZero() || namespace.DeletionTimestamp != nil {
			reader = r.Live
		}
		if f.claws, err = countClaws(ctx, reader, org.Cage()); err != nil {
			return f, err
		}
		if f.binding, err = r.observeBinding(ctx, reader, org); err != nil {
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
	f.blocked = r.judge(org, f.namespace)
	return f, r.observeDirectory(ctx, org, &f)
}

func countClaws(ctx context.Context, reader client.Reader, namespace string) (int, error) {
	var claws v1alpha1.ClawList
	if err := reader.List(ctx, &claws, client.InNamespace(namespace)); err != nil {
		return 0, fmt.Errorf("count the Claws of %s: %w", namespace, err)
	}
	return len(claws.Items), nil
}

// judge says why a namespace cannot be the organization's cage, or nil: by its name and its label alone. The
// manager goes into no namespace that is not labelled for the organization; only the platform and it set that label.
func (r *Reconciler) judge(org *v1alpha1.ClawOrganization, namespace *corev1.Namespace) *blocked {
	name := org.Cage()
	switch {
	case reserved(name) || name == r.OperatorNamespace:
		return &blocked{reason: v1alpha1.ReasonNamespaceNotOurs, message: fmt.Sprintf(
			"namespace %q belongs to the cluster or to the operator and can be no cage: delete this organization and create one with another spec.namespace", name)}
	case namespace == nil:
		return nil
	case namespace.DeletionTimestamp != nil:
		return &blocked{waiting: true, reason: v1alpha1.ReasonDependencyNotReady, message: fmt.Sprintf(
			"namespace %q is being deleted; it is made again when it is gone", name)}
	case namespace.Labels[v1alpha1.LabelOrganization] != org.Name:
		return &blocked{reason: v1alpha1.ReasonNamespaceNotOurs, message: fmt.Sprintf(
			"namespace %q exists and is not labelled %s=%s: choose another spec.namespace, or create that namespace anew with this label",
			name, v1alpha1.LabelOrganization, org.Name)}
	}
	return nil
}

// adopt looks into a namespace that was there before, once: it becomes the organization's only if nothing in
// it could have been planted, and then it is closed.
func (r *Reconciler) adopt(ctx context.Context, org *v1alpha1.ClawOrganization, f *facts) error {
	if f.taken {
		return nil
	}
	adopted, err := r.hasAdopted(ctx, org)
	if err != nil || adopted {
		return err
	}
	strangers, err := r.strangers(ctx, org)
	if err != nil || len(strangers) == 0 {
		return err
	}
	f.blocked = notEmpty(org, strangers)
	return nil
}

func notEmpty(org *v1alpha1.ClawOrganization, strangers []string) *blocked {
	return &blocked{reason: v1alpha1.ReasonNamespaceNotEmpty, message: fmt.Sprintf(
		"namespace %q holds what is not a cage's: %s: remove it, or choose another spec.namespace. A cage to be holds only a new namespace's defaults, ClawStaff kinds, ConfigMaps and Secrets of type %s",
		org.Cage(), strings.Join(strangers, ", "), v1alpha1.SecretTypeCredential)}
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
func (r *Reconciler) strangers(ctx context.Context, org *v1alpha1.ClawOrganization) ([]string, error) {
	var claws v1alpha1.ClawList
	if err := r.Client.List(ctx, &claws, client.InNamespace(org.Cage())); err != nil {
		return nil, err
	}
	k := known{operatorNamespace: r.OperatorNamespace, owners: map[types.UID]bool{}, rights: map[string]types.UID{}}
	for i := range claws.Items {
		k.claw(&claws.Items[i])
	}
	var out []string
	for _, look := range looks() {
		options := []client.ListOption{client.InNamespace(org.Cage())}
		if look.fields != nil {
			options = append(options, client.MatchingFieldsSelector{Selector: look.fields})
		}
		if err := r.Live.List(ctx, look.list, options...); err != nil {
			return nil, fmt.Errorf("look into namespace %s: %w", org.Cage(), err)
		}
		err := meta.EachListItem(look.list, func(o runtime.Object) error {
			item, ok := o.(client.Object)
			switch {
			case !ok:
			case look.ownerless && len(item.GetOwnerReferences()) == 0, k.belongs(item):
				k.owners[item.GetUID()] = true
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

// look is a kind that is looked for in a namespace before it is adopted. Ownerless, those without an owner may stay.
type look struct {
	list      client.ObjectList
	fields    fields.Selector
	ownerless bool
}

func looks() []look {
	var out []look
	for _, list := range []client.ObjectList{
		// Owners come before what they own.
		&appsv1.DeploymentList{}, &appsv1.StatefulSetList{}, &appsv1.ReplicaSetList{}, &corev1.ServiceList{},
		&corev1.PodList{}, &discoveryv1.EndpointSliceList{}, &corev1.ServiceAccountList{},
		&corev1.PersistentVolumeClaimList{}, &networkingv1.NetworkPolicyList{}, &rbacv1.RoleList{}, &rbacv1.RoleBindingList{},
		// What makes pods, and will when the cage is closed: Kubernetes' own controllers may go on in one.
		&appsv1.DaemonSetList{}, &batchv1.JobList{}, &batchv1.CronJobList{}, &corev1.ReplicationControllerList{},
	} {
		out = append(out, look{list: list})
	}
	// Of Secrets not even the manager sees more than it must: their type is asked for, not read.
	credential := fields.OneTermEqualSelector("type", v1alpha1.SecretTypeCredential)
	other := fields.OneTermNotEqualSelector("type", v1alpha1.SecretTypeCredential)
	return append(out, look{list: secrets(), fields: credential, ownerless: true}, look{list: secrets(), fields: other})
}

func secrets() *metav1.PartialObjectMetadataList {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
	return list
}

// known is what may be in a cage before it is one: an organization that is created again finds its Claws and
// what is theirs.
type known struct {
	operatorNamespace string
	// owners are the Claws, and what is known to be theirs.
	owners map[types.UID]bool
	// rights are the names of the Roles and RoleBindings that a Claw has, which its controller judges as they are.
	// Another one gives somebody a right that nothing of ours gave, whoever it says is its owner.
	rights map[string]types.UID
}

func (k *known) claw(c *v1alpha1.Claw) {
	k.owners[c.UID] = true
	k.rights[cage.GatewayName(c.Name)] = c.UID
	k.rights[cage.OwnerName(c.Name)] = c.UID
}

func (k *known) belongs(o client.Object) bool {
	owner := metav1.GetControllerOf(o)
	switch o := o.(type) {
	case *corev1.ServiceAccount:
		if o.Name == "default" {
			return true
		}
	case *networkingv1.NetworkPolicy:
		if o.Name == cage.DefaultDeny {
			return true
		}
	case *rbacv1.RoleBinding:
		return forPeople(o) || cage.IsManagerBinding(o, k.operatorNamespace) || owner != nil && k.rights[o.Name] == owner.UID
	case *rbacv1.Role:
		return owner != nil && k.rights[o.Name] == owner.UID
	}
	if owner != nil {
		return k.owners[owner.UID]
	}
	return slices.ContainsFunc(o.GetOwnerReferences(), func(owner metav1.OwnerReference) bool { return k.owners[owner.UID] })
}

func kindOf(o client.Object) string {
	if m, ok := o.(*metav1.PartialObjectMetadata); ok {
		return m.Kind
	}
	name := fmt.Sprintf("%T", o)
	return name[strings.LastIndex(name, ".")+1:]
}
