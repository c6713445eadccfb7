package mutation

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/directory"
	"github.com/clawstaff/clawstaff/internal/policy"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
	"github.com/clawstaff/clawstaff/internal/testing/operator"
)

// present is what there is of a world, as a cache sees it.
type present struct {
	org         *v1alpha1.ClawOrganization
	claw        *v1alpha1.Claw
	grant       *v1alpha1.ClawGrant
	policies    []v1alpha1.ClawPolicy
	credentials []v1alpha1.ClawCredential
}

func (w *world) look(ctx context.Context) (present, error) {
	var p present
	var org v1alpha1.ClawOrganization
	if err := op.Seen.Get(ctx, client.ObjectKey{Name: w.name}, &org); err == nil {
		p.org = &org
	} else if client.IgnoreNotFound(err) != nil {
		return p, err
	}
	var claws v1alpha1.ClawList
	var grants v1alpha1.ClawGrantList
	var policies v1alpha1.ClawPolicyList
	var credentials v1alpha1.ClawCredentialList
	for _, list := range []client.ObjectList{&claws, &grants, &policies, &credentials} {
		if err := op.Seen.List(ctx, list, client.InNamespace(w.name)); err != nil {
			return p, err
		}
	}
	if len(claws.Items) > 0 {
		p.claw = &claws.Items[0]
	}
	if len(grants.Items) > 0 {
		p.grant = &grants.Items[0]
	}
	p.policies, p.credentials = policies.Items, credentials.Items
	return p, nil
}

// settled says what is still to be done in a world: everything has been looked at in its present
// generation, and the grant is what follows from what there is.
func (w *world) settled(ctx context.Context) error {
	p, err := w.look(ctx)
	if err != nil {
		return err
	}
	if p.org != nil {
		if err := observed("ClawOrganization", p.org, p.org.Status.Conditions); err != nil {
			return err
		}
	}
	for i := range p.policies {
		if err := observed("ClawPolicy", &p.policies[i], p.policies[i].Status.Conditions); err != nil {
			return err
		}
	}
	for i := range p.credentials {
		if err := observed("ClawCredential", &p.credentials[i], p.credentials[i].Status.Conditions); err != nil {
			return err
		}
	}
	if p.claw == nil {
		if p.grant != nil {
			return fmt.Errorf("there is a grant and no Claw")
		}
		return nil
	}
	if err := observed("Claw", p.claw, p.claw.Status.Conditions); err != nil {
		return err
	}
	return w.noDrift(ctx, p)
}

// describe says how everything is, for a person who looks for what went wrong.
func (w *world) describe(ctx context.Context) string {
	p, err := w.look(ctx)
	if err != nil {
		return err.Error()
	}
	var out []string
	for i := range p.credentials {
		out = append(out, "ClawCredential "+p.credentials[i].Name+brief(p.credentials[i].Status.Conditions))
	}
	if p.claw != nil {
		out = append(out, "Claw"+brief(p.claw.Status.Conditions))
	}
	return strings.Join(out, "\n")
}

// observed says that an object was not looked at in its present generation.
func observed(kind string, o client.Object, conditions []metav1.Condition) error {
	if o.GetDeletionTimestamp() != nil {
		return fmt.Errorf("%s %s is being deleted", kind, o.GetName())
	}
	if len(conditions) == 0 {
		return fmt.Errorf("%s %s has no conditions", kind, o.GetName())
	}
	for _, c := range conditions {
		if c.ObservedGeneration != o.GetGeneration() {
			return fmt.Errorf("%s %s: generation %d was not looked at: %s", kind, o.GetName(), o.GetGeneration(), brief(conditions))
		}
	}
	return nil
}

var catalogue = func() *connector.Catalogue {
	c, err := connector.Builtin()
	if err != nil {
		panic(err) // it is ours
	}
	return c
}()

