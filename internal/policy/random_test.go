package policy

import (
	"fmt"
	"math/rand"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// world makes random inputs out of few enough names that everything often meets everything.
type world struct {
	*rand.Rand
	// exact makes the Claw ask for exact values only; then what is granted can be predicted fully.
	exact bool
}

var (
	worldConnectors = []v1alpha1.ConnectorName{"slack", "slack", "slack", "github", "nope"} // the catalogue has no "nope"
	worldCatalogue  = Connectors{
		"slack": {ResourceChannel: {}, "repository": {}, ResourceModel: {}, "recipient": worldRecipient, "mailbox": {Address: true}},
		"github": {ResourceChannel: {IgnoreCase: true}, "repository": {IgnoreCase: true}, ResourceModel: {IgnoreCase: true},
			"recipient": worldRecipient, "mailbox": {Address: true, IgnoreCase: true}},
	}
	worldRecipient = ResourceFacts{Address: true, IgnoreCase: true, Identity: "email"}
	worldMembers   = []v1alpha1.MemberName{"sarah", "lee", "kim", "ghost"}
	worldTeams     = []v1alpha1.TeamName{"support", "sales"}
	worldActions   = []v1alpha1.Action{v1alpha1.ActionRead, v1alpha1.ActionWrite, v1alpha1.ActionDelete, v1alpha1.ActionAdmin}
	worldChannels  = []string{"C1", "C12", "C2", "D1", "D12"}
	worldUsers     = []string{"T/U1", "T/U12", "T/U2", "X/U3"}
	worldModels    = []string{"claude-a", "claude-ab", "gpt-a"}
	worldTypes     = []string{ResourceChannel, "repository", "recipient", "mailbox"}
	worldRepos     = []string{"acme/x", "Acme/x", "ACME/xy", "acme/y"}
	worldMail      = []string{"ann@cust.example", "Bob@cust.example", "bob@other.example", "ann@Other.Example", "ann@cust.example.", "ann"}
	worldVisible   = []v1alpha1.Visibility{v1alpha1.VisibilityPrivate, v1alpha1.VisibilityTeam, v1alpha1.VisibilityOrganization}
	worldOutsiders = []string{"ann@cust.example", "bob@cust.example", "ann@Other.Example", "T9/U9", "@cust.example"}
	worldDomains   = []v1alpha1.Domain{"cust.example", "other.example", "Cust.Example"} // the last one is none
	worldClasses   = []v1alpha1.ObjectName{"gvisor", "kata"}
	worldStores    = []v1alpha1.StoreReference{{Kind: v1alpha1.StoreOfCluster, Name: "vault"}, {Kind: v1alpha1.StoreInCage, Name: "vault"}}
	worldKeys      = []string{"acme/a", "acme/ab", "other", "acme/../a"}
	worldZones     = []string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"}
	worldNow       = time.Date(2026, 3, 27, 12, 0, 0, 0, time.UTC) // clocks change two days later in Europe; in America they have
)

func one[T any](w world, of []T) T { return of[w.Intn(len(of))] }

// some picks each with an even chance; often nothing.
func some[T any](w world, of []T) []T {
	var out []T
	for _, v := range of {
		if w.Intn(2) == 0 {
			out = append(out, v)
		}
	}
	return out
}

func (w world) chance(percent int) bool { return w.Intn(100) < percent }

func (w world) pattern(of []string, exact bool) v1alpha1.Pattern {
	v := one(w, of)
	if exact || w.chance(40) {
		return v1alpha1.Pattern(v)
	}
	return v1alpha1.Pattern(v[:w.Intn(len(v)+1)] + "*")
}

func (w world) patterns(of []string, exact bool) []v1alpha1.Pattern {
	var out []v1alpha1.Pattern
	for range w.Intn(4) {
		out = append(out, w.pattern(of, exact))
	}
	return out
}

func (w world) channelRule(exact bool) v1alpha1.ChannelRule {
	rule := v1alpha1.ChannelRule{Connector: one(w, worldConnectors), Channels: w.patterns(worldChannels, exact), Users: w.patterns(worldUsers, exact)}
	if w.chance(20) {
		rule.Users = append(rule.Users, w.pattern(worldOutsiders, exact))
	}
	if w.chance(40) {
		rule.Correspondents.Users = w.patterns(worldOutsiders, exact)
		if !exact { // a domain is no exact value: a denial of one address takes all of it
			rule.Correspondents.Domains = some(w, worldDomains)
		}
	}
	return rule
}

func (w world) toolRule(exact bool) v1alpha1.ToolRule {
	rule := v1alpha1.ToolRule{Connector: one(w, worldConnectors), Actions: some(w, worldActions)}
	for _, kind := range some(w, worldTypes) {
		scope := v1alpha1.ResourceScope{Type: kind, Names: w.patterns(worldNames(kind), exact)}
		if w.chance(3) {
			scope.Type = "typo"
		}
		if !exact && w.chance(map[string]int{"recipient": 60, "mailbox": 40, "repository": 3}[kind]) {
			scope.Domains = some(w, worldDomains)
		}
		rule.Resources = append(rule.Resources, scope)
	}
	return rule
}

// worldNames are those of a type.
func worldNames(kind string) []string {
	switch kind {
	case "recipient", "mailbox":
		return worldMail
	case "repository":
		return worldRepos
	default:
		return worldChannels
	}
}

// id is a name as a connector finds it in a call.
func id(connector, kind, name string) string {
	if worldCatalogue[connector][kind].IgnoreCase || worldCatalogue[connector][kind].Address {
		return strings.ToLower(name)
	}
	return name
}

func (w world) modelRule(exact bool) v1alpha1.ModelRule {
	return v1alpha1.ModelRule{Connector: one(w, worldConnectors), Models: w.patterns(worldModels, exact)}
}

func many[T any](w world, most int, make func(exact bool) T, exact bool) []T {
	var out []T
	for range w.Intn(most + 1) {
		out = append(out, make(exact))
	}
	return out
}

func (w world) rules(most int) v1alpha1.PolicyRules {
	return v1alpha1.PolicyRules{
		Visibility: some(w, worldVisible),
		Channels:   many(w, most, w.channelRule, false),
		Tools:      many(w, most, w.toolRule, false),
		Models:     many(w, most, w.modelRule, false),
		Stores:     many(w, most, w.storeRule, false),
	}
}

func (w world) storeRule(bool) v1alpha1.StoreRule {
	return v1alpha1.StoreRule{StoreReference: one(w, worldStores), Keys: w.patterns(worldKeys, false)}
}

// schedule is open more often than not. Sometimes it is none.
func (w world) schedule() *v1alpha1.Schedule {
	s := &v1alpha1.Schedule{TimeZone: one(w, worldZones)}
	for range 1 + w.Intn(2) {
		hour := w.Intn(10)
		window := v1alpha1.Window{Start: fmt.Sprintf("%02d:%02d", hour, w.Intn(2)*30), End: fmt.Sprintf("%02d:00", 11+hour+w.Intn(4))}
		if w.chance(20) {
			window.Start, window.End = window.End, window.Start // over midnight
		}
		for _, d := range worldDays {
			if w.chance(85) {
				window.Days = append(window.Days, d)
			}
		}
		s.Windows = append(s.Windows, window)
	}
	switch {
	case w.chance(30):
		s.Windows = []v1alpha1.Window{{Days: worldDays, Start: "00:00", End: "24:00"}}
	case w.chance(3):
		s.TimeZone = one(w, []string{"Nowhere", "Local", ""})
	case w.chance(4):
		s.Windows[0].End = s.Windows[0].Start
	}
	return s
}

var worldDays = []v1alpha1.Day{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}

func (w world) requirements() v1alpha1.PolicyRequirements {
	var r v1alpha1.PolicyRequirements
	if w.chance(12) {
		r.Schedule = w.schedule()
	}
	if w.chance(12) {
		r.MaxLifetimeDays = int32(10 + w.Intn(60))
	}
	if w.chance(12) {
		for range 1 + w.Intn(3) {
			r.Runtime.Images = append(r.Runtime.Images, one(w, worldImagePatterns).pattern)
		}
	}
	if w.chance(5) {
		r.Runtime.Digests = one(w, []v1alpha1.DigestMode{v1alpha1.DigestsRequired, v1alpha1.DigestsOptional})
	}
	if w.chance(8) {
		r.Runtime.RuntimeClassNames = append(some(w, worldClasses), "gvisor")
	}
	if w.chance(12) {
		r.Credentials.Sources = append(some(w, []v1alpha1.SourceKind{v1alpha1.SourceExternalSecret}), v1alpha1.SourceSecret)
	}
	if w.chance(12) {
		r.Credentials.Delivery = append(some(w, []v1alpha1.Delivery{v1alpha1.DeliveryContainer}), v1alpha1.DeliveryGateway)
	}
	if w.chance(12) {
		r.Credentials.MaxAgeDays = int32(1 + w.Intn(60))
	}
	if w.chance(20) {
		r.Limits = v1alpha1.Limits{RequestsPerMinute: w.limit(), TokensPerDay: int64(w.limit()), ConcurrentRequests: w.limit(), RequestKiB: w.limit(), ResponseKiB: w.limit()}
	}
	return r
}

// limit is none more often than not.
func (w world) limit() int32 { return max(0, int32(w.Intn(11)-5)) }

// instant is a time near now: most often soon, sometimes much later, sometimes none.
func (w world) instant() time.Time {
	switch {
	case w.chance(2):
		return time.Time{}
	case w.chance(10):
		return worldNow.Add(time.Duration(w.Intn(400*24*60)) * time.Minute)
	default:
		return worldNow.Add(time.Duration(w.Intn(7*24*60)) * time.Minute)
	}
}

// later is an end some days from now, or a few before.
func (w world) later() *metav1.Time {
	return &metav1.Time{Time: worldNow.Add(time.Duration(w.Intn(80*24)-5*24) * time.Hour)}
}

func (w world) policy(i int) v1alpha1.ClawPolicy {
	p := v1alpha1.ClawPolicy{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("p%d", i), Namespace: "acme"}}
	p.Spec.Selector = v1alpha1.PolicySelector{All: w.chance(50), Owners: some(w, worldMembers), Teams: some(w, worldTeams)}
	if w.chance(10) {
		p.Namespace = "other"
	}
	p.Spec.Allow = w.rules(4)
	if w.chance(40) {
		p.Spec.Deny = w.denials()
	}
	if w.chance(35) {
		p.Spec.Require = w.requirements()
	}
	return p
}

