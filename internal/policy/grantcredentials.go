package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// usable judges whether an entry's credential may be used with its connector.
func (n *narrowing) usable(path string, connector v1alpha1.ConnectorName, name v1alpha1.ObjectName) bool {
	if n.SkipCredentials {
		return true
	}
	path += ".credential"
	found := false
	for i := range n.Credentials {
		if c := &n.Credentials[i]; c.Name == name && c.Connector == connector {
			found = true
			if m := n.misfitOf(i); m != nil {
				n.report(path, m.reason, m.policy, fmt.Sprintf("ClawCredential %q: %s", name, m.message))
				return false
			}
		}
	}
	if !found {
		n.report(path, v1alpha1.WithheldCredential, "",
			fmt.Sprintf("ClawCredential %q is not usable by this Claw with %s: it must exist, be Active and Ready, and have spec.connector %s, spec.claw.name %q and spec.claw.owner %q",
				name, connector, connector, n.Claw.Name, n.Claw.Spec.Owner))
	}
	return found
}

// misfitOf says why policies do not let a credential be used; nil if they do.
func (n *narrowing) misfitOf(i int) *misfit {
	if m, ok := n.misfit[i]; ok {
		return m
	}
	if n.misfit == nil {
		n.misfit = map[int]*misfit{}
	}
	c := &n.Credentials[i]
	k := key{source: &c.Source, delivery: c.Delivery, rotatedAt: c.RotatedAt, claw: n.Claw.Name}
	if found := n.ceiling.misfits(k, n.Now); len(found) > 0 {
		n.misfit[i] = &found[0]
		return &found[0]
	}
	n.misfit[i] = nil
	if _, days, ok := n.ceiling.maxAge(); ok {
		n.changesAt(after(c.RotatedAt, days))
	}
	return nil
}

// credentials lists the credentials that the entries of the grant use, in the order of their names.
func (n *narrowing) credentials(grant *v1alpha1.ClawGrantSpec) []v1alpha1.GrantCredential {
	used := map[string]bool{}
	use := func(name v1alpha1.ObjectName, connector v1alpha1.ConnectorName) {
		used[string(name)+"/"+string(connector)] = true
	}
	for _, e := range grant.Channels {
		use(e.Credential, e.Connector)
	}
	for _, e := range grant.Tools {
		use(e.Credential, e.Connector)
	}
	for _, e := range grant.Models {
		use(e.Credential, e.Connector)
	}
	var out []v1alpha1.GrantCredential
	for _, c := range n.Credentials {
		if used[string(c.Name)+"/"+string(c.Connector)] {
			c.Slots = slices.Sorted(slices.Values(c.Slots))
			out = append(out, c.GrantCredential)
		}
	}
	slices.SortFunc(out, func(a, b v1alpha1.GrantCredential) int {
		return strings.Compare(string(a.Name)+"/"+a.Version, string(b.Name)+"/"+b.Version)
	})
	return slices.CompactFunc(out, func(a, b v1alpha1.GrantCredential) bool { return a.Name == b.Name })
}
