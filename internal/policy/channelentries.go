package policy

import (
	"cmp"
	"slices"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// channelEntries writes what is granted as entries: the channels that have the same people share one.
func channelEntries(ask *channelAsk, granted []set) []v1alpha1.ChannelRequest {
	byPeople := map[string]*v1alpha1.ChannelRequest{}
	for c, people := range granted {
		if people.empty() {
			continue
		}
		entry := byPeople[people.key()]
		if entry == nil {
			entry = ask.entry(people)
			byPeople[people.key()] = entry
		}
		entry.Channels = append(entry.Channels, ask.Channels[c])
	}
	var out []v1alpha1.ChannelRequest
	for _, entry := range byPeople {
		entry.Channels = tidy(entry.Channels)
		out = append(out, *entry)
	}
	slices.SortFunc(out, func(a, b v1alpha1.ChannelRequest) int {
		return cmp.Or(slices.Compare(a.Channels, b.Channels), slices.Compare(a.Users, b.Users),
			slices.Compare(a.Correspondents.Users, b.Correspondents.Users), slices.Compare(a.Correspondents.Domains, b.Correspondents.Domains))
	})
	return out
}

// entry is one with some of the people, and no channel yet.
func (a *channelAsk) entry(people set) *v1alpha1.ChannelRequest {
	out := &v1alpha1.ChannelRequest{Credential: a.Credential}
	out.Connector = a.Connector
	people.each(func(p int) bool {
		switch {
		case p < a.outside:
			out.Users = append(out.Users, a.Users[p])
		case p < a.domains:
			out.Correspondents.Users = append(out.Correspondents.Users, a.Correspondents.Users[p-a.outside])
		default:
			out.Correspondents.Domains = append(out.Correspondents.Domains, a.Correspondents.Domains[p-a.domains])
		}
		return true
	})
	out.Users, out.Correspondents.Users, out.Correspondents.Domains = tidy(out.Users), tidy(out.Correspondents.Users), tidy(out.Correspondents.Domains)
	return out
}

// tidy puts texts in order, each once.
func tidy[T ~string](texts []T) []T {
	slices.Sort(texts)
	return slices.Compact(texts)
}