func (w world) denials() v1alpha1.PolicyRules {
	out := w.rules(1)
	if w.chance(70) {
		out.Visibility = nil
	}
	if w.chance(30) {
		out.Stores = append(out.Stores, w.storeRule(false))
	}
	return out
}

func (w world) organization() *v1alpha1.ClawOrganization {
	org := &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: "acme"}}
	for _, name := range worldMembers[:3] {
		if w.chance(90) {
			org.Spec.Members = append(org.Spec.Members, w.member(name))
		}
	}
	for _, name := range worldTeams {
		org.Spec.Teams = append(org.Spec.Teams, v1alpha1.Team{Name: name, Members: some(w, worldMembers)})
	}
	if w.chance(15) {
		org.Spec.Baseline = v1alpha1.Baseline{Deny: w.denials(), Require: w.requirements()}
	}
	if w.chance(3) {
		org.Spec.State = v1alpha1.OrganizationStopped
	}
	return org
}

func (w world) member(name v1alpha1.MemberName) v1alpha1.Member {
	return v1alpha1.Member{Name: name, Identities: map[string][]string{"slack": some(w, worldUsers), "github": some(w, worldUsers), "email": some(w, worldMail)}}
}

// files hold a part of the directory, some of which the spec or another file says too.
func (w world) files() []DirectoryFile {
	var out []DirectoryFile
	for i := range w.Intn(3) {
		f := DirectoryFile{Name: fmt.Sprintf("people/%d.yaml", 2-i)}
		for _, name := range some(w, []v1alpha1.MemberName{"kim", "pat", "lee"}) {
			f.Members = append(f.Members, w.member(name))
		}
		if w.chance(50) {
			f.Teams = []v1alpha1.Team{{Name: one(w, worldTeams), Members: some(w, []v1alpha1.MemberName{"pat", "kim", "ghost"})}}
		}
		out = append(out, f)
	}
	return out
}

