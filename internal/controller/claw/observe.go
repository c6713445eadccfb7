package claw

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/controller/index"
	"github.com/clawstaff/clawstaff/internal/controller/platform"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// facts are what was seen of a Claw and of what it follows from.
type facts struct {
	organization *v1alpha1.ClawOrganization
	directory    *policy.Directory
	result       policy.Result
	// people are whom the Claw belongs to.
	people cage.People
	// closed means that a schedule keeps everything out now, turns is when that may change, and opens when it does;
	// suspended that the agent is not to run meanwhile.
	closed, suspended bool
	turns, opens      time.Time

	credentials  []credentialFact
	keys         cage.Keys
	slots        map[string][]byte
	upstreamCA   []byte
	rootsMissing string
	platform     platform.Facts
	gatewayIP    string
	gatewayPods  []corev1.Pod
	agentPods    []corev1.Pod
	statefulSet  types.UID
	deployment   *appsv1.Deployment
	grant        *v1alpha1.ClawGrant
	// runtimeClass is what the agent runs in, and wantedClass what it would if that were there.
	runtimeClass, wantedClass string
	sibling                   string

	// agentIPs are the addresses of agent pods that have proved their cage.
	agentIPs []string
	proof    proof

	// blocked says why nothing can be made at all, hold why the agent cannot.
	blocked, hold *obstacle
}

// obstacle is why something cannot be.
type obstacle struct {
	reason, message string
	// waiting means that it ends without the Claw's owner doing anything.
	waiting bool
}

// observe reads everything the Claw follows from, and writes nothing.
func (r *Reconciler) observe(ctx context.Context, claw *v1alpha1.Claw) (facts, error) {
	var f facts
	var err error
	if f.organization, err = index.OrganizationOf(ctx, r.Client, claw.Namespace); err != nil {
		return f, err
	}
	if f.directory, err = r.directoryOf(ctx, f.organization); err != nil {
		return f, err
	}
	if err := r.observeSandbox(ctx, &f); err != nil {
		return f, err
	}
	if err := r.observeRequest(ctx, claw, &f); err != nil {
		return f, err
	}
	if err := r.observePeople(ctx, claw, &f); err != nil {
		return f, err
	}
	if f.blocked = cageObstacle(claw, f.organization); f.blocked != nil {
		return f, r.observeGrant(ctx, claw, &f)
	}
	if f.platform, err = r.Platform.Facts(ctx); err != nil {
		return f, err
	}
	if len(f.platform.LedgerCA) == 0 && claw.Spec.State != v1alpha1.ClawRevoked {
		return f, errors.New("the ledger has no certificate yet, and without it no gateway can record")
	}
	if err := r.observeChildren(ctx, claw, &f); err != nil {
		return f, err
	}
	if err := r.observeWorkspace(ctx, claw, &f); err != nil {
		return f, err
	}
	if claw.Spec.State != v1alpha1.ClawRevoked {
		if err := r.observeKeys(ctx, claw, &f); err != nil {
			return f, err
		}
		if f.upstreamCA, err = r.upstreamCA(ctx, &f); err != nil {
			return f, err
		}
	}
	if f.sibling, err = r.siblingOf(ctx, claw); err != nil {
		return f, err
	}
	f.proof = prove(claw, &f, r.Settings.GatewayImage)
	if f.result.Grant.State == v1alpha1.GrantActive && !f.suspended {
		f.agentIPs = f.proof.addresses
	}
	return f, nil
}

// cageObstacle says why a namespace cannot hold Claws, or nil.
func cageObstacle(claw *v1alpha1.Claw, org *v1alpha1.ClawOrganization) *obstacle {
	switch {
	case org == nil:
		return &obstacle{reason: v1alpha1.ReasonNotACage, message: fmt.Sprintf(
			"namespace %q is no organization's cage: create the Claw in spec.namespace of its ClawOrganization", claw.Namespace)}
	case !meta.IsStatusConditionTrue(org.Status.Conditions, v1alpha1.ConditionCageReady):
		return &obstacle{waiting: true, reason: v1alpha1.ReasonDependencyNotReady, message: fmt.Sprintf(
			"the cage of ClawOrganization %q is not ready", org.Name)}
	default:
		return nil
	}
}

// observeChildren looks at what runs.
func (r *Reconciler) observeChildren(ctx context.Context, claw *v1alpha1.Claw, f *facts) error {
	var service corev1.Service
	if err := r.child(ctx, claw, cage.GatewayName(claw.Name), &service); err != nil {
		return err
	}
	if service.UID != "" && service.Spec.ClusterIP != corev1.ClusterIPNone {
		f.gatewayIP = service.Spec.ClusterIP
	}
	if err := r.observeGrant(ctx, claw, f); err != nil {
		return err
	}
	var deployment appsv1.Deployment
	if err := r.child(ctx, claw, cage.GatewayName(claw.Name), &deployment); err != nil {
		return err
	}
	if deployment.UID != "" {
		f.deployment = &deployment
	}
	var set appsv1.StatefulSet
	if err := r.child(ctx, claw, cage.AgentName(claw.Name), &set); err != nil {
		return err
	}
	f.statefulSet = set.UID

	pods, err := r.pods(ctx, claw)
	if err != nil {
		return err
	}
	for _, p := range pods {
		switch p.Labels[v1alpha1.LabelComponent] {
		case v1alpha1.ComponentGateway:
			f.gatewayPods = append(f.gatewayPods, p)
		case v1alpha1.ComponentAgent:
			f.agentPods = append(f.agentPods, p)
		}
	}
	return nil
}

func (r *Reconciler) observeGrant(ctx context.Context, claw *v1alpha1.Claw, f *facts) error {
	var grant v1alpha1.ClawGrant
	if err := r.child(ctx, claw, claw.Name, &grant); err != nil {
		return err
	}
	if grant.UID != "" {
		f.grant = &grant
	}
	return nil
}

// child reads an object if the Claw controls it; what merely has its name counts as absent.
func (r *Reconciler) child(ctx context.Context, claw *v1alpha1.Claw, name string, o client.Object) error {
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: claw.Namespace, Name: name}, o)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("read %T %s: %w", o, name, err)
	}
	if owner := metav1.GetControllerOf(o); err != nil || owner == nil || owner.UID != claw.UID {
		o.SetUID("")
	}
	return nil
}

func (r *Reconciler) pods(ctx context.Context, claw *v1alpha1.Claw) ([]corev1.Pod, error) {
	var pods corev1.PodList
	err := r.Client.List(ctx, &pods, client.InNamespace(claw.Namespace), client.MatchingFields{index.PodClaw: claw.Name})
	if err != nil {
		return nil, fmt.Errorf("list the pods of the Claw: %w", err)
	}
	return pods.Items, nil
}

// gatewaysSay tells whether every live gateway pod has said that it enforces the given state.
func (f *facts) gatewaysSay(state v1alpha1.GrantState) bool {
	for i := range f.gatewayPods {
		word := f.word(&f.gatewayPods[i])
		if word == nil || word.State != state {
			return false
		}
	}
	return true
}

// word is what a gateway pod has written into the grant's status.
func (f *facts) word(pod *corev1.Pod) *v1alpha1.GrantGateway {
	if f.grant == nil {
		return nil
	}
	for i := range f.grant.Status.Gateways {
		if f.grant.Status.Gateways[i].PodUID == string(pod.UID) {
			return &f.grant.Status.Gateways[i]
		}
	}
	return nil
}
