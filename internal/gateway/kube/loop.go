package kube

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

// wipeAfter is how long after the end secrets are overwritten: who used them is gone by then.
const wipeAfter = 10 * time.Second

// take changes the facts by news. The Claw and the grant are also read for the lease, and a follower
// that was stopped may still have had its say: older news is dropped.
func (w *Watcher) take(ctx context.Context, u update) {
	key := u.kind.resource + "/" + u.name
	if u.version != 0 && u.version < w.known[key] {
		return
	}
	w.known[key] = max(w.known[key], u.version)
	switch u.kind {
	case claws:
		over, err := parseClaw(u.object, w.cfg.Claw)
		w.clawError = text(err)
		w.end(over)
	case grants:
		w.takeGrant(ctx, u.object)
	case secrets:
		w.takeKeys(u.object)
	case credentials:
		if u.object == nil {
			delete(w.facts.credentials, u.name)
		} else if w.following[u.name] != nil {
			w.facts.credentials[u.name] = u.object
		}
	}
}

func (w *Watcher) takeGrant(ctx context.Context, o *object) {
	g, err := parseGrant(o, w.cfg.Claw)
	if err == nil && g.spec.State == v1alpha1.GrantActive {
		g.services, err = w.services.of(g.spec.Connectors)
	}
	w.grantErr = text(err)
	if err != nil {
		w.facts.grant = nil
		return
	}
	w.facts.grant = g
	if g.spec.State == v1alpha1.GrantRevoked {
		w.end("the grant is revoked")
		return
	}
	w.followCredentials(ctx, g.spec.Credentials)
}

func (w *Watcher) takeKeys(o *object) {
	if w.facts.over != "" {
		return
	}
	if o == nil {
		w.facts.keys, w.keysErr = nil, "the gateway's Secret is missing"
		return
	}
	k, err := parseKeys(o.raw, w.cfg.SystemRoots)
	if err != nil {
		w.facts.keys, w.keysErr = nil, "the gateway's Secret cannot be used: "+err.Error()
		return
	}
	w.facts.keys, w.keysErr = k, ""
	if w.cfg.LedgerCA != nil && len(k.ledgerCA) > 0 {
		w.cfg.LedgerCA(k.ledgerCA)
	}
}

// followCredentials watches exactly the credentials the grant names.
func (w *Watcher) followCredentials(ctx context.Context, named []v1alpha1.GrantCredential) {
	if w.facts.over != "" {
		return
	}
	wanted := map[string]bool{}
	for _, c := range named {
		name := string(c.Name)
		wanted[name] = true
		if w.following[name] == nil {
			following, stop := context.WithCancel(ctx)
			w.following[name] = stop
			go w.follow(following, credentials, name)
		}
	}
	for name, stop := range w.following {
		if !wanted[name] {
			stop()
			delete(w.following, name)
			delete(w.facts.credentials, name)
		}
	}
}

// followGrant watches the grant, from now on anew.
func (w *Watcher) followGrant(ctx context.Context) {
	if w.stopGrant != nil {
		w.stopGrant()
	}
	ctx, w.stopGrant = context.WithCancel(ctx)
	go w.follow(ctx, grants, w.cfg.Claw.Name)
}

// end makes it over for ever, if there is a reason to. Keys are not watched any more, and forgotten.
func (w *Watcher) end(reason string) {
	if reason == "" || w.facts.over != "" {
		return
	}
	w.facts.over = reason
	w.stopKeys()
	for _, stop := range w.following {
		stop()
	}
	clear(w.following)
	clear(w.facts.credentials)
	if k := w.facts.keys; k != nil {
		w.facts.keys = nil
		go func() {
			<-w.cfg.Clock.After(wipeAfter)
			k.forget()
		}()
	}
}

// settle publishes the snapshot of the facts, if it is another than the one in force.
func (w *Watcher) settle() {
	w.facts.closed = w.closedBecause()
	if w.facts.over == "" && w.facts.closed == reasonUnread {
		return // still starting
	}
	w.ready.Store(true)
	old := w.current.Load()
	next := &published{snapshot: build(w.facts), done: old.done}
	if same(old.snapshot, next.snapshot) {
		w.acknowledge(next.snapshot)
		return
	}
	kept := keeps(old.snapshot, next.snapshot)
	if !kept {
		next.done = make(chan struct{})
	}
	next.snapshot.Done = next.done
	w.current.Store(next)
	if !kept {
		close(old.done)
	}
	w.acknowledge(next.snapshot)
	w.report(old.snapshot, next.snapshot)
}

const reasonUnread = "not everything has been read yet"

// closedBecause says why everything is denied for now, if it is.
func (w *Watcher) closedBecause() string {
	name := w.cfg.Claw.Name
	unread := func(key string) bool { _, known := w.known[key]; return !known }
	read := []string{claws.resource + "/" + name, grants.resource + "/" + name, secrets.resource + "/" + name + gatewaySuffix}
	if !w.ready.Load() { // at first also the credentials, so that a start is one step
		for credential := range w.following {
			read = append(read, credentials.resource+"/"+credential)
		}
	}
	switch {
	case slices.ContainsFunc(read, unread):
		return reasonUnread
	case w.lease.expired():
		if !w.ready.Load() {
			return reasonUnread
		}
		return reasonLease
	case w.clawError != "":
		return w.clawError
	case w.grantErr != "":
		return w.grantErr
	case w.keysErr != "":
		return w.keysErr
	}
	return ""
}

// same reports whether nothing changed that anybody could notice.
func same(a, b *state.Snapshot) bool {
	if !a.Active() || !b.Active() {
		return !a.Active() && !b.Active() && a.Reason == b.Reason && (a.Grant == nil) == (b.Grant == nil) &&
			(a.Grant == nil || a.Grant.Hash == b.Grant.Hash && a.Grant.State == b.Grant.State)
	}
	return keeps(a, b) && keeps(b, a)
}

// report records what changed.
func (w *Watcher) report(old, next *state.Snapshot) {
	slog.Info("enforcing", "hash", hash(next), "active", next.Active(), "reason", next.Reason)
	switch {
	case w.facts.over != "":
		w.journal.add(w.record("revoke", audit.Denied, next.Reason))
		return
	case !next.Active():
		r := w.record("close", audit.Denied, next.Reason)
		r.Grant = hash(next)
		w.journal.add(r)
		return
	case !old.Active() || hash(old) != hash(next):
		r := w.record("grant", audit.Allowed, "the grant is in force")
		r.Grant = hash(next)
		w.journal.add(r)
	}
	for _, c := range w.facts.grant.spec.Credentials {
		name := string(c.Name)
		_, before := old.Keys[name]
		_, after := next.Keys[name]
		if !after && (before || !old.Active()) {
			r := w.record("credential", audit.Denied, "the credential is revoked, or not there, or not for this Claw")
			r.Grant, r.Credential, r.Connector = hash(next), name, string(c.Connector)
			w.journal.add(r)
		}
	}
}

func (w *Watcher) record(operation string, decision audit.Decision, reason string) audit.Record {
	return audit.Record{
		Claw:      w.cfg.Claw,
		Phase:     audit.PhaseDecision,
		Direction: audit.Internal,
		Kind:      audit.KindControl,
		Operation: operation,
		Decision:  decision,
		Reason:    reason,
	}
}

func hash(s *state.Snapshot) string {
	if s.Grant == nil {
		return ""
	}
	return s.Grant.Hash
}

// text of an error, in one line; empty for none.
func text(err error) string {
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}