func (w world) claw() *v1alpha1.Claw {
	claw := &v1alpha1.Claw{ObjectMeta: metav1.ObjectMeta{Name: "triage", Namespace: "acme", UID: "uid"}}
	claw.Spec.Owner, claw.Spec.Visibility, claw.Spec.State = one(w, worldMembers), one(w, worldVisible), v1alpha1.ClawActive
	if claw.Spec.Visibility == v1alpha1.VisibilityTeam {
		claw.Spec.Teams = []v1alpha1.TeamName{one(w, worldTeams)}
	}
	if w.chance(3) {
		claw.Spec.State = v1alpha1.ClawRevoked
	}
	claw.CreationTimestamp = metav1.NewTime(worldNow.Add(-time.Duration(w.Intn(20*24)) * time.Hour))
	if w.chance(10) {
		claw.CreationTimestamp = metav1.Time{}
	}
	if w.chance(12) {
		claw.Spec.Schedule = &v1alpha1.ClawSchedule{Schedule: *w.schedule()}
	}
	if w.chance(50) {
		claw.Spec.ExpiresAt = w.later()
	}
	if w.chance(95) {
		claw.Spec.Runtime.Container = &v1alpha1.ContainerRuntime{Image: one(w, worldImages).written}
	}
	credential := func() v1alpha1.ObjectName {
		return one(w, []v1alpha1.ObjectName{"slack-key", "github-key", "slack-key"})
	}
	for _, rule := range many(w, 3, w.channelRule, w.exact) {
		claw.Spec.Channels = append(claw.Spec.Channels, v1alpha1.ChannelRequest{ChannelRule: rule, Credential: credential()})
	}
	for _, rule := range many(w, 3, w.toolRule, w.exact) {
		ask := v1alpha1.ToolRequest{ToolRule: rule, Credential: credential()}
		if w.chance(10) {
			ask.Schedule = w.schedule()
		}
		for i := range ask.Resources {
			if scope := &ask.Resources[i]; scope.Type == "recipient" && claw.Spec.Visibility == v1alpha1.VisibilityPrivate && w.chance(50) {
				scope.Names = append(scope.Names, v1alpha1.Wildcard) // exactly its owner's
			}
		}
		claw.Spec.Tools = append(claw.Spec.Tools, ask)
	}
	for _, rule := range many(w, 3, w.modelRule, w.exact) {
		claw.Spec.Models = append(claw.Spec.Models, v1alpha1.ModelRequest{ModelRule: rule, Credential: credential()})
	}
	return claw
}

