package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// A grant must fit into one object however much is asked and refused, so reports are bounded.
const (
	maxWithheld = 64
	maxMessage  = 768
	maxListed   = 12
)

// report notes what is withheld; the first reason for a path stands.
func (n *narrowing) report(path string, reason v1alpha1.WithheldReason, policy, message string) {
	if n.full() || n.told[path] {
		return
	}
	if n.told == nil {
		n.told = map[string]bool{}
	}
	n.told[path] = true
	n.reports = append(n.reports, v1alpha1.Withheld{Path: path, Reason: reason, Policy: policy, Message: cut(message, maxMessage)})
}

// full reports whether nobody would read one more report.
func (n *narrowing) full() bool { return len(n.reports) > maxWithheld }

// withheld returns the reports, and says so where there were too many.
func (n *narrowing) withheld() []v1alpha1.Withheld {
	if len(n.reports) <= maxWithheld {
		return n.reports
	}
	return append(n.reports[:maxWithheld:maxWithheld], v1alpha1.Withheld{
		Path: "spec", Reason: v1alpha1.WithheldNotAllowed, Message: "and more: mend these first to see the rest",
	})
}

// denied reports what a policy denies.
func (n *narrowing) denied(path string, by source, what string) {
	n.report(path, v1alpha1.WithheldDenied, by.policy(),
		fmt.Sprintf("asked for %s; %s denies it or part of it, and a denial wins over every allow: remove it, ask for less, or %s", what, by, by.change()))
}

// required reports what is not as a policy requires: what was asked, what it requires, and what to do.
func (n *narrowing) required(path string, by source, asked, requires, remedy string) {
	n.report(path, v1alpha1.WithheldRequired, by.policy(), requirement(by, asked, requires, remedy))
}

func requirement(by source, asked, requires, remedy string) string {
	return fmt.Sprintf("%s; %s requires %s: %s, or %s", asked, by, requires, remedy, by.change())
}

// notAllowed reports what no policy allows, and what the policies allow instead.
func (n *narrowing) notAllowed(path, what, kind string, allowed *offer) {
	n.report(path, v1alpha1.WithheldNotAllowed, "", fmt.Sprintf("asked for %s; %s", what, n.ceiling.instead("this Claw", kind, allowed)))
}

// instead says what is allowed, by which policies, and what to do.
func (c *ceiling) instead(over, kind string, allowed *offer) string {
	switch {
	case len(c.policies) == 0:
		return fmt.Sprintf("no ClawPolicy selects %s, so nothing is allowed: have security write one that selects it, its owner, or a team of its owner", over)
	case len(allowed.values.least) == 0:
		return fmt.Sprintf("the policies over %s (%s) allow no %s: remove it, or have security allow it", over, list(c.policies), kind)
	default:
		return fmt.Sprintf("allowed %s: %s (by %s): ask for what is allowed, or have security allow more", kind, &allowed.values, &allowed.policies)
	}
}

// offer is what policies allow where something else was asked.
type offer struct{ values, policies shortlist }

func (o *offer) add(by source, values ...string) {
	for _, v := range values {
		o.values.add(v)
		o.policies.add(by.name)
	}
}

func (o *offer) addPatterns(by source, patterns []v1alpha1.Pattern) {
	for _, p := range patterns {
		o.values.add(string(p))
	}
	if len(patterns) > 0 {
		o.policies.add(by.name)
	}
}

// shortlist keeps as many of many texts as a reader takes in: the first in order, each once.
type shortlist struct {
	least []string
	more  bool
}

func (s *shortlist) add(text string) {
	i, found := slices.BinarySearch(s.least, text)
	switch {
	case found:
	case i == maxListed:
		s.more = true
	default:
		s.least = slices.Insert(s.least, i, text)
		if len(s.least) > maxListed {
			s.least, s.more = s.least[:maxListed], true
		}
	}
}

func (s *shortlist) String() string {
	out := strings.Join(s.least, ", ")
	if s.more {
		out += " and more"
	}
	return out
}

// list writes names once each, in order, and not more than a reader takes in.
func list[T ~string](names []T) string {
	var s shortlist
	for _, n := range names {
		s.add(string(n))
	}
	return s.String()
}

// cut shortens a text to at most n bytes, between characters.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "..."
}

func at(path, list string, i int) string { return fmt.Sprintf("%s.%s[%d]", path, list, i) }