// noDrift compiles what there is, and compares it with the grant.
func (w *world) noDrift(ctx context.Context, p present) error {
	if p.grant == nil {
		return fmt.Errorf("there is no grant: %s", brief(p.claw.Status.Conditions))
	}
	in, err := w.input(ctx, p)
	if err != nil {
		return err
	}
	want := policy.Compile(in)
	got := p.grant.Spec.DeepCopy()
	got.AgentIPs = nil
	if diff := cmp.Diff(&want.Grant, got, cmpopts.EquateEmpty()); diff != "" {
		return fmt.Errorf("the grant is not what follows from what there is (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.Grant.Withheld, p.claw.Status.Withheld, cmpopts.EquateEmpty()); diff != "" {
		return fmt.Errorf("status.withheld of the Claw is not its grant's (-want +got):\n%s", diff)
	}
	return nil
}

// input gathers what a grant follows from, as a reader of the API would.
func (w *world) input(ctx context.Context, p present) (policy.Input, error) {
	in := policy.Input{Organization: p.org, Claw: p.claw, Policies: p.policies, Catalogue: catalogue, Now: time.Now()}
	for i := range in.Policies {
		if in.Policies[i].DeletionTimestamp != nil {
			in.Policies[i].Spec.Allow = v1alpha1.PolicyRules{}
		}
	}
	if p.org != nil {
		var err error
		if in.Directory, _, err = (&directory.Reader{Client: op.Seen, Namespace: chart.Namespace}).Of(ctx, p.org); err != nil {
			return in, err
		}
		if in.RuntimeClassName, err = runtimeClass(ctx, p.org.Spec.Sandbox); err != nil {
			return in, err
		}
	}
	for i := range p.credentials {
		c := &p.credentials[i]
		if !usable(p.claw, c) {
			continue
		}
		u := policy.UsableCredential{Source: c.Spec.Source, GrantCredential: v1alpha1.GrantCredential{
			Name: v1alpha1.ObjectName(c.Name), Connector: c.Spec.Connector, Version: c.Status.Version, Delivery: c.Spec.Delivery,
		}}
		if from := c.Spec.Source.Secret; from != nil {
			u.Slots = slices.Sorted(maps.Keys(from.Keys))
		}
		if from := c.Spec.Source.ExternalSecret; from != nil {
			for _, d := range from.Data {
				u.Slots = append(u.Slots, d.Slot)
			}
		}
		if c.Status.LastRotatedAt != nil {
			u.RotatedAt = c.Status.LastRotatedAt.Time
		}
		in.Credentials = append(in.Credentials, u)
	}
	return in, nil
}

// runtimeClass is what agents run in, or would if it were there.
func runtimeClass(ctx context.Context, sandbox v1alpha1.Sandbox) (string, error) {
	name := string(sandbox.RuntimeClassName)
	if name == "" || sandbox.RuntimeClass != v1alpha1.RuntimeClassPreferred {
		return name, nil
	}
	err := op.Seen.Get(ctx, client.ObjectKey{Name: name}, &nodev1.RuntimeClass{})
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	return name, err
}

// byPolicy are the reasons for which policies keep a credential from being used. The compiler says which one.
var byPolicy = map[string]bool{
	v1alpha1.ReasonSourceNotAllowed: true, v1alpha1.ReasonStoreNotAllowed: true,
	v1alpha1.ReasonDeliveryNotAllowed: true, v1alpha1.ReasonKeyTooOld: true,
}

// usable reports whether a credential is the Claw's to use, as far as policies let it.
func usable(claw *v1alpha1.Claw, c *v1alpha1.ClawCredential) bool {
	ready := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case ready == nil || c.Spec.State != v1alpha1.CredentialActive || c.DeletionTimestamp != nil || string(c.Spec.Claw.Name) != claw.Name:
		return false
	case byPolicy[ready.Reason]:
		return true
	default:
		return ready.Status == metav1.ConditionTrue && c.Spec.Claw.Owner == claw.Spec.Owner && c.Status.ClawUID == string(claw.UID)
	}
}

// snapshot is everything of a world that should be again as it was.
type snapshot map[string]any

// snap takes a snapshot without what names an incarnation: UIDs, times, generations.
func (w *world) snap(ctx context.Context) (snapshot, error) {
	p, err := w.look(ctx)
	if err != nil {
		return nil, err
	}
	out := snapshot{}
	if p.org != nil {
		out["ClawOrganization"] = tidy(p.org.Status)
	}
	for i := range p.policies {
		out["ClawPolicy "+p.policies[i].Name] = tidy(p.policies[i].Status)
	}
	for i := range p.credentials {
		status := p.credentials[i].Status
		status.ClawUID, status.LastRotatedAt = "", nil
		out["ClawCredential "+p.credentials[i].Name] = tidy(status)
	}
	if p.claw != nil {
		out["Claw"] = tidy(p.claw.Status)
	}
	if p.grant != nil {
		spec := *p.grant.Spec.DeepCopy()
		spec.ClawUID, spec.Hash = "", ""
		out["ClawGrant"] = tidy(spec)
		out["gateways"] = len(p.grant.Status.Gateways)
	}
	return out, w.children(ctx, out)
}