var worldOwn = OwnConnectors{Definitions: map[v1alpha1.ConnectorName]string{"github": "connector: github", "unused": "connector: unused"}}

// scene is an input, and the files its directory is from.
type scene struct {
	Input
	files []DirectoryFile
}

func (w world) scene() scene {
	in := scene{Input: Input{Organization: w.organization(), Claw: w.claw(), Catalogue: worldCatalogue, Own: worldOwn}, files: w.files()}
	for i := range w.Intn(4) {
		in.Policies = append(in.Policies, w.policy(i))
	}
	if w.chance(40) {
		in.Policies = append(in.Policies, generous())
	}
	slack, github := w.key("slack-key", "slack"), w.key("github-key", "github")
	in.Credentials = some(w, []UsableCredential{slack, slack, github})
	in.SkipCredentials = w.chance(20)
	in.Now = worldNow
	if w.chance(1) {
		in.Now = time.Time{}
	}
	if w.chance(90) {
		in.RuntimeClassName = string(one(w, worldClasses))
	}
	in.join()
	return in
}

// generous allows all there is.
func generous() v1alpha1.ClawPolicy {
	all := []v1alpha1.Pattern{v1alpha1.Wildcard}
	p := v1alpha1.ClawPolicy{ObjectMeta: metav1.ObjectMeta{Name: "generous", Namespace: "acme"}}
	p.Spec.Selector.All = true
	allow := &p.Spec.Allow
	allow.Visibility = worldVisible
	for _, c := range []v1alpha1.ConnectorName{"slack", "github"} {
		allow.Channels = append(allow.Channels, v1alpha1.ChannelRule{Connector: c, Channels: all, Users: all, Correspondents: v1alpha1.Correspondents{Users: all}})
		allow.Tools = append(allow.Tools, v1alpha1.ToolRule{Connector: c, Actions: worldActions, Resources: []v1alpha1.ResourceScope{
			{Type: ResourceChannel, Names: all}, {Type: "repository", Names: all}, {Type: "recipient", Names: all}, {Type: "mailbox", Names: all, Domains: worldDomains}}})
		allow.Models = append(allow.Models, v1alpha1.ModelRule{Connector: c, Models: all})
	}
	for _, s := range worldStores {
		allow.Stores = append(allow.Stores, v1alpha1.StoreRule{StoreReference: s, Keys: all})
	}
	return p
}

