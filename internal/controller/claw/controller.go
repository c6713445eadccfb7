// Package claw makes everything of a Claw: its grant, its gateway, its agent, and
// what is seen of them.
package claw

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	v1alpha1ac "github.com/clawstaff/clawstaff/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/controller/apply"
	"github.com/clawstaff/clawstaff/internal/controller/platform"
	"github.com/clawstaff/clawstaff/internal/credential"
	"github.com/clawstaff/clawstaff/internal/directory"
	"github.com/clawstaff/clawstaff/internal/probe"
)

// Reconciler reconciles Claws.
type Reconciler struct {
	Client client.Client
	// Live reads Secrets by name, and what is not cached.
	Live      client.Reader
	Events    events.EventRecorder
	Clock     clock.PassiveClock
	Catalogue *connector.Catalogue
	Hasher    credential.Hasher
	Settings  cage.Settings
	Platform  *platform.Reader
	// Directory reads who is who.
	Directory *directory.Reader
	// Outside are addresses of the internet that no agent may reach.
	Outside []probe.Target

	revoking revocations
	told     memory
}

// Reconcile implements reconcile.ObjectReconciler.
func (r *Reconciler) Reconcile(ctx context.Context, claw *v1alpha1.Claw) (ctrl.Result, error) {
	if !claw.DeletionTimestamp.IsZero() {
		return r.finalize(ctx, claw)
	}
	facts, err := r.observe(ctx, claw)
	if err != nil {
		return ctrl.Result{}, err
	}
	again, applyErr := r.apply(ctx, claw, facts)
	status := computeStatus(claw, facts, applyErr, r.Clock.Now())
	if err := r.finish(ctx, claw, status); err != nil {
		return ctrl.Result{}, errors.Join(applyErr, err)
	}
	if waiting(applyErr) {
		again, applyErr = waitInterval, nil
	}
	if apierrors.IsInvalid(applyErr) {
		applyErr = nil // the status says so; to try again would be refused again, and a change wakes us
	}
	return ctrl.Result{RequeueAfter: sooner(again, r.Clock.Now(), facts.result.Next, facts.turns)}, applyErr
}

// sooner is when to look again: after a while, or when time itself changes what is granted or said.
func sooner(again time.Duration, now time.Time, moments ...time.Time) time.Duration {
	for _, at := range moments {
		if at.IsZero() {
			continue
		}
		// Never at once: what has just passed is judged as passed.
		if left := max(at.Sub(now), time.Second); again == 0 || left < again {
			again = left
		}
	}
	return again
}

// waitInterval is how often what is being deleted is looked for: not all of it is watched.
const waitInterval = 5 * time.Second

// waiting tells errors that end by themselves.
func waiting(err error) bool {
	return errors.Is(err, apply.ErrWaiting) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

// apply makes what the facts ask for. It returns when to look again, for what no watch tells.
func (r *Reconciler) apply(ctx context.Context, claw *v1alpha1.Claw, f facts) (time.Duration, error) {
	applier := apply.Applier{Client: r.Client, Live: r.Live}
	if f.blocked != nil {
		return 0, r.grantAlone(ctx, applier, claw, f)
	}
	if err := apply.Finalizer(ctx, r.Client, claw, true); err != nil {
		return 0, err
	}
	if claw.Spec.State == v1alpha1.ClawRevoked {
		return r.revoke(ctx, applier, claw, f)
	}
	objects, err := cage.ForClaw(r.input(claw, f))
	if err != nil {
		return 0, err
	}
	if err := applier.Children(ctx, claw.UID, objects); err != nil {
		return 0, err
	}
	if err := r.unbind(ctx, applier, claw, f); err != nil {
		return 0, err
	}
	if err := r.forgetDead(ctx, f); err != nil {
		return 0, err
	}
	if f.hold == nil {
		return 0, nil
	}
	var again time.Duration
	if f.hold.waiting {
		again = waitInterval
	}
	return again, deleteAll(ctx, applier, r.Client, agentWorkload(claw))
}

// finish applies the status if it differs, then tells of transitions.
func (r *Reconciler) finish(ctx context.Context, claw *v1alpha1.Claw, status v1alpha1.ClawStatus) error {
	if reflect.DeepEqual(claw.Status, status) {
		return nil
	}
	ac := v1alpha1ac.ClawStatus()
	if err := cage.Convert(status, ac); err != nil {
		return err
	}
	err := apply.Status(ctx, r.Client, v1alpha1ac.Claw(claw.Name, claw.Namespace).WithUID(claw.UID).WithStatus(ac))
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	tell(r.Events, claw, r.told.swap(claw, saidOf(status.Conditions)), status.Conditions)
	return nil
}

// revocations remembers since when a revocation is being waited for. It is memory only: a manager that
// starts again waits again, which costs seconds and nothing else.
type revocations struct {
	mu    sync.Mutex
	since map[types.UID]time.Time
}

func (r *revocations) begin(uid types.UID, now time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.since == nil {
		r.since = map[types.UID]time.Time{}
	}
	if _, ok := r.since[uid]; !ok {
		r.since[uid] = now
	}
	return r.since[uid]
}

func (r *revocations) end(uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.since, uid)
}
