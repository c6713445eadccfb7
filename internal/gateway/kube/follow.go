package kube

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"
)

// How long a follower waits after a failure.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = time.Second // what is revoked meanwhile is noticed that much later
)

// update is news of one object.
type update struct {
	kind    kind
	name    string
	object  *object // nil: there is none, or we may not see it
	version uint64  // of the news; 0 where it is not known
}

// follow keeps telling the state of a named object until ctx is done: it reads it, watches it,
// and begins again when the watch ends.
func (w *Watcher) follow(ctx context.Context, k kind, name string) {
	var seen time.Time // when the API server last showed us the truth
	for retry := firstRetry; ctx.Err() == nil; retry = min(2*retry, lastRetry) {
		o, version, err := w.client.list(ctx, k, name)
		if err == nil {
			retry = firstRetry
			w.tell(ctx, update{kind: k, name: name, object: o, version: newest(o, version)})
			err = w.client.watch(ctx, k, name, version, func(o *object, deleted bool) {
				u := update{kind: k, name: name, object: o, version: o.version}
				if deleted {
					u.object = nil
				}
				w.tell(ctx, u)
			})
			seen = w.cfg.Clock.Now()
		} else if w.blind(k, seen, err) {
			w.tell(ctx, update{kind: k, name: name})
		}
		if err != nil && ctx.Err() == nil {
			slog.Warn("cannot watch", "resource", k.resource, "name", name, "error", err)
		}
		select {
		case <-w.cfg.Clock.After(retry):
		case <-ctx.Done():
		}
	}
}

// blind reports whether a credential or the Secret must count as missing, because the API server
// does not show it: at once if it never did, otherwise after as long as a lease lasts, since an API
// server that starts forbids for a moment what it allows. For the Claw and the grant, which are over
// for ever once they are missing, the lease sees to that.
func (w *Watcher) blind(k kind, seen time.Time, err error) bool {
	if k == claws || k == grants {
		return false
	}
	if seen.IsZero() {
		return answered(err, http.StatusForbidden, http.StatusNotFound)
	}
	return w.cfg.Clock.Since(seen) > leaseDuration
}

// newest is the version of what a list showed: the object's, or the list's if there is none.
func newest(o *object, list string) uint64 {
	if o != nil {
		return o.version
	}
	version, err := strconv.ParseUint(list, 10, 64)
	if err != nil {
		return 0
	}
	return version
}

// tell hands news to the loop.
func (w *Watcher) tell(ctx context.Context, u update) {
	select {
	case w.updates <- u:
	case <-ctx.Done():
	}
}
