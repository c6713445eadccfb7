package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// channels cuts one entry of channels down. A rule is a product: its channels, each for all of its people.
// What is granted is the union of the products, written as one entry for each set of people.
func (n *narrowing) channels(ask *channelAsk) []v1alpha1.ChannelRequest {
	if !n.known(ask.path, ask.Connector) {
		return nil
	}
	told := &channelTold{channels: newSet(len(ask.Channels)), people: newSet(ask.persons)}
	barred := n.barredChannels(ask, told) // reported first, being the stronger reason
	granted := n.allowedChannels(ask, told)
	for c := range granted {
		granted[c] = granted[c].without(barred[c])
	}
	if n.large {
		return nil
	}
	return channelEntries(ask, granted)
}

// channelTold is of what a reader of the reports knows already that it is withheld.
type channelTold struct{ channels, people set }

// rows has a set of people for each channel of an entry.
func rows(ask *channelAsk) []set {
	out := make([]set, len(ask.Channels))
	for c := range out {
		out[c] = newSet(ask.persons)
	}
	return out
}

// barredChannels tells who is barred from which channel, whatever is allowed, and reports it.
func (n *narrowing) barredChannels(ask *channelAsk, told *channelTold) []set {
	barred := rows(ask)
	if n.Claw.Spec.Visibility == v1alpha1.VisibilityPrivate {
		n.beyondPrivate(ask, told, barred)
	}
	for _, d := range n.channelDenials(ask.Connector) {
		channels, people := ask.channels.of(d.channels), ask.people.of(d.people)
		if channels.empty() || people.empty() {
			continue
		}
		channels.each(func(c int) bool {
			barred[c].or(people)
			return true
		})
		n.deniedChannels(ask, told, &d, channels, people)
	}
	return barred
}

// beyondPrivate bars everybody from channels that others than the owner read, and outsiders from all.
func (n *narrowing) beyondPrivate(ask *channelAsk, told *channelTold, barred []set) {
	for c, channel := range ask.Channels {
		if !direct(ask.Connector, channel) {
			n.report(at(ask.path, "channels", c), v1alpha1.WithheldVisibility, "", notDirect(ask.Connector, channel))
			told.channels.add(c)
			for p := range ask.persons {
				barred[c].add(p)
			}
		}
		for p := ask.outside; p < ask.persons; p++ {
			barred[c].add(p)
		}
	}
	if ask.outside == ask.persons {
		return
	}
	for p := ask.outside; p < ask.persons; p++ {
		told.people.add(p)
	}
	n.report(ask.path+".correspondents", v1alpha1.WithheldVisibility, "",
		"asked for correspondents; a Private Claw speaks with its owner only, so it may have none: leave them out, or ask for visibility Team")
}

// deniedChannels reports what one denial takes, by the list the denial names.
func (n *narrowing) deniedChannels(ask *channelAsk, told *channelTold, d *channelCover, channels, people set) {
	switch {
	case len(d.rule.Channels) > 0:
		channels.without(told.channels).each(func(c int) bool {
			told.channels.add(c)
			n.denied(at(ask.path, "channels", c), d.by, fmt.Sprintf("%s channel %q", ask.Connector, ask.Channels[c]))
			return !n.full()
		})
	case !everybody(&d.rule):
		people.without(told.people).each(func(p int) bool {
			told.people.add(p)
			n.denied(ask.personPath(p), d.by, ask.person(p))
			return !n.full()
		})
	default:
		n.denied(ask.path, d.by, fmt.Sprintf("channels of %s", ask.Connector))
	}
}

// personPath is where one of the people stands.
func (a *channelAsk) personPath(p int) string {
	switch {
	case p < a.outside:
		return at(a.path, "users", p)
	case p < a.domains:
		return at(a.path, "correspondents.users", p-a.outside)
	default:
		return at(a.path, "correspondents.domains", p-a.domains)
	}
}

// person names one of the people.
func (a *channelAsk) person(p int) string {
	switch {
	case p < a.outside:
		return fmt.Sprintf("%s user %q", a.Connector, a.Users[p])
	case p < a.domains:
		return fmt.Sprintf("%s correspondent %q", a.Connector, a.Correspondents.Users[p-a.outside])
	default:
		return fmt.Sprintf("%s correspondents of domain %q", a.Connector, a.Correspondents.Domains[p-a.domains])
	}
}

// allowedChannels tells who is allowed in which channel, and reports who or what no rule allows.
func (n *narrowing) allowedChannels(ask *channelAsk, told *channelTold) []set {
	allowed := rows(ask)
	anywhere, someone := newSet(ask.persons), newSet(len(ask.Channels))
	for _, a := range n.channelAllows(ask.Connector) {
		channels, people := ask.channels.of(a.channels), ask.people.of(a.people)
		someone.or(channels)
		anywhere.or(people)
		channels.each(func(c int) bool {
			allowed[c].or(people)
			return true
		})
	}
	n.notAllowedChannels(ask, told, someone, anywhere)
	for c := range ask.Channels {
		if someone.has(c) && !told.channels.has(c) && !n.full() {
			n.notTogether(ask, c, anywhere.without(allowed[c]))
		}
	}
	return allowed
}

