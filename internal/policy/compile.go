package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// What a Claw listens on where its author does not say; the schema has the same defaults.
const (
	defaultAgentPort = 8080
	defaultAgentPath = "/messages"
)

// Input is everything a grant follows from. The order of policies, members and credentials means nothing.
type Input struct {
	// Organization whose cage the Claw is in.
	Organization *v1alpha1.ClawOrganization
	// Claw that asks.
	Claw *v1alpha1.Claw
	// Policies of the Claw's namespace; those that do not select the Claw are left aside.
	Policies []v1alpha1.ClawPolicy
	// Credentials the Claw may use now: bound to it, of its owner, Active, and read from their source.
	Credentials []UsableCredential
	// KnownConnector tells whether the catalogue has a connector. Nil knows none.
	KnownConnector func(string) bool
	// Directory of the organization, whole. Nil is that of Organization's spec alone.
	Directory *Directory
	// RuntimeClassName the agent would run in; empty is the cluster's default.
	RuntimeClassName string
	// Now is when this is judged: a Claw or a key may be past its time.
	Now time.Time
	// SkipCredentials judges the request without its credentials: they may be applied after the Claw.
	SkipCredentials bool
}

// UsableCredential is a credential as a grant lists it.
type UsableCredential struct {
	v1alpha1.GrantCredential
	// Source of the key.
	Source v1alpha1.CredentialSource
	// RotatedAt is when the value was last changed, as far as is known.
	RotatedAt time.Time
}

// Result is what follows from an Input.
type Result struct {
	// Grant is the request cut down to what is allowed.
	Grant v1alpha1.ClawGrantSpec
	// Withheld is what was asked for and not given. It is also in the grant.
	Withheld []v1alpha1.Withheld
	// OwnerPresent tells whether the owner is a member, and of every team of the Claw.
	OwnerPresent bool
	// RuntimeAllowed tells whether policies let what the Claw runs run. If not, nothing is granted.
	RuntimeAllowed bool
	// Expired tells whether the Claw's time is over.
	Expired bool
	// Next is when the result changes by itself; zero if it does not.
	Next time.Time
}

// Compile cuts a Claw's request down to what the policies over it allow. The grant never holds more
// than the request, nor more than the policies; what it does not hold is withheld with a reason.
func Compile(in Input) Result {
	if in.Claw == nil {
		grant := v1alpha1.ClawGrantSpec{State: v1alpha1.GrantRevoked}
		grant.Hash = Hash(&grant)
		return Result{Grant: grant}
	}
	spec := &in.Claw.Spec
	dir := directoryOf(in)
	n := &narrowing{Input: in, dir: dir, ceiling: newCeiling(in.Policies, dir, in.Claw)}

	grant := v1alpha1.ClawGrantSpec{
		ClawUID:    string(in.Claw.UID),
		State:      grantState(in),
		Visibility: spec.Visibility,
	}
	grant.AgentPort, grant.AgentPath = agentAddress(spec)
	if grant.State == v1alpha1.GrantRevoked {
		// Nothing is asked any more, so nothing is given and nothing withheld.
		grant.Hash = Hash(&grant)
		return Result{Grant: grant, OwnerPresent: n.owner()}
	}

	// Everything is judged even when one part bars all of it, so that one look shows all there is to mend.
	present, visible := n.owner(), n.visibility()
	grant.Channels, grant.Tools, grant.Models = n.entries()
	grant.Audience = n.audience(grant.Channels)
	if !present || !visible {
		grant.Channels, grant.Tools, grant.Models, grant.Audience = nil, nil, nil, nil
	}
	grant.Credentials = n.credentials(&grant)
	n.fit(&grant)
	grant.Withheld = n.withheld()
	grant.Hash = Hash(&grant)
	return Result{Grant: grant, Withheld: slices.Clone(grant.Withheld), OwnerPresent: present, RuntimeAllowed: true}
}

func directoryOf(in Input) *Directory {
	if in.Directory != nil {
		return in.Directory
	}
	return NewDirectory(in.Organization)
}

// grantState is Revoked for a revoked Claw, and Stopped where the organization is.
func grantState(in Input) v1alpha1.GrantState {
	switch {
	case in.Claw.Spec.State == v1alpha1.ClawRevoked:
		return v1alpha1.GrantRevoked
	case in.Organization == nil || in.Organization.Spec.State == v1alpha1.OrganizationStopped:
		return v1alpha1.GrantStopped
	default:
		return v1alpha1.GrantActive
	}
}

func agentAddress(spec *v1alpha1.ClawSpec) (port int32, path string) {
	port, path = defaultAgentPort, defaultAgentPath
	if c := spec.Runtime.Container; c != nil {
		if c.Port != 0 {
			port = c.Port
		}
		if c.InboundPath != "" {
			path = c.InboundPath
		}
	}
	return port, path
}

// narrowing is one run of Compile.
type narrowing struct {
	Input
	dir     *Directory
	ceiling ceiling
	reports []v1alpha1.Withheld
}

