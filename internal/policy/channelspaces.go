package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// The kinds of name in an entry of channels.
const (
	kindChannel = "channel"
	kindUser    = "user"          // a member
	kindOutside = "correspondent" // an id of a correspondent
	kindOpenEnd = "open end"      // the same, of those with a "*"
	kindAddress = "address"       // the same, by the domain of those that are mail addresses
	kindFolded  = "folded"        // the same, in lower case: mail to BOB@ reaches bob@
	kindDomain  = "domain"        // a domain of correspondents
)

// channelAsk is one entry of channels: who is asked for are its users, then the ids and then the domains of
// its correspondents.
type channelAsk struct {
	v1alpha1.ChannelRequest
	path             string
	channels, people region
	outside, domains int // where the correspondents begin among the people, and where their domains do
	persons          int
}

// channelSpaces hold the channels and the people of all entries at one connector.
type channelSpaces struct{ channels, people space }

// placeChannels gives each entry its place.
func (n *narrowing) placeChannels() {
	n.channelSpaces = map[v1alpha1.ConnectorName]*channelSpaces{}
	for i, ask := range n.Claw.Spec.Channels {
		s := n.channelSpaces[ask.Connector]
		if s == nil {
			s = &channelSpaces{}
			n.channelSpaces[ask.Connector] = s
		}
		e := channelAsk{ChannelRequest: ask, path: fmt.Sprintf("spec.channels[%d]", i)}
		e.outside = len(ask.Users)
		e.domains = e.outside + len(ask.Correspondents.Users)
		e.persons = e.domains + len(ask.Correspondents.Domains)
		e.Channels = n.kindOf(ask.Connector, ResourceChannel).foldAll(ask.Channels)
		e.channels, e.people = s.channels.take(len(ask.Channels)), s.people.take(e.persons)
		for c, p := range e.Channels {
			s.channels.add(e.channels, kindChannel, p, c)
		}
		for u, p := range ask.Users {
			s.people.add(e.people, kindUser, p, u)
		}
		for u, p := range ask.Correspondents.Users {
			placeOutsider(&s.people, e.people, p, e.outside+u)
		}
		for d, domain := range ask.Correspondents.Domains {
			s.people.put(e.people, kindDomain, name{text: string(domain), place: e.domains + d}, isDomain(domain))
		}
		n.channelAsks = append(n.channelAsks, e)
	}
}

// placeOutsider gives an id of correspondents its places: by its text, and by what it has to do with domains.
func placeOutsider(people *space, r region, p v1alpha1.Pattern, i int) {
	people.add(r, kindOutside, p, i)
	text, prefix, ok := split(p)
	people.put(r, kindFolded, name{text: strings.ToLower(text), prefix: prefix, place: i}, ok)
	if domain, address := mailDomain(text); prefix {
		people.put(r, kindOpenEnd, name{place: i}, ok)
	} else if address {
		people.put(r, kindAddress, name{text: domain, place: i}, ok)
	}
}

// channelCover is what a rule covers, or a denial overlaps, of all entries at its connector.
type channelCover struct {
	from[v1alpha1.ChannelRule]
	channels, people set
}

// channelAllows looks up what the rules cover at a connector.
func (n *narrowing) channelAllows(connector v1alpha1.ConnectorName) []channelCover {
	s, kind := n.channelSpaces[connector], n.kindOf(connector, ResourceChannel)
	return lookUp(&n.channelAllow, connector, n.ceiling.allow.channels, channelConnector, func(r from[v1alpha1.ChannelRule]) channelCover {
		return channelCover{r, s.channels.covered(nil, kindChannel, kind.foldAll(r.rule.Channels)), s.coveredPeople(&r.rule)}
	})
}

// channelDenials looks up what the denials overlap at a connector.
func (n *narrowing) channelDenials(connector v1alpha1.ConnectorName) []channelCover {
	s, kind := n.channelSpaces[connector], n.kindOf(connector, ResourceChannel)
	return lookUp(&n.channelDeny, connector, n.ceiling.deny.channels, channelConnector, func(r from[v1alpha1.ChannelRule]) channelCover {
		return channelCover{r, s.deniedChannels(kind.foldAll(r.rule.Channels)), s.deniedPeople(&r.rule)}
	})
}

func channelConnector(r *v1alpha1.ChannelRule) v1alpha1.ConnectorName { return r.Connector }

// coveredPeople finds whom a rule allows. A domain holds the addresses in it, and everybody holds every domain.
func (s *channelSpaces) coveredPeople(rule *v1alpha1.ChannelRule) set {
	out := s.people.covered(nil, kindUser, rule.Users)
	out = s.people.covered(out, kindOutside, rule.Correspondents.Users)
	if slices.Contains(rule.Correspondents.Users, v1alpha1.Wildcard) {
		out = s.people.covered(out, kindDomain, []v1alpha1.Pattern{v1alpha1.Wildcard})
	}
	for _, d := range rule.Correspondents.Domains {
		if !isDomain(d) {
			continue
		}
		exact := []v1alpha1.Pattern{v1alpha1.Pattern(d)}
		out = s.people.covered(out, kindDomain, exact)
		out = s.people.covered(out, kindAddress, exact)
	}
	return out
}

func (s *channelSpaces) deniedChannels(channels []v1alpha1.Pattern) set {
	if len(channels) == 0 {
		return s.channels.all(nil, kindChannel)
	}
	return s.channels.overlapped(nil, kindChannel, channels)
}

// deniedPeople finds whom a denial is about. Users are denied as what they are and as correspondents.
func (s *channelSpaces) deniedPeople(rule *v1alpha1.ChannelRule) set {
	var out set
	if everybody(rule) {
		for _, kind := range []string{kindUser, kindOutside, kindDomain} {
			out = s.people.all(out, kind)
		}
		return out
	}
	out = s.people.overlapped(out, kindUser, rule.Users)
	for _, ids := range [][]v1alpha1.Pattern{rule.Users, rule.Correspondents.Users} {
		out = s.people.overlapped(out, kindFolded, folded(ids))
		for _, p := range ids {
			out = s.people.domainsOf(out, kindDomain, p)
		}
	}
	for _, d := range rule.Correspondents.Domains {
		out = s.people.all(out, kindOpenEnd) // before an "@" anything can stand, so each reaches into each domain
		if !isDomain(d) {
			out = s.people.all(s.people.all(out, kindDomain), kindOutside)
			continue
		}
		exact := []v1alpha1.Pattern{v1alpha1.Pattern(d)}
		out = s.people.overlapped(out, kindDomain, exact)
		out = s.people.overlapped(out, kindAddress, append(exact, v1alpha1.Pattern(d)+".")) // the same domain, in full
	}
	return out
}

// folded are ids however they are written: who is denied chooses how to write their own address.
func folded(ids []v1alpha1.Pattern) []v1alpha1.Pattern {
	out := make([]v1alpha1.Pattern, 0, len(ids))
	for _, id := range ids {
		out = append(out, v1alpha1.Pattern(strings.ToLower(string(id))))
	}
	return out
}
