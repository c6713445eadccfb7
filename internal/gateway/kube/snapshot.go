package kube

import (
	"encoding/json"
	"slices"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
	"github.com/clawstaff/clawstaff/internal/secret"
)

// facts is all that a snapshot is made of.
type facts struct {
	claw        audit.ClawRef
	over        string // why it is over for ever
	closed      string // why it is closed for now, beside the grant's own reasons
	grant       *grant
	keys        *keys
	credentials map[string]*object // by name; absent: not read yet, or not there
}

// build makes the snapshot of the facts, without Done.
func build(f facts) *state.Snapshot {
	s := &state.Snapshot{Claw: f.claw}
	switch {
	case f.over != "":
		// What an over Claw was granted is of no more interest; its state is.
		s.Grant = &v1alpha1.ClawGrantSpec{ClawUID: f.claw.UID, State: v1alpha1.GrantRevoked}
		s.Reason = f.over
		return s
	case f.closed != "":
		s.Reason = f.closed
		return s
	case f.grant.spec.State != v1alpha1.GrantActive:
		s.Grant = f.grant.spec
		s.Reason = "the grant is " + string(f.grant.spec.State)
		return s
	}
	s.Grant, s.Catalogue = f.grant.spec.DeepCopy(), f.grant.services
	s.Keys = map[string]map[string]secret.Value{}
	s.ProxyPassword, s.ResignSecret = f.keys.proxyPassword, f.keys.resignSecret
	s.CA, s.CAKey, s.UpstreamRoots = f.keys.ca, f.keys.caKey, f.keys.roots
	s.Grant.Credentials = slices.DeleteFunc(s.Grant.Credentials, func(c v1alpha1.GrantCredential) bool {
		return !usable(f.credentials[string(c.Name)], f.claw, c.Connector)
	})
	for _, c := range s.Grant.Credentials {
		slots := map[string]secret.Value{}
		for _, slot := range c.Slots {
			if value, ok := f.keys.credentials[string(c.Name)][slot]; ok {
				slots[slot] = value
			}
		}
		s.Keys[string(c.Name)] = slots
	}
	blankUnusable(s.Grant)
	return s
}

// blankUnusable empties the entries whose credential the grant no longer has. They stay in their
// place, so that a rule in a record, such as tools[1], is the one people see in the ClawGrant.
func blankUnusable(g *v1alpha1.ClawGrantSpec) {
	has := func(name v1alpha1.ObjectName, connector v1alpha1.ConnectorName) bool {
		return slices.ContainsFunc(g.Credentials, func(c v1alpha1.GrantCredential) bool {
			return c.Name == name && c.Connector == connector
		})
	}
	for i, c := range g.Channels {
		if !has(c.Credential, c.Connector) {
			g.Channels[i] = v1alpha1.ChannelRequest{}
		}
	}
	for i, t := range g.Tools {
		if !has(t.Credential, t.Connector) {
			g.Tools[i] = v1alpha1.ToolRequest{}
		}
	}
	for i, m := range g.Models {
		if !has(m.Credential, m.Connector) {
			g.Models[i] = v1alpha1.ModelRequest{}
		}
	}
}

// keeps reports whether all that was allowed under the old snapshot still is, in the same way,
// under the new one: then what was begun under the old one goes on undisturbed.
func keeps(old, next *state.Snapshot) bool {
	if !old.Active() || !next.Active() {
		return false
	}
	for _, ip := range old.Grant.AgentIPs {
		if !slices.Contains(next.Grant.AgentIPs, ip) {
			return false
		}
	}
	return sameGrant(old.Grant, next.Grant) &&
		sameKeys(old.Keys, next.Keys) &&
		old.ProxyPassword.Equal(next.ProxyPassword.Reveal()) &&
		old.ResignSecret.Equal(next.ResignSecret.Reveal()) &&
		old.CA.Equal(next.CA) &&
		old.UpstreamRoots.Equal(next.UpstreamRoots)
}

// sameGrant compares grants without the agent's addresses, and without what was not given.
func sameGrant(a, b *v1alpha1.ClawGrantSpec) bool {
	x, y := *a, *b
	x.AgentIPs, x.Withheld, y.AgentIPs, y.Withheld = nil, nil, nil, nil
	left, err := json.Marshal(x)
	if err != nil {
		return false
	}
	right, err := json.Marshal(y)
	return err == nil && string(left) == string(right)
}
