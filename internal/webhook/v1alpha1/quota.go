package v1alpha1

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

// clawsIn counts the Claws of a namespace. Of a cache they are not copied; of the API server, metadata is enough.
func (j *judge) clawsIn(ctx context.Context, r client.Reader, namespace string) (int, error) {
	claws, metadata := &v1alpha1.ClawList{}, &metav1.PartialObjectMetadataList{}
	metadata.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("ClawList"))
	var list client.ObjectList = metadata
	if r == j.cached {
		list = claws // a list of metadata would be a cache of its own
	}
	if err := r.List(ctx, list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return 0, fmt.Errorf("count Claws: %w", err)
	}
	return len(claws.Items) + len(metadata.Items), nil
}
