package kube

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

// acknowledger writes this gateway's own entry of the grant's status, under a field manager of
// its own, so that it can touch no other.
type acknowledger struct {
	w      *Watcher
	wanted chan acknowledgement // the latest only
}

type acknowledgement struct {
	grantUID string
	entry    v1alpha1.GrantGateway
}

func newAcknowledger(w *Watcher) *acknowledger {
	return &acknowledger{w: w, wanted: make(chan acknowledgement, 1)}
}

// acknowledge has the snapshot in force written into the grant's status, unless it is there. Only
// the loop calls it.
func (w *Watcher) acknowledge(s *state.Snapshot) {
	g := w.facts.grant
	if g == nil {
		return
	}
	entry := v1alpha1.GrantGateway{PodUID: w.cfg.PodUID, PodName: w.cfg.PodName, Enforcing: g.spec.Hash}
	switch {
	case w.facts.over != "":
		entry.State = v1alpha1.GrantRevoked
	case s.Active():
		entry.State = v1alpha1.GrantActive
	default:
		entry.State = v1alpha1.GrantStopped
		if s.Grant == nil {
			entry.Enforcing = ""
		}
	}
	for _, there := range g.gateways {
		if there.PodUID == entry.PodUID && there.PodName == entry.PodName && there.Enforcing == entry.Enforcing && there.State == entry.State {
			return
		}
	}
	select {
	case <-w.ack.wanted: // overtaken
	default:
	}
	w.ack.wanted <- acknowledgement{grantUID: g.uid, entry: entry}
}

// run writes what is wanted, and tries again until it is written or something else is wanted.
func (a *acknowledger) run(ctx context.Context) {
	var last, next acknowledgement
	var since metav1.Time
	var retry <-chan time.Time
	wait := firstRetry
	for {
		select {
		case <-ctx.Done():
			return
		case next = <-a.wanted:
			wait = firstRetry
		case <-retry:
			wait = min(2*wait, lastRetry)
		}
		if next != last {
			last, since = next, metav1.NewTime(a.w.cfg.Clock.Now().UTC().Truncate(time.Second))
		}
		retry = nil
		err := a.write(ctx, next, since)
		switch {
		case err == nil, answered(err, http.StatusNotFound, http.StatusConflict):
			// A grant that is gone, or another by now: its news will tell.
		case ctx.Err() == nil:
			slog.Warn("cannot acknowledge in the grant's status", "error", err)
			retry = a.w.cfg.Clock.After(wait)
		}
	}
}

func (a *acknowledger) write(ctx context.Context, ack acknowledgement, since metav1.Time) error {
	cfg := a.w.cfg
	entry := ack.entry
	entry.Since = since
	body, err := json.Marshal(map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(),
		"kind":       "ClawGrant",
		"metadata":   map[string]any{"name": cfg.Claw.Name, "namespace": cfg.Claw.Namespace, "uid": ack.grantUID},
		"status":     v1alpha1.ClawGrantStatus{Gateways: []v1alpha1.GrantGateway{entry}},
	})
	if err != nil {
		return err
	}
	return a.w.client.applyStatus(ctx, grants, cfg.Claw.Name, "gateway-"+cfg.PodUID, body)
}
