// Package apply makes desired objects real: one server-side apply for each that
// is not as it should be, none for those that are, and a new object in place of
// one that somebody else made or changed.
package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
)

// FieldOwner is the one owner of every field the manager writes.
const FieldOwner = client.FieldOwner(v1alpha1.ManagedBy)

// ErrWaiting says that an object of the same name is still being deleted; its end wakes us.
var ErrWaiting = errors.New("waiting for a former object of the same name to be gone")

// Applier applies.
type Applier struct {
	// Client reads from caches and writes.
	Client client.Client
	// Live reads past the caches: what is not cached, and what a cache does not select.
	Live client.Reader
}

// Children applies what belongs to a controller: an object of the same name that is not controlled by
// it, or that others wrote fields of, is replaced.
func (a *Applier) Children(ctx context.Context, controller types.UID, objects []cage.Object) error {
	for _, o := range objects {
		if err := a.one(ctx, controller, o); err != nil {
			return fmt.Errorf("%s %s: %w", *o.GetKind(), *o.GetName(), err)
		}
	}
	return nil
}

// Shared applies an object that others may write parts of, such as a namespace.
func (a *Applier) Shared(ctx context.Context, o cage.Object) error {
	hash, err := stamp(o)
	if err != nil {
		return err
	}
	live, err := a.observe(ctx, o)
	if err != nil {
		return err
	}
	if live != nil && hashOf(live) == hash && covers(live, o) {
		return nil
	}
	return a.Client.Apply(ctx, o, FieldOwner, client.ForceOwnership)
}

func (a *Applier) one(ctx context.Context, controller types.UID, o cage.Object) error {
	hash, err := stamp(o)
	if err != nil {
		return err
	}
	live, err := a.observe(ctx, o)
	if err != nil {
		return err
	}
	switch {
	case live == nil:
	case live.GetDeletionTimestamp() != nil:
		return ErrWaiting
	case !Ours(live, controller):
		if err := a.remove(ctx, live); err != nil {
			return err
		}
		// Nothing of ours is written into what is still there; and what was read of a Secret before it was
		// found to be somebody's, they may know: it is made anew.
		if _, keys := live.(*corev1.Secret); keys || len(live.GetFinalizers()) > 0 {
			return ErrWaiting
		}
	case hashOf(live) == hash && covers(live, o):
		return nil
	}
	err = a.Client.Apply(ctx, o, FieldOwner, client.ForceOwnership)
	if live != nil && immutable(err) {
		// A field that cannot be changed in place: a new object has it.
		if err := a.remove(ctx, live); err != nil {
			return err
		}
		err = a.Client.Apply(ctx, o, FieldOwner, client.ForceOwnership)
	}
	return err
}

// observe reads the object there is, or nil. Only objects with our label are cached, so what a cache
// does not know is looked for again: it may have been planted.
func (a *Applier) observe(ctx context.Context, o cage.Object) (client.Object, error) {
	live, err := a.empty(o)
	if err != nil {
		return nil, err
	}
	key := types.NamespacedName{Name: *o.GetName()}
	if o.GetNamespace() != nil {
		key.Namespace = *o.GetNamespace()
	}
	if cached(live) {
		err = a.Client.Get(ctx, key, live)
		if err == nil {
			return live, nil
		}
		if !apierrors.IsNotFound(err) {
			return nil, err
		}
	}
	if err = a.Live.Get(ctx, key, live); apierrors.IsNotFound(err) {
		return nil, nil
	}
	return live, err
}

// cached tells what is cached with its content. Of the others only metadata is.
func cached(o client.Object) bool {
	switch o.(type) {
	case *corev1.Secret, *corev1.Namespace, *corev1.PersistentVolumeClaim:
		return false
	default:
		return true
	}
}

func (a *Applier) empty(o cage.Object) (client.Object, error) {
	gv, err := schema.ParseGroupVersion(*o.GetAPIVersion())
	if err != nil {
		return nil, err
	}
	obj, err := a.Client.Scheme().New(gv.WithKind(*o.GetKind()))
	if err != nil {
		return nil, err
	}
	out, ok := obj.(client.Object)
	if !ok {
		return nil, fmt.Errorf("%T is no object", obj)
	}
	return out, nil
}

// remove deletes exactly the object that was seen, and not another one of its name.
func (a *Applier) remove(ctx context.Context, live client.Object) error {
	uid := live.GetUID()
	err := a.Client.Delete(ctx, live, client.Preconditions{UID: &uid}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	return client.IgnoreNotFound(err)
}

func immutable(err error) bool {
	if !apierrors.IsInvalid(err) {
		return false
	}
	text := err.Error()
	return strings.Contains(text, "immutable") || strings.Contains(text, "updates to statefulset spec for fields other than") ||
		strings.Contains(text, "cannot change roleRef")
}

// Status applies a status, all of it.
func Status(ctx context.Context, c client.Client, o runtime.ApplyConfiguration) error {
	return c.Status().Apply(ctx, o, FieldOwner, client.ForceOwnership)
}

// HasFinalizer tells whether an object carries the operator's finalizer.
func HasFinalizer(o client.Object) bool {
	return slices.Contains(o.GetFinalizers(), v1alpha1.Finalizer)
}

// Finalizer adds or removes the operator's finalizer, of exactly the object that was seen. It is a patch of
// nothing else, and no apply: people choose the name their fields are noted under, and where that is ours,
// an apply without these fields would take them away.
func Finalizer(ctx context.Context, c client.Client, o client.Object, want bool) error {
	if HasFinalizer(o) == want {
		return nil
	}
	after, ok := o.DeepCopyObject().(client.Object)
	if !ok {
		return fmt.Errorf("%T is no object", o)
	}
	if want {
		controllerutil.AddFinalizer(after, v1alpha1.Finalizer)
	} else {
		controllerutil.RemoveFinalizer(after, v1alpha1.Finalizer)
	}
	err := c.Patch(ctx, after, client.MergeFromWithOptions(o, client.MergeFromWithOptimisticLock{}), FieldOwner)
	if err != nil && (want || !apierrors.IsNotFound(err)) {
		return fmt.Errorf("finalizer: %w", err)
	}
	return nil
}

// DeleteIfThere deletes a child of the given kind and name, whoever made it. What there is, the given
// reader says: a cache costs nothing, and may not know yet what was just made. What is not cached is asked for live.
func (a *Applier) DeleteIfThere(ctx context.Context, reader client.Reader, child client.Object) error {
	key := client.ObjectKeyFromObject(child)
	read := child
	if !cached(child) {
		gvk, err := a.Client.GroupVersionKindFor(child)
		if err != nil {
			return err
		}
		partial := &metav1.PartialObjectMetadata{}
		partial.SetGroupVersionKind(gvk)
		read, reader = partial, a.Live
	}
	err := reader.Get(ctx, key, read)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if read.GetDeletionTimestamp() != nil {
		return nil
	}
	return a.remove(ctx, read)
}
