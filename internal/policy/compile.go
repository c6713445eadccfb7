package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
	// Catalogue of the organization's connectors, with its own. Nil has none.
	Catalogue Catalogue
	// Own are those of Catalogue that are the organization's own, and what is wrong with others.
	Own OwnConnectors
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
	n := &narrowing{Input: in, dir: dir, ceiling: newCeiling(&in, dir, in.Claw)}

	grant := v1alpha1.ClawGrantSpec{ClawUID: string(in.Claw.UID), Visibility: spec.Visibility}
	grant.AgentPort, grant.AgentPath = agentAddress(spec)
	if spec.State == v1alpha1.ClawRevoked {
		// Nothing is asked any more, so nothing is given and nothing withheld.
		grant.State = v1alpha1.GrantRevoked
		grant.Hash = Hash(&grant)
		return Result{Grant: grant, OwnerPresent: n.owner(), RuntimeAllowed: n.runtime()}
	}

	// Everything is judged even when one part bars all of it, so that one look shows all there is to mend.
	result := Result{OwnerPresent: n.owner()}
	visible := n.visibility()
	grant.Schedules, grant.ExpiresAt, grant.Limits = n.schedules(), n.expiry(), n.ceiling.limits()
	result.RuntimeAllowed = n.runtime()
	grant.Channels, grant.Tools, grant.Models = n.entries()
	grant.Audience = n.audience(grant.Channels)
	if !result.OwnerPresent || !visible || !result.RuntimeAllowed {
		grant.Channels, grant.Tools, grant.Models, grant.Audience = nil, nil, nil, nil
		n.large = false
	}
	grant.Credentials, grant.Connectors = n.credentials(&grant), n.connectors(&grant)
	n.fit(&grant)
	result.Expired = n.expired(grant.ExpiresAt)
	grant.State = grantState(in, result.Expired)
	grant.Withheld = n.withheld()
	grant.Hash = Hash(&grant)
	result.Grant, result.Withheld, result.Next = grant, slices.Clone(grant.Withheld), n.next
	return result
}

// expired reports whether the Claw's time is over. At no time at all, whatever has an end is over.
func (n *narrowing) expired(end *metav1.Time) bool {
	if end == nil {
		return false
	}
	if n.Now.IsZero() || !n.Now.Before(end.Time) {
		return true
	}
	n.changesAt(end.Time)
	return false
}

// changesAt notes that the result changes by itself at a time.
func (n *narrowing) changesAt(t time.Time) {
	if n.next.IsZero() || t.Before(n.next) {
		n.next = t
	}
}

func directoryOf(in Input) *Directory {
	if in.Directory != nil {
		return in.Directory
	}
	return NewDirectory(in.Organization)
}

// grantState is Stopped where the organization is, and when the Claw's time is over.
func grantState(in Input, expired bool) v1alpha1.GrantState {
	switch {
	case expired || in.Organization == nil || in.Organization.Spec.State == v1alpha1.OrganizationStopped:
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
	told    map[string]bool // the paths of reports
	offers  map[string]*offer
	misfit  map[int]*misfit // of a credential, by its place; nil where it fits
	next    time.Time

	// size is how many bytes the entries that are granted need at least; large, that no grant holds them.
	size  int
	large bool

	channelAsks               []channelAsk
	toolAsks                  []toolAsk
	modelAsks                 []modelAsk
	channelSpaces             map[v1alpha1.ConnectorName]*channelSpaces
	toolSpaces, modelSpaces   map[v1alpha1.ConnectorName]*space
	channelAllow, channelDeny lookup[channelCover]
	toolAllow, toolDeny       lookup[toolCover]
	modelAllow, modelDeny     lookup[modelCover]
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
			n.denied("spec.visibility", d.by, what)
			return false
		}
	}
	var allowed offer
	for _, a := range n.ceiling.allow.visibility {
		if a.rule == asked {
			return true
		}
		allowed.add(a.by, string(a.rule))
	}
	n.notAllowed("spec.visibility", what, "visibility", &allowed)
	return false
}

// entries judges every entry of channels, tools and models.
func (n *narrowing) entries() (channels []v1alpha1.ChannelRequest, tools []v1alpha1.ToolRequest, models []v1alpha1.ModelRequest) {
	n.placeChannels()
	n.placeTools()
	n.placeModels()
	for i := range n.channelAsks {
		ask := &n.channelAsks[i]
		if granted := n.channels(ask); n.usable(ask.path, ask.Connector, ask.Credential) {
			channels = append(channels, granted...)
			for k := range granted {
				n.weigh(granted[k].Channels, granted[k].Users, granted[k].Correspondents.Users)
			}
		}
	}
	for i := range n.toolAsks {
		ask := &n.toolAsks[i]
		if granted := n.tools(ask); n.usable(ask.path, ask.Connector, ask.Credential) {
			tools = append(tools, granted...)
			for k := range granted {
				for s := range granted[k].Resources {
					n.weighScope(&granted[k].Resources[s])
				}
				n.weigh()
			}
		}
	}
	for i := range n.modelAsks {
		ask := &n.modelAsks[i]
		if granted := n.models(ask); n.usable(ask.path, ask.Connector, ask.Credential) {
			models = append(models, granted...)
		}
	}
	return channels, tools, models
}

// offered gathers what policies allow, once for each question.
func (n *narrowing) offered(question string, gather func(*offer)) *offer {
	if found := n.offers[question]; found != nil {
		return found
	}
	if n.offers == nil {
		n.offers = map[string]*offer{}
	}
	n.offers[question] = &offer{}
	gather(n.offers[question])
	return n.offers[question]
}

// has reports whether the catalogue has a connector.
func (n *narrowing) has(connector v1alpha1.ConnectorName) bool {
	return n.Catalogue != nil && n.Catalogue.Known(string(connector))
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
		for _, c := range contested[:min(len(contested), maxListed)] { // no more than a message holds
			messages = append(messages, c.message(connector))
		}
	}
	if len(messages) > 0 {
		n.report("spec.visibility", v1alpha1.WithheldContested, "", strings.Join(messages, "; "))
	}
	return out
}
