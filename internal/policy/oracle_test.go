package policy

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// oracle says what should be allowed, by looking at one event against the request and the policies
// as they are written. It knows nothing of grants.
type oracle struct {
	scene
	over    []v1alpha1.ClawPolicy // the policies over the Claw, the baseline among them
	members []v1alpha1.Member
	running bool
}

func newOracle(in scene) oracle {
	o := oracle{scene: in}
	seen := map[v1alpha1.MemberName]bool{}
	for _, part := range o.parts() {
		for _, m := range part.Members {
			if !seen[m.Name] {
				o.members = append(o.members, m)
			}
			seen[m.Name] = true
		}
	}
	o.over = o.policies()
	o.running = o.runs()
	return o
}

// parts of the directory: the spec, then the files by name.
func (o oracle) parts() []DirectoryFile {
	files := slices.Clone(o.files)
	slices.SortFunc(files, func(a, b DirectoryFile) int { return strings.Compare(a.Name, b.Name) })
	return append([]DirectoryFile{{Members: o.Organization.Spec.Members, Teams: o.Organization.Spec.Teams}}, files...)
}

func (o oracle) policies() []v1alpha1.ClawPolicy {
	baseline := v1alpha1.ClawPolicy{Spec: v1alpha1.ClawPolicySpec{Deny: o.Organization.Spec.Baseline.Deny, Require: o.Organization.Spec.Baseline.Require}}
	out := []v1alpha1.ClawPolicy{baseline}
	for _, p := range o.Policies {
		s := p.Spec.Selector
		hit := s.All || slices.Contains(s.Owners, o.Claw.Spec.Owner)
		for _, c := range s.Claws {
			hit = hit || Matches(c, o.Claw.Name)
		}
		for _, team := range s.Teams {
			hit = hit || o.inTeam(o.Claw.Spec.Owner, team)
		}
		if hit && p.Namespace == o.Claw.Namespace {
			out = append(out, p)
		}
	}
	return out
}

func (o oracle) member(name v1alpha1.MemberName) bool {
	return slices.ContainsFunc(o.members, func(m v1alpha1.Member) bool { return m.Name == name })
}

func (o oracle) inTeam(name v1alpha1.MemberName, team v1alpha1.TeamName) bool {
	return o.member(name) && slices.ContainsFunc(o.parts(), func(f DirectoryFile) bool {
		return slices.ContainsFunc(f.Teams, func(t v1alpha1.Team) bool { return t.Name == team && slices.Contains(t.Members, name) })
	})
}

func (o oracle) inTeams(name v1alpha1.MemberName, any bool) bool {
	hits := 0
	for _, t := range o.Claw.Spec.Teams {
		if o.inTeam(name, t) {
			hits++
		}
	}
	return any && hits > 0 || hits == len(o.Claw.Spec.Teams)
}

// open tells whether anything at all can be allowed at a time.
func (o oracle) open(at time.Time) bool {
	if !o.running || !o.scheduled(o.Claw.Spec.Schedule.Times(), at) || o.ended(at) || o.ended(o.Now) {
		return false
	}
	for _, p := range o.over {
		if !o.scheduled(p.Spec.Require.Schedule, at) {
			return false
		}
	}
	return true
}

// runs is open without the time.
func (o oracle) runs() bool {
	spec, allowed := o.Claw.Spec, false
	for _, p := range o.over {
		if slices.Contains(p.Spec.Deny.Visibility, spec.Visibility) || !o.mayRun(p.Spec.Require.Runtime) {
			return false
		}
		allowed = allowed || slices.Contains(p.Spec.Allow.Visibility, spec.Visibility)
	}
	return allowed && spec.State != v1alpha1.ClawRevoked && o.Organization.Spec.State != v1alpha1.OrganizationStopped &&
		o.member(spec.Owner) && o.inTeams(spec.Owner, false)
}

// mayRun tells whether what the Claw runs is as is required.
func (o oracle) mayRun(r v1alpha1.RuntimeRequirements) bool {
	if len(r.RuntimeClassNames) > 0 && !slices.Contains(r.RuntimeClassNames, v1alpha1.ObjectName(o.RuntimeClassName)) {
		return false
	}
	if len(r.Images) == 0 && r.Digests != v1alpha1.DigestsRequired {
		return true
	}
	repository, rest := "", ""
	for _, i := range worldImages {
		if c := o.Claw.Spec.Runtime.Container; c != nil && c.Image == i.written {
			repository, rest = i.repository, i.rest
		}
	}
	listed := len(r.Images) == 0
	for _, p := range worldImagePatterns {
		listed = listed || slices.Contains(r.Images, p.pattern) && p.means(repository, rest)
	}
	return repository != "" && listed && (r.Digests != v1alpha1.DigestsRequired || rest[0] == '@')
}