// notAllowedChannels reports the channels and the people that no rule allows at all.
func (n *narrowing) notAllowedChannels(ask *channelAsk, told *channelTold, someone, anywhere set) {
	for c, channel := range ask.Channels {
		if !someone.has(c) && !told.channels.has(c) && !n.full() {
			kind := fmt.Sprintf("%s channels", ask.Connector)
			n.notAllowed(at(ask.path, "channels", c), fmt.Sprintf("%s channel %q", ask.Connector, channel), kind,
				n.offered(kind, func(o *offer) {
					n.offerChannels(o, ask.Connector, func(r *v1alpha1.ChannelRule) []v1alpha1.Pattern { return r.Channels })
				}))
		}
	}
	for p := range ask.persons {
		if !anywhere.has(p) && !told.people.has(p) && !n.full() {
			kind, of := ask.sort(p)
			n.notAllowed(ask.personPath(p), ask.person(p), kind, n.offered(kind, func(o *offer) { n.offerChannels(o, ask.Connector, of) }))
		}
	}
}

// sort says what one of the people is one of, and which of a rule's lists may name such.
func (a *channelAsk) sort(p int) (kind string, of func(*v1alpha1.ChannelRule) []v1alpha1.Pattern) {
	if p < a.outside {
		return fmt.Sprintf("%s users", a.Connector), func(r *v1alpha1.ChannelRule) []v1alpha1.Pattern { return r.Users }
	}
	return fmt.Sprintf("%s correspondents", a.Connector), outsiders
}

// outsiders lists the correspondents of a rule.
func outsiders(r *v1alpha1.ChannelRule) []v1alpha1.Pattern {
	out := slices.Clone(r.Correspondents.Users)
	for _, d := range r.Correspondents.Domains {
		out = append(out, v1alpha1.Pattern(d))
	}
	return out
}

// offerChannels adds what the rules at a connector have in a list.
func (n *narrowing) offerChannels(o *offer, connector v1alpha1.ConnectorName, of func(*v1alpha1.ChannelRule) []v1alpha1.Pattern) {
	for i := range n.ceiling.allow.channels {
		if a := &n.ceiling.allow.channels[i]; a.rule.Connector == connector {
			o.addPatterns(a.by, of(&a.rule))
		}
	}
}

// notTogether reports people who are allowed, but not in this channel.
func (n *narrowing) notTogether(ask *channelAsk, c int, missing set) {
	var names []string
	missing.each(func(p int) bool {
		switch {
		case p < ask.outside:
			names = append(names, string(ask.Users[p]))
		case p < ask.domains:
			names = append(names, string(ask.Correspondents.Users[p-ask.outside]))
		default:
			names = append(names, string(ask.Correspondents.Domains[p-ask.domains]))
		}
		return true
	})
	if len(names) == 0 {
		return
	}
	var allowed offer
	for _, a := range n.channelAllows(ask.Connector) {
		if ask.channels.of(a.channels).has(c) {
			allowed.addPatterns(a.by, a.rule.Users)
			allowed.addPatterns(a.by, outsiders(&a.rule))
		}
	}
	n.notAllowed(at(ask.path, "channels", c), fmt.Sprintf("%s channel %q for users %s", ask.Connector, ask.Channels[c], list(names)),
		"users in this channel", &allowed)
}

// directPrefix is how the id of a conversation between the Claw and one person begins. A connector that
// is not listed has no such id, and a Private Claw cannot be reached through it.
var directPrefix = map[v1alpha1.ConnectorName]string{"slack": "D"}

// direct reports whether channel is one conversation with one person. A pattern is none: it would let
// the Claw speak to others in theirs.
func direct(connector v1alpha1.ConnectorName, channel v1alpha1.Pattern) bool {
	prefix, ok := directPrefix[connector]
	return ok && strings.HasPrefix(string(channel), prefix) && !strings.HasSuffix(string(channel), string(v1alpha1.Wildcard))
}

func notDirect(connector v1alpha1.ConnectorName, channel v1alpha1.Pattern) string {
	allowed := "no channel of this connector"
	if prefix, ok := directPrefix[connector]; ok {
		allowed = fmt.Sprintf("its owner's direct messages, by their exact id, which begins with %q", prefix)
	}
	return fmt.Sprintf("asked for %s channel %q; a Private Claw speaks with its owner only, so it may have %s: ask for that, or for visibility Team",
		connector, channel, allowed)
}
