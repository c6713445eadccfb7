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
	if n.full() || slices.ContainsFunc(n.reports, func(w v1alpha1.Withheld) bool { return w.Path == path }) {
		return
	}
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
func (n *narrowing) denied(path, policy, what string) {
	n.report(path, v1alpha1.WithheldDenied, policy,
		fmt.Sprintf("asked for %s; ClawPolicy %q denies it or part of it, and a denial wins over every allow: remove it, ask for less, or have security change that policy", what, policy))
}

// notAllowed reports what no policy allows, and what the policies allow instead.
func (n *narrowing) notAllowed(path, what, kind string, allowed offer) {
	n.report(path, v1alpha1.WithheldNotAllowed, "", fmt.Sprintf("asked for %s; %s", what, n.instead(kind, allowed)))
}

// instead says what is allowed, by which policies, and what to do.
func (n *narrowing) instead(kind string, allowed offer) string {
	switch {
	case len(n.ceiling.policies) == 0:
		return "no ClawPolicy selects this Claw, so nothing is allowed: have security write one that selects it, its owner, or a team of its owner"
	case len(allowed.values) == 0:
		return fmt.Sprintf("the policies over this Claw (%s) allow no %s: remove it, or have security allow it",
			list(n.ceiling.policies), kind)
	default:
		return fmt.Sprintf("allowed %s: %s (by %s): ask for what is allowed, or have security allow more",
			kind, list(allowed.values), list(allowed.policies))
	}
}

// offer is what policies allow where something else was asked.
type offer struct{ values, policies []string }

func (o *offer) add(policy string, values ...string) {
	if len(values) > 0 {
		o.values = append(o.values, values...)
		o.policies = append(o.policies, policy)
	}
}

func (o *offer) addPatterns(policy string, patterns []v1alpha1.Pattern) {
	for _, p := range patterns {
		o.add(policy, string(p))
	}
}

// list writes names once each, in order, and not more than a reader takes in.
func list[T ~string](names []T) string {
	sorted := slices.Sorted(slices.Values(names))
	sorted = slices.Compact(sorted)
	var b strings.Builder
	for i, name := range sorted {
		if i == maxListed {
			fmt.Fprintf(&b, " and %d more", len(sorted)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(name))
	}
	return b.String()
}

// cut shortens a text to at most n bytes, between characters.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "..."
}
