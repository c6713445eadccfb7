package index

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// PoliciesOf lists the policies of a cage as they are in force. One that is being deleted allows nothing any
// more, and denies and requires until it is gone.
func PoliciesOf(ctx context.Context, c client.Reader, namespace string) ([]v1alpha1.ClawPolicy, error) {
	var list v1alpha1.ClawPolicyList
	if err := c.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("list the policies: %w", err)
	}
	for i := range list.Items {
		if list.Items[i].DeletionTimestamp != nil {
			list.Items[i].Spec.Allow = v1alpha1.PolicyRules{}
		}
	}
	return list.Items, nil
}
