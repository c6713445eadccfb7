package credential

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/credential"
)

// facts are what was seen of a credential.
type facts struct {
	claw  *v1alpha1.Claw
	slots credential.Slots
	// refusal says why there are no slots.
	refusal *credential.Refusal
	// barred says why policies do not let the Claw use what was read.
	barred *credential.Refusal
	// stale says why the store cannot be read just now, although it was before.
	stale string
	// version and fingerprints of the slots, and when they were last changed.
	version      string
	fingerprints []string
	rotated      time.Time
	// holder has one of the values already, under another Claw.
	holder *v1alpha1.ClawCredential
	// again is when to look again, for what no watch tells; zero if there is nothing.
	again time.Duration
}

// observe reads everything the credential follows from. Of what it follows from it makes one thing: the
// request to read a store.
func (r *Reconciler) observe(ctx context.Context, cred *v1alpha1.ClawCredential) (facts, error) {
	var f facts
	var claw v1alpha1.Claw
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: cred.Namespace, Name: string(cred.Spec.Claw.Name)}, &claw)
	switch {
	case err == nil:
		f.claw = &claw
	case client.IgnoreNotFound(err) != nil:
		return f, fmt.Errorf("read Claw %s: %w", cred.Spec.Claw.Name, err)
	}
	rules, err := r.rulesFor(ctx, cred, f.claw)
	if err != nil {
		return f, err
	}
	if cred.Spec.Source.ExternalSecret != nil {
		f.refusal = rules.store(cred)
	}
	if f.refusal != nil || revoked(cred, f) != "" {
		// What may not be read is not asked for.
		return f, r.withdraw(ctx, cred, true)
	}
	err = r.read(ctx, cred, &f)
	if err != nil || f.refusal != nil {
		return f, err
	}
	f.barred = rules.use(cred, f.rotated)
	if next := rules.tooOldAt(cred, f.rotated); !next.IsZero() {
		f.soon(max(next.Sub(r.Clock.Now()), time.Second))
	}
	return f, nil
}

// soon sees to it that the credential is looked at again after a while.
func (f *facts) soon(after time.Duration) {
	if f.again == 0 || after < f.again {
		f.again = after
	}
}

// read takes the slots from the source, and asks for them first where they are in a store.
func (r *Reconciler) read(ctx context.Context, cred *v1alpha1.ClawCredential, f *facts) error {
	var maker types.UID
	if cred.Spec.Source.ExternalSecret != nil {
		request, err := r.external(ctx, cred)
		if err != nil {
			return err
		}
		f.soon(request.again)
		f.stale, maker = request.problem, request.uid
		if f.refusal = request.refusal; f.refusal != nil {
			return nil //nolint:nilerr // a refusal is what was found, not a failure to look
		}
	} else if err := r.withdraw(ctx, cred, false); err != nil {
		return err
	}
	source, err := sourceOf(ctx, r.Live, cred)
	if err != nil {
		return err
	}
	if source != nil && maker != "" && !madeBy(source, maker) {
		source = nil // of a former request, or of somebody who is not External Secrets Operator
	}
	f.slots, err = credential.FromSecret(cred, source, r.Catalogue.Get(string(cred.Spec.Connector)))
	if err != nil && !errors.As(err, &f.refusal) {
		return err
	}
	if f.refusal != nil && f.stale != "" && source == nil {
		f.refusal.Message += ". It says: " + f.stale
	}
	f.version, f.fingerprints = r.Hasher.Version(f.slots), r.Hasher.Fingerprints(f.slots)
	f.rotated = rotatedAt(cred, f.version, source, r.Clock.Now())
	return nil
}

// madeBy tells whether a Secret is controlled by an ExternalSecret.
func madeBy(source *corev1.Secret, maker types.UID) bool {
	owner := metav1.GetControllerOf(source)
	return owner != nil && owner.UID == maker
}

// rotatedAt is when the value was last changed. A value that is new here is as old as the Secret it is in,
// if that is newer than what was here before; else it is new now, because Secrets are rotated in place.
func rotatedAt(cred *v1alpha1.ClawCredential, version string, source *corev1.Secret, now time.Time) time.Time {
	last := cred.Status.LastRotatedAt
	switch {
	case version == "":
		return time.Time{}
	case last != nil && cred.Status.Version == version:
		return last.Time
	case last == nil || source.CreationTimestamp.After(last.Time):
		if made := source.CreationTimestamp.Time; made.Before(now) {
			return made
		}
	}
	return now.Truncate(time.Second)
}

// Read reads a credential's slots from its source, live. Whether they are what was judged, their version tells.
func Read(ctx context.Context, live client.Reader, cred *v1alpha1.ClawCredential, catalogue *connector.Catalogue) (credential.Slots, error) {
	source, err := sourceOf(ctx, live, cred)
	if err != nil {
		return nil, err
	}
	return credential.FromSecret(cred, source, catalogue.Get(string(cred.Spec.Connector)))
}

// sourceOf reads the Secret a credential's key is in, or nil if there is none.
func sourceOf(ctx context.Context, live client.Reader, cred *v1alpha1.ClawCredential) (*corev1.Secret, error) {
	name := credential.SourceName(cred)
	if name == "" {
		return nil, nil
	}
	var s corev1.Secret
	err := live.Get(ctx, client.ObjectKey{Namespace: cred.Namespace, Name: name}, &s)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read Secret %s: %w", name, err)
	}
	return &s, nil
}
