package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// channels cuts one entry of channels down. A rule is a product: its channels, each for all of its
// users. What is granted is the union of the products, written as one entry for each set of users.
func (n *narrowing) channels(path string, ask v1alpha1.ChannelRequest) []v1alpha1.ChannelRequest {
	if !n.known(path, ask.Connector) {
		return nil
	}
	barred := n.barredChannels(path, ask) // reported first, being the stronger reason
	granted := n.allowedChannels(path, ask)
	for c := range granted {
		for u := range granted[c] {
			granted[c][u] = granted[c][u] && !barred[c][u]
		}
	}
	return channelEntries(ask, granted)
}

// pairs has a place for each channel of an entry, and in it for each of its users.
func pairs(ask v1alpha1.ChannelRequest) [][]bool {
	out := make([][]bool, len(ask.Channels))
	for c := range out {
		out[c] = make([]bool, len(ask.Users))
	}
	return out
}

// barredChannels tells which pairs are barred, whatever is allowed, and reports them.
func (n *narrowing) barredChannels(path string, ask v1alpha1.ChannelRequest) [][]bool {
	barred := pairs(ask)
	for c, channel := range ask.Channels {
		if n.Claw.Spec.Visibility == v1alpha1.VisibilityPrivate && !direct(ask.Connector, channel) {
			n.report(at(path, "channels", c), v1alpha1.WithheldVisibility, "", beyondPrivate(ask.Connector, channel))
			for u := range barred[c] {
				barred[c][u] = true
			}
		}
	}
	for _, d := range n.ceiling.deny.channels {
		if d.rule.Connector != ask.Connector {
			continue
		}
		channels, users := overlappedBy(ask.Channels, d.rule.Channels), overlappedBy(ask.Users, d.rule.Users)
		for c, hit := range channels {
			if hit {
				mark(barred[c], users)
			}
		}
		if slices.Contains(channels, true) && slices.Contains(users, true) {
			n.deniedChannels(path, ask, d, channels, users)
		}
	}
	return barred
}

// deniedChannels reports what one denial takes, by the list the denial names.
func (n *narrowing) deniedChannels(path string, ask v1alpha1.ChannelRequest, d from[v1alpha1.ChannelRule], channels, users []bool) {
	switch {
	case len(d.rule.Channels) > 0:
		for c, hit := range channels {
			if hit && !n.full() {
				n.denied(at(path, "channels", c), d.policy, fmt.Sprintf("%s channel %q", ask.Connector, ask.Channels[c]))
			}
		}
	case len(d.rule.Users) > 0:
		for u, hit := range users {
			if hit && !n.full() {
				n.denied(at(path, "users", u), d.policy, fmt.Sprintf("%s user %q", ask.Connector, ask.Users[u]))
			}
		}
	default:
		n.denied(path, d.policy, fmt.Sprintf("channels of %s", ask.Connector))
	}
}

// allowedChannels tells which pairs the rules allow, and reports what none does.
func (n *narrowing) allowedChannels(path string, ask v1alpha1.ChannelRequest) [][]bool {
	allowed := pairs(ask)
	anyChannel, anyUser := make([]bool, len(ask.Channels)), make([]bool, len(ask.Users))
	var channelOffer, userOffer offer
	for _, a := range n.ceiling.allow.channels {
		if a.rule.Connector != ask.Connector {
			continue
		}
		channels, users := coveredBy(ask.Channels, a.rule.Channels), coveredBy(ask.Users, a.rule.Users)
		for c, covered := range channels {
			if covered {
				mark(allowed[c], users)
			}
		}
		mark(anyChannel, channels)
		mark(anyUser, users)
		channelOffer.addPatterns(a.policy, a.rule.Channels)
		userOffer.addPatterns(a.policy, a.rule.Users)
	}
	for c, covered := range anyChannel {
		if !covered && !n.full() {
			n.notAllowed(at(path, "channels", c), fmt.Sprintf("%s channel %q", ask.Connector, ask.Channels[c]),
				fmt.Sprintf("%s channels", ask.Connector), channelOffer)
		}
	}
	for u, covered := range anyUser {
		if !covered && !n.full() {
			n.notAllowed(at(path, "users", u), fmt.Sprintf("%s user %q", ask.Connector, ask.Users[u]),
				fmt.Sprintf("%s users", ask.Connector), userOffer)
		}
	}
	for c, covered := range anyChannel {
		if covered && !n.full() {
			n.notTogether(path, ask, c, anyUser, allowed[c])
		}
	}
	return allowed
}

// notTogether reports users who are allowed, but not in this channel.
func (n *narrowing) notTogether(path string, ask v1alpha1.ChannelRequest, c int, anyUser, here []bool) {
	var missing []v1alpha1.Pattern
	for u := range ask.Users {
		if anyUser[u] && !here[u] {
			missing = append(missing, ask.Users[u])
		}
	}
	if len(missing) == 0 {
		return
	}
	var allowed offer
	for _, a := range n.ceiling.allow.channels {
		if a.rule.Connector == ask.Connector && coveredBy(ask.Channels[c:c+1], a.rule.Channels)[0] {
			allowed.addPatterns(a.policy, a.rule.Users)
		}
	}
	n.notAllowed(at(path, "channels", c), fmt.Sprintf("%s channel %q for users %s", ask.Connector, ask.Channels[c], list(missing)),
		"users in this channel", allowed)
}

// channelEntries writes the granted pairs as entries: the channels that have the same users share one.
func channelEntries(ask v1alpha1.ChannelRequest, granted [][]bool) []v1alpha1.ChannelRequest {
	byUsers := map[string]*v1alpha1.ChannelRequest{}
	for c, users := range granted {
		if !slices.Contains(users, true) {
			continue
		}
		entry := byUsers[bits(users)]
		if entry == nil {
			entry = &v1alpha1.ChannelRequest{Credential: ask.Credential}
			entry.Connector = ask.Connector
			entry.Users = pick(ask.Users, users)
			byUsers[bits(users)] = entry
		}
		entry.Channels = append(entry.Channels, ask.Channels[c])
	}
	var out []v1alpha1.ChannelRequest
	for _, entry := range byUsers {
		slices.Sort(entry.Channels)
		entry.Channels = slices.Compact(entry.Channels)
		out = append(out, *entry)
	}
	slices.SortFunc(out, func(a, b v1alpha1.ChannelRequest) int {
		return cmp.Or(slices.Compare(a.Channels, b.Channels), slices.Compare(a.Users, b.Users))
	})
	return out
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

func beyondPrivate(connector v1alpha1.ConnectorName, channel v1alpha1.Pattern) string {
	allowed := "no channel of this connector"
	if prefix, ok := directPrefix[connector]; ok {
		allowed = fmt.Sprintf("its owner's direct messages, by their exact id, which begins with %q", prefix)
	}
	return fmt.Sprintf("asked for %s channel %q; a Private Claw speaks with its owner only, so it may have %s: ask for that, or for visibility Team",
		connector, channel, allowed)
}

func at(path, list string, i int) string { return fmt.Sprintf("%s.%s[%d]", path, list, i) }
