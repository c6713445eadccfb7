package gateway

import (
	"slices"
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
	"github.com/clawstaff/clawstaff/internal/policy"
	"github.com/clawstaff/clawstaff/internal/schedule"
)

// What a grant allows can end by the time alone. Each call is judged by the clock of its moment, and what is under way
// by that of every judgeEvery: no timer runs until a schedule closes, since it would not notice that the clock was set.
// A clock that is set back opens again what it had closed; the manager, which has another, stops an expired grant too.

const judgeEvery = 250 * time.Millisecond

// isTimed reports whether what a grant allows changes with the time.
func isTimed(grant *v1alpha1.ClawGrantSpec) bool {
	return grant != nil && (grant.ExpiresAt != nil || len(grant.Schedules) > 0 ||
		slices.ContainsFunc(grant.Tools, func(t v1alpha1.ToolRequest) bool { return t.Schedule != nil }))
}

// closed is the rule by which a grant allows nothing at all at a time, or nothing.
func closed(grant *v1alpha1.ClawGrantSpec, at time.Time) (rule string) {
	switch {
	case grant.ExpiresAt != nil && !at.Before(grant.ExpiresAt.Time):
		return policy.RuleExpiry
	case slices.ContainsFunc(grant.Schedules, func(s v1alpha1.Schedule) bool { return !schedule.Open(&s, at) }):
		return policy.RuleSchedule
	default:
		return ""
	}
}

// closings is what is said when the time ends what was under way, by rule.
var closings = map[string]string{policy.RuleSchedule: "the schedule has closed", policy.RuleExpiry: "the grant has expired"}

func (p *Proxy) closedNow(snap *state.Snapshot) (rule string) {
	if !snap.Active() {
		return "" // that is not because of the time
	}
	return closed(snap.Grant, p.cfg.Clock.Now())
}

// judgeByTime judges every session by the time it is now.
func (p *Proxy) judgeByTime() {
	if snap := p.cfg.Source.Current(); snap.Active() { // or its end is told by Done
		p.judgeSessions(snap)
	}
}

// justClosed is the rule by which a grant allows nothing that allowed something when this was asked before. Connections
// from before end then, as on a revocation; those that come while it is closed are kept, and each call is told why.
func (p *Proxy) justClosed(snap *state.Snapshot) (rule string) {
	rule = p.closedNow(snap)
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.shut
	p.shut = rule != ""
	if before {
		return ""
	}
	return rule
}

// recordClosing records that connections were cut because of the time.
func (p *Proxy) recordClosing(snap *state.Snapshot, rule string, cut int) {
	if cut == 0 {
		return
	}
	r := p.newRecord(snap, audit.PhaseDecision, nil)
	r.Direction, r.Kind, r.Operation = audit.Internal, audit.KindControl, "close"
	r.Decision, r.Rule, r.Reason = audit.Denied, rule, closings[rule]+": the agent's connections are cut"
	keep := func() { _, _ = p.append(r) } // nothing follows from it
	if !p.spawn(keep) {
		keep()
	}
}

// maxChanges is how many openings and closings are looked at to find when something is allowed again.
const maxChanges = 16

// opening is the next time at which something is allowed that a schedule denies; zero if that cannot be told.
func opening(grant *v1alpha1.ClawGrantSpec, at time.Time, allowed func(time.Time) bool) time.Time {
	var all []*schedule.Schedule
	add := func(s *v1alpha1.Schedule) {
		if parsed, err := schedule.Parse(s); err == nil {
			all = append(all, parsed)
		}
	}
	for i := range grant.Schedules {
		add(&grant.Schedules[i])
	}
	for i := range grant.Tools {
		add(grant.Tools[i].Schedule)
	}
	for range maxChanges {
		var next time.Time
		for _, s := range all {
			if change := s.NextChange(at); !change.IsZero() && (next.IsZero() || change.Before(next)) {
				next = change
			}
		}
		if next.IsZero() || allowed(next) {
			return next
		}
		at = next
	}
	return time.Time{}
}

// untilWhen adds to the reason of a denial by a schedule when the call will be allowed.
func untilWhen(grant *v1alpha1.ClawGrantSpec, call policy.Call, v policy.Verdict) string {
	if v.Rule != policy.RuleSchedule {
		return v.Reason
	}
	opens := opening(grant, call.At, func(t time.Time) bool {
		call.At = t
		return policy.DecideCall(grant, call).Allowed
	})
	if opens.IsZero() {
		return v.Reason
	}
	return v.Reason + "; it opens again at " + opens.UTC().Format(time.RFC3339)
}
