// Package watch turns what happens to an object into whom it concerns.
package watch

import (
	"context"
	"slices"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Changes enqueues whom a change concerns, as the object was before and is after. There is no before of one
// that is new, and no after of one that is gone.
func Changes[T interface {
	comparable
	client.Object
}](of func(ctx context.Context, before, after T) []reconcile.Request) handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	enqueue := func(ctx context.Context, q queue, old, now client.Object) {
		before, _ := old.(T)
		after, _ := now.(T)
		var none T
		if before == none && after == none {
			return
		}
		for _, request := range of(ctx, before, after) {
			q.Add(request)
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) { enqueue(ctx, q, nil, e.Object) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) { enqueue(ctx, q, e.ObjectOld, e.ObjectNew) },
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { enqueue(ctx, q, e.Object, nil) },
	}
}

// Both are before and after, without what there is not.
func Both[T comparable](before, after T) []T {
	var none T
	return slices.DeleteFunc([]T{before, after}, func(o T) bool { return o == none })
}
