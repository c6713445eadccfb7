// Package credential reads keys from their sources, tells versions apart, and
// finds keys that are shared.
package credential

import (
	"context"
	"fmt"
	"reflect"
	"sync"

	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	v1alpha1ac "github.com/clawstaff/clawstaff/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/controller/apply"
	"github.com/clawstaff/clawstaff/internal/controller/index"
	"github.com/clawstaff/clawstaff/internal/credential"
	"github.com/clawstaff/clawstaff/internal/directory"
)

// Reconciler reconciles credentials.
type Reconciler struct {
	Client client.Client
	// Live reads Secrets by name: nothing of them is cached.
	Live      client.Reader
	Events    events.EventRecorder
	Clock     clock.PassiveClock
	Catalogue *connector.Catalogue
	Hasher    credential.Hasher
	// Directory reads who is who.
	Directory *directory.Reader

	// deciding lets one credential at a time claim its values. What was just decided may not be in the
	// cache yet, so it is remembered here too.
	deciding sync.Mutex
	decided  map[client.ObjectKey]v1alpha1.ClawCredential
}

// Reconcile implements reconcile.ObjectReconciler.
func (r *Reconciler) Reconcile(ctx context.Context, cred *v1alpha1.ClawCredential) (ctrl.Result, error) {
	if !cred.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	facts, err := r.observe(ctx, cred)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := r.decide(ctx, cred, facts); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: facts.again}, nil
}

// decide finds whether the values are somebody else's, and writes the status, before anybody else decides.
func (r *Reconciler) decide(ctx context.Context, cred *v1alpha1.ClawCredential, f facts) error {
	r.deciding.Lock()
	defer r.deciding.Unlock()
	same, err := r.same(ctx, f.fingerprints)
	if err != nil {
		return err
	}
	f.holder = credential.Holder(cred, f.fingerprints, same)
	status := computeStatus(cred, f, r.Clock.Now())
	if !reflect.DeepEqual(cred.Status, status) {
		ac := v1alpha1ac.ClawCredentialStatus()
		if err := cage.Convert(status, ac); err != nil {
			return err
		}
		err := apply.Status(ctx, r.Client, v1alpha1ac.ClawCredential(cred.Name, cred.Namespace).WithUID(cred.UID).WithStatus(ac))
		if err != nil {
			return client.IgnoreNotFound(err)
		}
		tell(r.Events, cred, status)
	}
	r.remember(cred, status)
	return nil
}

func (r *Reconciler) remember(cred *v1alpha1.ClawCredential, status v1alpha1.ClawCredentialStatus) {
	if r.decided == nil {
		r.decided = map[client.ObjectKey]v1alpha1.ClawCredential{}
	}
	decided := *cred.DeepCopy()
	decided.Status = status
	r.decided[client.ObjectKeyFromObject(cred)] = decided
}

// same lists the credentials that have one of the values, in every namespace.
func (r *Reconciler) same(ctx context.Context, fingerprints []string) ([]v1alpha1.ClawCredential, error) {
	found := map[client.ObjectKey]v1alpha1.ClawCredential{}
	for _, f := range fingerprints {
		var list v1alpha1.ClawCredentialList
		if err := r.Client.List(ctx, &list, client.MatchingFields{index.CredentialFingerprint: f}); err != nil {
			return nil, fmt.Errorf("find credentials with the same key: %w", err)
		}
		for _, c := range list.Items {
			found[client.ObjectKeyFromObject(&c)] = c
		}
	}
	for key, decided := range r.decided {
		var now v1alpha1.ClawCredential
		if err := r.Client.Get(ctx, key, &now); client.IgnoreNotFound(err) != nil {
			return nil, err
		} else if err != nil || now.UID != decided.UID || reflect.DeepEqual(now.Status, decided.Status) {
			delete(r.decided, key) // gone, or the cache has caught up
			continue
		}
		found[key] = decided
	}
	out := make([]v1alpha1.ClawCredential, 0, len(found))
	for _, c := range found {
		out = append(out, c)
	}
	return out, nil
}