// ended tells whether the Claw's time is over at a time: its own end, or creation and a lifetime.
func (o oracle) ended(at time.Time) bool {
	var ends []time.Time
	if e := o.Claw.Spec.ExpiresAt; e != nil {
		ends = append(ends, e.Time)
	}
	for _, p := range o.over {
		if d := p.Spec.Require.MaxLifetimeDays; d > 0 {
			from := o.Claw.CreationTimestamp.Time
			if from.IsZero() {
				from = o.Now
			}
			ends = append(ends, from.Add(time.Duration(d)*24*time.Hour))
		}
	}
	return slices.ContainsFunc(ends, func(end time.Time) bool { return at.IsZero() || at.Equal(end) || at.After(end) })
}

var worldLocations sync.Map

// scheduled tells whether a schedule is open, by the text of the clock on the wall.
func (o oracle) scheduled(s *v1alpha1.Schedule, at time.Time) bool {
	if s == nil {
		return true
	}
	if !slices.Contains(worldZones, s.TimeZone) || at.IsZero() || slices.ContainsFunc(s.Windows, func(w v1alpha1.Window) bool { return w.Start == w.End || len(w.Days) == 0 }) {
		return false
	}
	zone, ok := worldLocations.Load(s.TimeZone)
	if !ok {
		l, err := time.LoadLocation(s.TimeZone)
		if err != nil {
			panic(err)
		}
		zone = l
		worldLocations.Store(s.TimeZone, l)
	}
	wall := at.In(zone.(*time.Location))
	text := fmt.Sprintf("%02d:%02d", wall.Hour(), wall.Minute())
	today, yesterday := worldDays[wall.Weekday()], worldDays[(wall.Weekday()+6)%7]
	return slices.ContainsFunc(s.Windows, func(w v1alpha1.Window) bool {
		if w.Start < w.End {
			return slices.Contains(w.Days, today) && w.Start <= text && text < w.End
		}
		return slices.Contains(w.Days, today) && w.Start <= text || slices.Contains(w.Days, yesterday) && text < w.End
	})
}

func (o oracle) usable(connector v1alpha1.ConnectorName, credential v1alpha1.ObjectName) bool {
	return o.Catalogue.Known(string(connector)) && (o.SkipCredentials || slices.ContainsFunc(o.Credentials, func(c UsableCredential) bool {
		return c.Name == credential && c.Connector == connector && o.fits(c)
	}))
}

// fits tells whether a key is as is required, and its store allowed.
func (o oracle) fits(c UsableCredential) bool {
	for _, p := range o.over {
		r := p.Spec.Require.Credentials
		delivery := c.Delivery
		if delivery == "" {
			delivery = v1alpha1.DeliveryGateway
		}
		age := o.Now.Sub(c.RotatedAt)
		if len(r.Sources) > 0 && !slices.Contains(r.Sources, c.Source.Kind()) || len(r.Delivery) > 0 && !slices.Contains(r.Delivery, delivery) ||
			r.MaxAgeDays > 0 && (o.Now.IsZero() || c.RotatedAt.IsZero() || age >= time.Duration(r.MaxAgeDays)*24*time.Hour) {
			return false
		}
	}
	if c.Source.ExternalSecret == nil {
		return true
	}
	for _, d := range c.Source.ExternalSecret.Data {
		allowed := false
		for _, p := range o.over {
			for _, s := range p.Spec.Allow.Stores {
				for _, k := range s.Keys {
					allowed = allowed || s.StoreReference == c.Source.ExternalSecret.SecretStoreRef && Matches(k, d.Key) && (string(k) == d.Key || d.Key != "acme/../a")
				}
			}
			for _, s := range p.Spec.Deny.Stores {
				if s.StoreReference == c.Source.ExternalSecret.SecretStoreRef && (len(s.Keys) == 0 || matchesAny(s.Keys, d.Key)) {
					return false
				}
			}
		}
		if !allowed {
			return false
		}
	}
	return true
}

// private tells whether a Private Claw may not be there.
func (o oracle) beyond(connector, channel string) bool {
	return o.Claw.Spec.Visibility == v1alpha1.VisibilityPrivate && (connector != "slack" || channel[0] != 'D')
}

// named tells whether one of some patterns stands for an id, which is as a connector finds it.
func named(connector, kind string, patterns []v1alpha1.Pattern, name string) bool {
	return slices.ContainsFunc(patterns, func(p v1alpha1.Pattern) bool { return Matches(v1alpha1.Pattern(id(connector, kind, string(p))), name) })
}

