package v1alpha1

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// plenty is how much room the manager's own count, which is a moment old, must leave for nobody to count again:
// that looks at every Claw of the cage.
const plenty = 100

// withinQuota refuses a Claw more than the organization may have. The namespace's ResourceQuota holds the
// line against creations at the same moment; this one explains.
func (j *judge) withinQuota(ctx context.Context, f *findings, s *surroundings, claw *v1alpha1.Claw) error {
	quota := s.organization.Spec.Quota.Claws
	if quota == nil || *quota-s.organization.Status.Claws > plenty {
		return nil
	}
	n, err := j.clawsIn(ctx, s.reader, claw.Namespace)
	if err != nil {
		return err
	}
	if n >= int(*quota) {
		f.refuse("metadata.name", "ClawOrganization %q has %d Claws and its spec.quota.claws is %d: delete a Claw, revoked ones included, or have the platform raise the quota",
			s.organization.Name, n, *quota)
	}
	return nil
}

// clawsIn counts the Claws of a namespace.
func (j *judge) clawsIn(ctx context.Context, r client.Reader, namespace string) (int, error) {
	if r == j.cached {
		return j.count(ctx, namespace)
	}
	claws := &metav1.PartialObjectMetadataList{}
	claws.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("ClawList"))
	if err := r.List(ctx, claws, client.InNamespace(namespace)); err != nil {
		return 0, fmt.Errorf("count Claws: %w", err)
	}
	return len(claws.Items), nil
}

// countIn counts the Claws of a namespace by a cache's index, so that a cage of thousands costs no copy of them.
func countIn(c cache.Cache) func(context.Context, string) (int, error) {
	return func(ctx context.Context, namespace string) (int, error) {
		informer, err := c.GetInformer(ctx, &v1alpha1.Claw{})
		if err != nil {
			return 0, fmt.Errorf("count Claws: %w", err)
		}
		if indexed, ok := informer.(interface{ GetIndexer() toolscache.Indexer }); ok {
			claws, err := indexed.GetIndexer().ByIndex(toolscache.NamespaceIndex, namespace)
			return len(claws), err
		}
		var claws v1alpha1.ClawList
		err = c.List(ctx, &claws, client.InNamespace(namespace), client.UnsafeDisableDeepCopy)
		return len(claws.Items), err
	}
}
