package cages

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// subscriber is a controller that is told of Secrets, of entered cages, or of both.
type subscriber struct {
	queue   queue
	secret  func(context.Context, *metav1.PartialObjectMetadata) []reconcile.Request
	entered func(ctx context.Context, namespace string) []reconcile.Request
}

// Secrets is a source of what happens to Secrets in cages: a controller is asked whom each concerns, as it
// was before and as it is now. A controller that starts later than the watch has missed nothing: it looks at
// all of its own objects first.
func (w *Watcher) Secrets(of func(context.Context, *metav1.PartialObjectMetadata) []reconcile.Request) source.Source {
	return source.Func(func(_ context.Context, q queue) error {
		w.subscribe(subscriber{queue: q, secret: of})
		return nil
	})
}

// Entries is a source of cages in which the manager's rights have come into force.
func (w *Watcher) Entries(in func(ctx context.Context, namespace string) []reconcile.Request) source.Source {
	return source.Func(func(_ context.Context, q queue) error {
		w.subscribe(subscriber{queue: q, entered: in})
		return nil
	})
}

// Inside lets a controller of what is in cages see only what is in an entered one. Of everything else the
// manager can change nothing, and where its rights come later, Entries tells.
func (w *Watcher) Inside(next reconcile.Reconciler) reconcile.Reconciler {
	return reconcile.Func(func(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
		if !w.Entered(request.Namespace) {
			return reconcile.Result{}, nil
		}
		result, err := next.Reconcile(ctx, request)
		if apierrors.IsForbidden(err) && !w.Entered(request.Namespace) {
			return reconcile.Result{}, nil // the rights were given up meanwhile
		}
		return result, err
	})
}

func (w *Watcher) subscribe(s subscriber) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.subscribers = append(w.subscribers, s)
}

// inForce says that the rights in a cage are in force, the first time it is seen.
func (w *Watcher) inForce(ctx context.Context, namespace string, o *opened) {
	w.mu.Lock()
	first := !o.entered
	o.entered = true
	subscribers := w.subscribers
	w.mu.Unlock()
	if !first {
		return
	}
	for _, s := range subscribers {
		if s.entered != nil {
			add(s.queue, s.entered(ctx, namespace))
		}
	}
}

// tell asks every subscriber whom a Secret concerns, in each of its states.
func (w *Watcher) tell(ctx context.Context, states ...*metav1.PartialObjectMetadata) {
	w.mu.Lock()
	subscribers := w.subscribers
	w.mu.Unlock()
	for _, s := range subscribers {
		for _, state := range states {
			if s.secret != nil && state != nil {
				add(s.queue, s.secret(ctx, state))
			}
		}
	}
}

func add(q queue, requests []reconcile.Request) {
	for _, r := range requests {
		q.Add(r)
	}
}