// join makes the directory anew.
func (s *scene) join() { s.Directory = NewDirectory(s.Organization, s.files...) }

func (w world) key(name v1alpha1.ObjectName, connector v1alpha1.ConnectorName) UsableCredential {
	c := UsableCredential{GrantCredential: v1alpha1.GrantCredential{Name: name, Connector: connector, Slots: []string{"token"}, Version: "v1"},
		RotatedAt: worldNow.Add(-time.Duration(w.Intn(30*24)) * time.Hour)}
	c.Delivery = one(w, []v1alpha1.Delivery{"", v1alpha1.DeliveryGateway, v1alpha1.DeliveryContainer})
	if w.chance(5) {
		c.RotatedAt = time.Time{}
	}
	if w.chance(60) {
		c.Source.Secret = &v1alpha1.SecretSource{Name: "s"}
		return c
	}
	c.Source.ExternalSecret = &v1alpha1.ExternalSecretSource{SecretStoreRef: one(w, worldStores)}
	for range 1 + w.Intn(2) {
		c.Source.ExternalSecret.Data = append(c.Source.ExternalSecret.Data, v1alpha1.ExternalSecretData{Slot: "token", Key: one(w, worldKeys)})
	}
	return c
}

// call is one the Claw may have asked for: most often close to an entry of it.
func (w world) call(claw *v1alpha1.Claw) Call {
	call := Call{Connector: string(one(w, worldConnectors)), Operation: "op", Action: one(w, worldActions),
		Authority: one(w, []Authority{AuthorityTool, AuthorityTool, AuthorityChannel, AuthorityModel, AuthorityConnector, "bogus"}), At: w.instant()}
	add := func(kind string, names []v1alpha1.Pattern, all []string) {
		if len(names) > 0 && w.chance(70) {
			call.Resources = append(call.Resources, Resource{Type: kind, Name: id(call.Connector, kind, w.value(one(w, names), all))})
		}
	}
	for range w.Intn(3) {
		switch spec := claw.Spec; {
		case call.Authority == AuthorityModel && len(spec.Models) > 0:
			ask := one(w, spec.Models)
			call.Connector = string(ask.Connector)
			add(ResourceModel, ask.Models, worldModels)
		case call.Authority == AuthorityChannel && len(spec.Channels) > 0:
			ask := one(w, spec.Channels)
			call.Connector = string(ask.Connector)
			add(ResourceChannel, ask.Channels, worldChannels)
		case len(spec.Tools) > 0:
			ask := one(w, spec.Tools)
			call.Connector = string(ask.Connector)
			if len(ask.Actions) > 0 {
				call.Action = one(w, ask.Actions)
			}
			for _, scope := range ask.Resources {
				names := scope.Names
				if len(scope.Domains) > 0 && w.chance(50) {
					names = []v1alpha1.Pattern{v1alpha1.Wildcard}
				}
				add(scope.Type, names, worldNames(scope.Type))
			}
		}
	}
	return call
}

