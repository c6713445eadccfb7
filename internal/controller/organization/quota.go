package organization

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// recountAfter is how long a quota may be without its count before it is made anew.
const recountAfter = 10 * time.Second

// uncounted tells a quota of which Kubernetes has taken note, without counting all that it limits: the kind
// of Claws is new to its quota controller for half a minute after an installation. Nothing that is not
// counted is admitted, and the controller looks again only after minutes, or at a new quota.
func uncounted(quota *corev1.ResourceQuota) bool {
	for name := range quota.Status.Hard {
		if _, counted := quota.Status.Used[name]; !counted {
			return true
		}
	}
	return false
}

// recount removes a quota that stays uncounted, so that it is made anew; in the meantime the webhook counts
// Claws. It returns when to look again.
func (r *Reconciler) recount(ctx context.Context, quota *corev1.ResourceQuota) (time.Duration, error) {
	if quota == nil {
		return 0, nil
	}
	if r.Clock.Since(quota.CreationTimestamp.Time) < recountAfter {
		return recountAfter, nil
	}
	err := r.Client.Delete(ctx, quota, client.Preconditions{UID: &quota.UID})
	return recountAfter, client.IgnoreNotFound(err)
}