// scoped tells whether a scope of an allow or of a request is about a resource.
func scoped(connector string, s v1alpha1.ResourceScope, r Resource) bool {
	facts, known := worldCatalogue[connector][r.Type]
	return s.Type == r.Type && known && (named(connector, r.Type, s.Names, r.Name) || facts.Address && in(nil, s.Domains, r.Name))
}

// shut tells whether a scope of a denial is about a resource: what cannot be meant is about everything.
func shut(connector string, s v1alpha1.ResourceScope, r Resource) bool {
	facts, known := worldCatalogue[connector][s.Type]
	return !known || s.Type == r.Type && (len(s.Names)+len(s.Domains) == 0 || len(s.Domains) > 0 && !facts.Address ||
		slices.Contains(s.Domains, "Cust.Example") || scoped(connector, s, r) || facts.Address && in(nil, s.Domains, strings.TrimSuffix(r.Name, "."))) // a domain in full is the same one
}

// another tells whether a Private Claw would reach somebody else than its owner.
func (o oracle) another(connector string, r Resource) bool {
	kind := worldCatalogue[connector][r.Type].Identity
	if kind == "" || o.Claw.Spec.Visibility != v1alpha1.VisibilityPrivate {
		return false
	}
	var who []v1alpha1.MemberName
	for _, m := range o.members {
		if slices.ContainsFunc(m.Identities[kind], func(i string) bool { return strings.ToLower(i) == r.Name }) {
			who = append(who, m.Name)
		}
	}
	return len(who) != 1 || who[0] != o.Claw.Spec.Owner
}

func toolRuleFits(rule v1alpha1.ToolRule, call Call) bool {
	if string(rule.Connector) != call.Connector || !slices.Contains(rule.Actions, call.Action) {
		return false
	}
	for _, r := range call.Resources {
		if !slices.ContainsFunc(rule.Resources, func(s v1alpha1.ResourceScope) bool { return scoped(call.Connector, s, r) }) {
			return false
		}
	}
	return true
}

func (o oracle) toolDenied(call Call) bool {
	for _, p := range o.over {
		for _, rule := range p.Spec.Deny.Tools {
			if string(rule.Connector) != call.Connector || len(rule.Actions) > 0 && !slices.Contains(rule.Actions, call.Action) {
				continue
			}
			if len(rule.Resources) == 0 {
				return true
			}
			for _, s := range rule.Resources {
				for _, r := range call.Resources {
					if shut(call.Connector, s, r) {
						return true
					}
				}
			}
		}
		for _, rule := range p.Spec.Deny.Channels {
			for _, r := range call.Resources {
				if string(rule.Connector) == call.Connector && len(rule.Users)+len(rule.Correspondents.Users)+len(rule.Correspondents.Domains) == 0 && r.Type == ResourceChannel &&
					(len(rule.Channels) == 0 || named(call.Connector, ResourceChannel, rule.Channels, r.Name)) {
					return true
				}
			}
		}
	}
	return false
}

func (o oracle) tool(call Call) bool {
	for _, r := range call.Resources {
		if r.Type == ResourceChannel && o.beyond(call.Connector, r.Name) || o.another(call.Connector, r) {
			return false
		}
	}
	asked := slices.ContainsFunc(o.Claw.Spec.Tools, func(t v1alpha1.ToolRequest) bool {
		return toolRuleFits(t.ToolRule, call) && o.usable(t.Connector, t.Credential) && o.scheduled(t.Schedule, call.At)
	})
	allowed := slices.ContainsFunc(o.over, func(p v1alpha1.ClawPolicy) bool {
		return slices.ContainsFunc(p.Spec.Allow.Tools, func(r v1alpha1.ToolRule) bool { return toolRuleFits(r, call) })
	})
	return o.open(call.At) && asked && allowed && !o.toolDenied(call)
}

// model tells whether each model is asked for and allowed; one entry must ask for all of them.
func (o oracle) model(call Call) bool {
	fits := func(connector v1alpha1.ConnectorName, models []v1alpha1.Pattern, r Resource) bool {
		return string(connector) == call.Connector && r.Type == ResourceModel && named(call.Connector, ResourceModel, models, r.Name)
	}
	asked := slices.ContainsFunc(o.Claw.Spec.Models, func(m v1alpha1.ModelRequest) bool {
		return o.usable(m.Connector, m.Credential) && !slices.ContainsFunc(call.Resources, func(r Resource) bool { return !fits(m.Connector, m.Models, r) })
	})
	if !o.open(call.At) || !asked || len(call.Resources) == 0 {
		return false
	}
	for _, r := range call.Resources {
		allowed := false
		for _, p := range o.over {
			for _, rule := range p.Spec.Allow.Models {
				allowed = allowed || fits(rule.Connector, rule.Models, r)
			}
			for _, rule := range p.Spec.Deny.Models {
				if string(rule.Connector) == call.Connector && (len(rule.Models) == 0 || named(call.Connector, ResourceModel, rule.Models, r.Name)) {
					return false
				}
			}
		}
		if !allowed {
			return false
		}
	}
	return true
}

