package v1alpha1

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// use is one entry of a Claw that names a credential.
type use struct {
	path       string
	connector  v1alpha1.ConnectorName
	credential v1alpha1.ObjectName
}

// usesOf lists the entries of a Claw, each with its credential.
func usesOf(spec *v1alpha1.ClawSpec) []use {
	var out []use
	for i, e := range spec.Channels {
		out = append(out, use{fmt.Sprintf("spec.channels[%d].credential", i), e.Connector, e.Credential})
	}
	for i, e := range spec.Tools {
		out = append(out, use{fmt.Sprintf("spec.tools[%d].credential", i), e.Connector, e.Credential})
	}
	for i, e := range spec.Models {
		out = append(out, use{fmt.Sprintf("spec.models[%d].credential", i), e.Connector, e.Credential})
	}
	return out
}

// credentialsOf refuses a Claw that names credentials which are there and do not fit. One that is not there
// may come, and until then the Claw is granted nothing through it.
func credentialsOf(ctx context.Context, f *findings, s *surroundings, in policy.Input) error {
	seen := map[v1alpha1.ObjectName]*v1alpha1.ClawCredential{}
	said := map[string]bool{}
	check := sync.OnceValue(func() *policy.CredentialCheck { return policy.NewCredentialCheck(in) })
	for _, u := range usesOf(&in.Claw.Spec) {
		c, ok := seen[u.credential]
		if !ok {
			c = &v1alpha1.ClawCredential{}
			err := s.reader.Get(ctx, client.ObjectKey{Namespace: in.Claw.Namespace, Name: string(u.credential)}, c, client.UnsafeDisableDeepCopy)
			switch {
			case apierrors.IsNotFound(err):
				c = nil
			case err != nil:
				return fmt.Errorf("read ClawCredential %s: %w", u.credential, err)
			}
			seen[u.credential] = c
		}
		if c == nil {
			if key := string(u.credential); !said[key] {
				said[key] = true
				f.warn("%s: there is no ClawCredential %q yet: until there is one with spec.claw.name %q, spec.claw.owner %q and spec.connector %s, the Claw is granted nothing that needs it",
					u.path, u.credential, in.Claw.Name, in.Claw.Spec.Owner, u.connector)
			}
			continue
		}
		fits(f, in, u, c, check)
	}
	return nil
}

// fits refuses an entry whose credential is not for it. It does not say whose the credential is: whoever
// asks may not know.
func fits(f *findings, in policy.Input, u use, c *v1alpha1.ClawCredential, check func() *policy.CredentialCheck) {
	another := fmt.Sprintf("name one of this Claw, or create another ClawCredential with spec.claw.name %q, spec.claw.owner %q and spec.connector %s",
		in.Claw.Name, in.Claw.Spec.Owner, u.connector)
	switch {
	case string(c.Spec.Claw.Name) != in.Claw.Name:
		f.refuse(u.path, "ClawCredential %q is for another Claw, and a key is one Claw's: %s", c.Name, another)
		return
	case c.Spec.Claw.Owner != in.Claw.Spec.Owner:
		f.refuse(u.path, "ClawCredential %q is for a Claw of this name of another owner than %q: %s", c.Name, in.Claw.Spec.Owner, another)
		return
	case c.Spec.Connector != u.connector:
		f.refuse(u.path, "ClawCredential %q is for connector %s and this entry is of %s: %s", c.Name, c.Spec.Connector, u.connector, another)
		return
	case c.Spec.State == v1alpha1.CredentialRevoked:
		f.refuse(u.path, "ClawCredential %q is Revoked, which is for ever: %s, with a new key", c.Name, another)
		return
	}
	if shared := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionIsolated); shared != nil && shared.Status == metav1.ConditionFalse && shared.Reason == v1alpha1.ReasonCredentialShared {
		f.refuse(u.path, "ClawCredential %q holds a key that another Claw has already, and a key is one Claw's: put a key of its own into its source", c.Name)
	}
	var rotated time.Time
	if at := c.Status.LastRotatedAt; at != nil {
		rotated = at.Time
	}
	for _, w := range check().Check(c, rotated) {
		f.refuse(u.path, "ClawCredential %q, %s: %s", c.Name, w.Path, w.Message)
	}
}