// children adds what the manager has made, in full but for what differs when a Claw is made anew.
func (w *world) children(ctx context.Context, out snapshot) error {
	for _, list := range childLists() {
		if err := op.Seen.List(ctx, list, client.InNamespace(w.name)); err != nil {
			return err
		}
		err := meta.EachListItem(list, func(o runtime.Object) error {
			item := o.(client.Object)
			kind := fmt.Sprintf("%T %s", o, item.GetName())
			if pod, ok := o.(*corev1.Pod); ok {
				kind = "Pod of " + pod.Labels[v1alpha1.LabelComponent]
			}
			u, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
			if err != nil {
				return err
			}
			out[kind] = "there"
			if w.anew {
				return nil // other addresses, and so other keys
			}
			switch o.(type) {
			case *corev1.Pod:
			case *corev1.Secret, *corev1.ConfigMap:
				out[kind] = fmt.Sprint(u["data"])
			default:
				out[kind] = tidy(u["spec"])
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func childLists() []client.ObjectList {
	return []client.ObjectList{
		&corev1.SecretList{}, &corev1.ServiceList{}, &corev1.ServiceAccountList{}, &corev1.ConfigMapList{}, &corev1.ResourceQuotaList{},
		&corev1.LimitRangeList{}, &corev1.PodList{}, &appsv1.DeploymentList{}, &appsv1.StatefulSetList{}, &networkingv1.NetworkPolicyList{},
		&rbacv1.RoleList{}, &rbacv1.RoleBindingList{},
	}
}

// tidy is a value as JSON, without times and generations.
func tidy(v any) any {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	var out any
	if err := json.Unmarshal(data, &out); err != nil {
		return err.Error()
	}
	return prune(out)
}

func prune(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range []string{"lastTransitionTime", "observedGeneration", "since", "podUID", "podName"} {
			delete(v, key)
		}
		for key := range v {
			v[key] = prune(v[key])
		}
		// Conditions are a map by their type, in the order in which they came to be.
		if list, ok := v["conditions"].([]any); ok {
			slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
	case []any:
		for i := range v {
			v[i] = prune(v[i])
		}
	}
	return v
}

// recovered says in what a world is not as it was at first.
func (w *world) recovered(ctx context.Context) error {
	if err := w.settled(ctx); err != nil {
		return err
	}
	now, err := w.snap(ctx)
	if err != nil {
		return err
	}
	first := w.first
	if w.anew {
		first = snapshot{}
		for key, v := range w.first {
			if strings.HasPrefix(key, "*") {
				v = "there"
			}
			first[key] = v
		}
	}
	if diff := cmp.Diff(first, now); diff != "" {
		p, err := w.look(ctx)
		if err != nil || p.grant == nil {
			return fmt.Errorf("the former state is not back (-before +now):\n%s", diff)
		}
		return fmt.Errorf("the former state is not back (-before +now):\n%s\nthe grant has hash %s, and gateways say %+v", diff, p.grant.Spec.Hash, p.grant.Status.Gateways)
	}
	return nil
}

// rest waits until nothing about a world is written any more, by the manager or anybody else, and returns how all
// is then. What never comes to rest is an error.
func (w *world) rest(ctx context.Context) (snapshot, error) {
	err := w.eventually(ctx, func(ctx context.Context) error {
		mark := op.Manager.Mark()
		before, err := w.versions(ctx)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(quiet):
		}
		if wrote := op.Manager.Since(mark, operator.About(w.name)); len(wrote) > 0 {
			return fmt.Errorf("the manager keeps writing: %v", wrote)
		}
		after, err := w.versions(ctx)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(before, after); diff != "" {
			return fmt.Errorf("something is written:\n%s", diff)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return w.snap(ctx)
}

// versions are the resource versions of everything in a world.
func (w *world) versions(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	lists := append(childLists(), &v1alpha1.ClawList{}, &v1alpha1.ClawGrantList{}, &v1alpha1.ClawPolicyList{}, &v1alpha1.ClawCredentialList{})
	for _, list := range lists {
		if err := op.Seen.List(ctx, list, client.InNamespace(w.name)); err != nil {
			return nil, err
		}
		err := meta.EachListItem(list, func(o runtime.Object) error {
			item := o.(client.Object)
			out[fmt.Sprintf("%T %s", o, item.GetName())] = item.GetResourceVersion()
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	var org v1alpha1.ClawOrganization
	err := op.Seen.Get(ctx, client.ObjectKey{Name: w.name}, &org)
	out["ClawOrganization"] = org.ResourceVersion
	return out, err
}

// quiet is how long nothing may be written for all to be at rest.
const quiet = 1500 * time.Millisecond