// in tells whether somebody is one of a list of ids and domains.
func in(users []v1alpha1.Pattern, domains []v1alpha1.Domain, actor string) bool {
	mailbox, domain, address := strings.Cut(actor, "@") // the world has one @ at most
	return matchesAny(users, actor) || address && mailbox != "" && slices.Contains(domains, v1alpha1.Domain(strings.ToLower(domain)))
}

// channel tells whether a channel is open to a user as a member, or as a correspondent, visibility aside.
func (o oracle) channel(m Message, outside bool) bool {
	fits := func(rule v1alpha1.ChannelRule) bool {
		return string(rule.Connector) == m.Connector && named(m.Connector, ResourceChannel, rule.Channels, m.Channel) &&
			(outside && in(rule.Correspondents.Users, rule.Correspondents.Domains, m.Actor) || !outside && in(rule.Users, nil, m.Actor))
	}
	asked := slices.ContainsFunc(o.Claw.Spec.Channels, func(c v1alpha1.ChannelRequest) bool {
		return fits(c.ChannelRule) && o.usable(c.Connector, c.Credential)
	})
	allowed := false
	for _, p := range o.over {
		allowed = allowed || slices.ContainsFunc(p.Spec.Allow.Channels, fits)
		if slices.ContainsFunc(p.Spec.Deny.Channels, func(rule v1alpha1.ChannelRule) bool { return channelDenied(rule, m, outside) }) {
			return false
		}
	}
	closed := func(a v1alpha1.Action) bool {
		return o.toolDenied(Call{Connector: m.Connector, Action: a, Resources: []Resource{{Type: ResourceChannel, Name: m.Channel}}})
	}
	return o.open(m.At) && asked && allowed && !o.beyond(m.Connector, m.Channel) && !closed(v1alpha1.ActionRead) && !closed(v1alpha1.ActionWrite) &&
		(!outside || o.Claw.Spec.Visibility != v1alpha1.VisibilityPrivate)
}

func channelDenied(rule v1alpha1.ChannelRule, m Message, outside bool) bool {
	if string(rule.Connector) != m.Connector || len(rule.Channels) > 0 && !named(m.Connector, ResourceChannel, rule.Channels, m.Channel) {
		return false
	}
	c := rule.Correspondents
	if len(rule.Users)+len(c.Users)+len(c.Domains) == 0 {
		return true
	}
	// A domain that is none denies every correspondent, so that a mistake never widens.
	return matchesAny(rule.Users, m.Actor) || outside && (in(c.Users, c.Domains, m.Actor) || slices.Contains(c.Domains, "Cust.Example"))
}

func (o oracle) message(m Message) bool {
	var claims []v1alpha1.MemberName
	for _, member := range o.members {
		if slices.Contains(member.Identities[m.Connector], m.Actor) {
			claims = append(claims, member.Name)
		}
	}
	return len(claims) == 1 && o.admits(claims[0]) && o.channel(m, false) || o.channel(m, true)
}

// admits tells whether the visibility admits a member.
func (o oracle) admits(name v1alpha1.MemberName) bool {
	switch o.Claw.Spec.Visibility {
	case v1alpha1.VisibilityPrivate:
		return name == o.Claw.Spec.Owner
	case v1alpha1.VisibilityTeam:
		return o.inTeams(name, true)
	default:
		return true
	}
}

// speech tells whether the Claw may speak in the one channel a call names: there, somebody is heard.
func (o oracle) speech(call Call) bool {
	if len(call.Resources) != 1 || call.Resources[0].Type != ResourceChannel || !inChannels(call.Action) {
		return false
	}
	actors := slices.Concat([]string{"anybody else", "anybody@cust.example", "anybody@other.example"}, worldUsers, worldOutsiders)
	return slices.ContainsFunc(actors, func(actor string) bool {
		m := Message{Connector: call.Connector, Channel: call.Resources[0].Name, Actor: actor, At: call.At}
		return o.channel(m, false) || o.channel(m, true)
	})
}

// anything tells whether any entry at a connector can be open: for harmless calls, which the oracle knows no better.
func (o oracle) anything(call Call) bool {
	return o.open(call.At) && o.Catalogue.Known(call.Connector)
}
