package apply

import (
	"reflect"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

// StatusChanged passes updates of an object's status, the controller's own among them: a status that was
// computed while the cache lagged behind a write may look like the one before it, and so was not written.
// Seeing the write come back is what sets it right. At rest nothing is written, so nothing comes back.
func StatusChanged[T client.Object, S any](status func(T) S) predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		old, wasOurs := e.ObjectOld.(T)
		now, isOurs := e.ObjectNew.(T)
		return wasOurs && isOurs && !reflect.DeepEqual(status(old), status(now))
	}}
}