// value is one that a pattern matches, where the world has one; else any.
func (w world) value(p v1alpha1.Pattern, all []string) string {
	for range 10 {
		if v := one(w, all); Matches(p, v) {
			return v
		}
	}
	return one(w, all)
}

// message is one the Claw may have asked to hear.
func (w world) message(claw *v1alpha1.Claw) Message {
	m := Message{Connector: string(one(w, worldConnectors)), Actor: one(w, worldUsers), Channel: one(w, worldChannels), At: w.instant()}
	if w.chance(40) {
		m.Actor = one(w, worldOutsiders)
	}
	if len(claw.Spec.Channels) > 0 {
		ask := one(w, claw.Spec.Channels)
		m.Connector = string(ask.Connector)
		if len(ask.Channels) > 0 {
			m.Channel = w.value(one(w, ask.Channels), worldChannels)
		}
	}
	m.Channel = id(m.Connector, ResourceChannel, m.Channel)
	return m
}

func shuffled[T any](w world, in []T) []T {
	out := append([]T(nil), in...)
	w.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// worldImages are images as they are written, and what they are: no more than one tag or digest of one
// repository; nothing where they are none.
var worldImages = []struct{ written, repository, rest string }{
	{"registry.example/acme/app:1", "registry.example/acme/app", ":1"},
	{"registry.example/acme/app:1", "registry.example/acme/app", ":1"},
	{"REGISTRY.example/acme/app:1", "registry.example/acme/app", ":1"},
	{"registry.example/acme/app", "registry.example/acme/app", ":latest"},
	{"registry.example/acme/app:1@" + digestA, "registry.example/acme/app", "@" + digestA},
	{"registry.example/acme/app@" + digestA, "registry.example/acme/app", "@" + digestA},
	{"registry.example/acme/application:1", "registry.example/acme/application", ":1"},
	{"app", "docker.io/library/app", ":latest"},
	{"deadbeef", "", ""},
	{"registry.example/acme/app:1@sha256:1", "", ""},
}

// worldImagePatterns are patterns, and what they mean in words of their own.
var worldImagePatterns = []struct {
	pattern v1alpha1.Pattern
	means   func(repository, rest string) bool
}{
	{"*", func(string, string) bool { return true }},
	{"registry.example/acme/app:*", func(repository, _ string) bool { return repository == "registry.example/acme/app" }},
	{"registry.example/acme/*", func(repository, _ string) bool { return repository != "docker.io/library/app" }},
	{"registry.example/acme/app:1", func(repository, rest string) bool { return repository == "registry.example/acme/app" && rest == ":1" }},
	{v1alpha1.Pattern("registry.example/acme/app:2@" + digestA), func(_, rest string) bool { return rest == "@"+digestA }},
	{"registry.example/acme/app@*", func(_, rest string) bool { return rest == "@"+digestA }},
	{"registry.example/acme/app:l*", func(repository, rest string) bool {
		return repository == "registry.example/acme/app" && rest == ":latest"
	}},
	{"app:latest", func(repository, _ string) bool { return repository == "docker.io/library/app" }},
	{"a*b", func(string, string) bool { return false }},
}
