package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// revocations remembers when a watch first showed each Claw revoked.
type revocations struct {
	mu sync.Mutex
	at map[string]time.Time
}

// watchRevocations fills b.revocations until ctx ends.
func (b *Bench) watchRevocations(ctx context.Context) error {
	changes, err := b.changes(ctx, namespace, &v1alpha1.ClawList{})
	if err != nil {
		return err
	}
	b.revocations.at = map[string]time.Time{}
	go func() {
		for object := range changes {
			claw, ok := object.(*v1alpha1.Claw)
			if !ok || claw.Spec.State != v1alpha1.ClawRevoked {
				continue
			}
			b.revocations.mu.Lock()
			if _, known := b.revocations.at[claw.Name]; !known {
				b.revocations.at[claw.Name] = time.Now()
			}
			b.revocations.mu.Unlock()
		}
	}()
	return nil
}

func (r *revocations) shown(claw string) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at[claw]
}
