package organization

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/controller/apply"
	"github.com/clawstaff/clawstaff/internal/controller/index"
	"github.com/clawstaff/clawstaff/internal/directory"
)

// maxProblems are named in a message.
const maxProblems = 5

// observeDirectory reads who is who.
func (r *Reconciler) observeDirectory(ctx context.Context, org *v1alpha1.ClawOrganization, f *facts) error {
	d, problems, err := r.Directory.Of(ctx, org)
	if err != nil {
		return fmt.Errorf("read the directory: %w", err)
	}
	f.members, f.problems = d.Size(), problems
	return nil
}

// ofDirectory finds the organizations whose directory is in a ConfigMap of the operator's namespace.
func (r *Reconciler) ofDirectory(ctx context.Context, cm *corev1.ConfigMap) []reconcile.Request {
	var list v1alpha1.ClawOrganizationList
	if err := r.Client.List(ctx, &list, client.MatchingFields{index.OrganizationDirectory: cm.Name}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "find the organizations of a directory", "configMap", cm.Name)
		return nil
	}
	return requests(list.Items)
}

// directoryStatus says whether all of the directory counts, and returns the first reason why not. Who is
// not affected by a problem is not affected by this either: Claws follow the cage, and the members there are.
func directoryStatus(c *apply.Conditions, problems []directory.Problem) (reason, message string) {
	if len(problems) == 0 {
		c.True(v1alpha1.ConditionDirectoryReady, v1alpha1.ReasonReady, "everybody in the directory counts")
		return "", ""
	}
	var lines []string
	for _, p := range problems[:min(len(problems), maxProblems)] {
		lines = append(lines, p.Message)
	}
	if more := len(problems) - maxProblems; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	reason, message = problems[0].Reason, strings.Join(lines, "; ")
	c.False(v1alpha1.ConditionDirectoryReady, reason, message)
	return reason, message
}
