package claw

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/controller/apply"
)

// forgetDead removes from the grant's status the words of gateway pods that are gone. The manager may
// take such words away, and adds none. Whether a pod is gone the API server itself is asked: a cache may
// not know one yet that has just spoken.
func (r *Reconciler) forgetDead(ctx context.Context, f facts) error {
	if f.grant == nil {
		return nil
	}
	var kept []v1alpha1.GrantGateway
	for _, word := range f.grant.Status.Gateways {
		gone, err := r.podGone(ctx, f, word)
		if err != nil {
			return err
		}
		if !gone {
			kept = append(kept, word)
		}
	}
	if len(kept) == len(f.grant.Status.Gateways) {
		return nil
	}
	after := f.grant.DeepCopy()
	after.Status.Gateways = kept
	// The lock keeps a word that is being written at this moment.
	err := r.Client.Status().Patch(ctx, after, client.MergeFromWithOptions(f.grant, client.MergeFromWithOptimisticLock{}), apply.FieldOwner)
	if apierrors.IsConflict(err) {
		return nil // somebody spoke meanwhile; that wakes us
	}
	if err != nil {
		return fmt.Errorf("remove what gateways that are gone have said: %w", err)
	}
	return nil
}

func (r *Reconciler) podGone(ctx context.Context, f facts, word v1alpha1.GrantGateway) (bool, error) {
	for i := range f.gatewayPods {
		if string(f.gatewayPods[i].UID) == word.PodUID {
			return false, nil
		}
	}
	var pod corev1.Pod
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: f.grant.Namespace, Name: word.PodName}, &pod)
	switch {
	case apierrors.IsNotFound(err):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("look for pod %s: %w", word.PodName, err)
	}
	return string(pod.UID) != word.PodUID, nil
}