// owner judges whether the owner is of the organization and of every team of the Claw.
func (n *narrowing) owner() bool {
	spec := &n.Claw.Spec
	if n.Organization == nil || n.Organization.Cage() != n.Claw.Namespace {
		n.report("spec.owner", v1alpha1.WithheldNotMember, "",
			fmt.Sprintf("namespace %q is no organization's cage: create the Claw in spec.namespace of its ClawOrganization", n.Claw.Namespace))
		return false
	}
	if !n.dir.IsMember(spec.Owner) {
		n.report("spec.owner", v1alpha1.WithheldNotMember, "",
			fmt.Sprintf("%q is no member of ClawOrganization %q: name one of spec.members, or have the platform add them there", spec.Owner, n.Organization.Name))
		return false
	}
	present := true
	for i, team := range spec.Teams {
		if n.dir.InTeam(spec.Owner, team) {
			continue
		}
		present = false
		n.report(fmt.Sprintf("spec.teams[%d]", i), v1alpha1.WithheldNotMember, "",
			fmt.Sprintf("owner %q is not in team %q of ClawOrganization %q: name a team they are in, or have the platform add them to it",
				spec.Owner, team, n.Organization.Name))
	}
	return present
}

// visibility judges whether the Claw may be seen by those it asks to be seen by.
func (n *narrowing) visibility() bool {
	asked := n.Claw.Spec.Visibility
	what := fmt.Sprintf("visibility %s", asked)
	for _, d := range n.ceiling.deny.visibility {
		if d.rule == asked {
			n.denied("spec.visibility", d.policy, what)
			return false
		}
	}
	var allowed offer
	for _, a := range n.ceiling.allow.visibility {
		if a.rule == asked {
			return true
		}
		allowed.add(a.policy, string(a.rule))
	}
	n.notAllowed("spec.visibility", what, "visibility", allowed)
	return false
}

// entries judges every entry of channels, tools and models.
func (n *narrowing) entries() (channels []v1alpha1.ChannelRequest, tools []v1alpha1.ToolRequest, models []v1alpha1.ModelRequest) {
	for i, ask := range n.Claw.Spec.Channels {
		path := fmt.Sprintf("spec.channels[%d]", i)
		if granted := n.channels(path, ask); n.usable(path, ask.Connector, ask.Credential) {
			channels = append(channels, granted...)
		}
	}
	for i, ask := range n.Claw.Spec.Tools {
		path := fmt.Sprintf("spec.tools[%d]", i)
		if granted := n.tools(path, ask); n.usable(path, ask.Connector, ask.Credential) {
			tools = append(tools, granted...)
		}
	}
	for i, ask := range n.Claw.Spec.Models {
		path := fmt.Sprintf("spec.models[%d]", i)
		if granted := n.models(path, ask); n.usable(path, ask.Connector, ask.Credential) {
			models = append(models, granted...)
		}
	}
	return channels, tools, models
}

// maxGrant is how many bytes a grant may give in. One that fits into no object could not be stored, and the
// one before it, which may give more, would stay in force.
const maxGrant = 768 << 10

// fit takes everything from a grant that is too large. It is the one place where fewer rules can give more.
func (n *narrowing) fit(grant *v1alpha1.ClawGrantSpec) {
	data, err := json.Marshal(grant)
	if err == nil && len(data) <= maxGrant {
		return
	}
	grant.Channels, grant.Tools, grant.Models, grant.Audience, grant.Credentials = nil, nil, nil, nil, nil
	n.reports = slices.Insert(n.reports, 0, v1alpha1.Withheld{
		Path: "spec", Reason: v1alpha1.WithheldNotAllowed,
		Message: fmt.Sprintf("what is asked and allowed is too large for a grant (%d KiB, at most %d): ask for less, by patterns that end in *, or have security write fewer rules that overlap",
			len(data)>>10, maxGrant>>10),
	})
}

// known judges whether the catalogue has the connector of an entry.
func (n *narrowing) known(path string, connector v1alpha1.ConnectorName) bool {
	if n.KnownConnector != nil && n.KnownConnector(string(connector)) {
		return true
	}
	n.report(path+".connector", v1alpha1.WithheldUnknownConnector, "",
		fmt.Sprintf("asked for connector %q; the catalogue has no such connector: correct the name", connector))
	return false
}

// usable judges whether an entry's credential may be used with its connector.
func (n *narrowing) usable(path string, connector v1alpha1.ConnectorName, name v1alpha1.ObjectName) bool {
	if n.SkipCredentials {
		return true
	}
	if slices.ContainsFunc(n.Credentials, func(c UsableCredential) bool { return c.Name == name && c.Connector == connector }) {
		return true
	}
	n.report(path+".credential", v1alpha1.WithheldCredential, "",
		fmt.Sprintf("ClawCredential %q is not usable by this Claw with %s: it must exist, be Active and Ready, and have spec.connector %s, spec.claw.name %q and spec.claw.owner %q",
			name, connector, connector, n.Claw.Name, n.Claw.Spec.Owner))
	return false
}

// audience lists whom the visibility admits at every connector the Claw is reached through.
func (n *narrowing) audience(channels []v1alpha1.ChannelRequest) []v1alpha1.GrantAudience {
	var connectors []v1alpha1.ConnectorName
	for _, c := range channels {
		connectors = append(connectors, c.Connector)
	}
	slices.Sort(connectors)
	var out []v1alpha1.GrantAudience
	var messages []string
	for _, connector := range slices.Compact(connectors) {
		principals, contested := n.dir.audience(&n.Claw.Spec, connector)
		out = append(out, v1alpha1.GrantAudience{Connector: connector, Principals: principals})
		for _, c := range contested {
			messages = append(messages, c.message(connector))
		}
	}
	if len(messages) > 0 {
		n.report("spec.visibility", v1alpha1.WithheldContested, "", strings.Join(messages, "; "))
	}
	return out
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
