package v1alpha1

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// warnUnwise says what a Claw asks for that is allowed and rarely meant.
func warnUnwise(f *findings, spec *v1alpha1.ClawSpec) {
	warnEmptyAsks(f, spec)
	warnWildcards(f, spec)
	if spec.Visibility == v1alpha1.VisibilityOrganization {
		for i, e := range spec.Tools {
			if beyond := slices.DeleteFunc(slices.Clone(e.Actions), func(a v1alpha1.Action) bool { return a == v1alpha1.ActionRead }); len(beyond) > 0 {
				f.warn("spec.tools[%d].actions: with visibility Organization, everybody in the organization can have this Claw %s through %s: think of visibility Team, or of Read alone",
					i, joined(beyond), e.Connector)
			}
		}
	}
	if spec.ExpiresAt == nil {
		f.warn("spec.expiresAt is not set: the Claw has no end of its own, and somebody must remember it")
	}
	if c := spec.Runtime.Container; c != nil && !strings.Contains(c.Image, "@") {
		f.warn("spec.runtime.container.image: %q is named without a digest, so whoever may push to it changes what runs: name it as image@sha256:...", c.Image)
	}
}

// warnWildcards says where an entry asks for all there is, now and later.
func warnWildcards(f *findings, spec *v1alpha1.ClawSpec) {
	for i, e := range spec.Channels {
		path := fmt.Sprintf("spec.channels[%d].", i)
		warnWildcard(f, path+"channels", e.Channels, fmt.Sprintf("every channel of %s, those to come too", e.Connector))
		if spec.Visibility != v1alpha1.VisibilityPrivate {
			warnWildcard(f, path+"users", e.Users, fmt.Sprintf("everybody whom visibility %s admits", spec.Visibility))
		}
		warnWildcard(f, path+"correspondents.users", e.Correspondents.Users, fmt.Sprintf("everybody who can write in these channels of %s, whoever they are", e.Connector))
	}
	for i, e := range spec.Tools {
		for k, s := range e.Resources {
			warnWildcard(f, fmt.Sprintf("spec.tools[%d].resources[%d].names", i, k), s.Names, fmt.Sprintf("every %s of %s, those to come too", s.Type, e.Connector))
		}
	}
	for i, e := range spec.Models {
		warnWildcard(f, fmt.Sprintf("spec.models[%d].models", i), e.Models, fmt.Sprintf("every model of %s, however dear", e.Connector))
	}
}

func warnWildcard(f *findings, path string, asked []v1alpha1.Pattern, means string) {
	if slices.Contains(asked, v1alpha1.Wildcard) {
		f.warn(`%s: "*" stands for %s: name what the Claw needs`, path, means)
	}
}

// warnEmptyAsks says where an entry asks for nothing, which is allowed and rarely meant.
func warnEmptyAsks(f *findings, spec *v1alpha1.ClawSpec) {
	for i, e := range spec.Channels {
		warnEmpty(f, fmt.Sprintf("spec.channels[%d].channels", i), len(e.Channels), "the Claw is reached nowhere through this entry")
		heard := len(e.Users) + len(e.Correspondents.Users) + len(e.Correspondents.Domains)
		warnEmpty(f, fmt.Sprintf("spec.channels[%d].users", i), heard, "the Claw hears nobody through this entry")
	}
	for i, e := range spec.Tools {
		warnEmpty(f, fmt.Sprintf("spec.tools[%d].actions", i), len(e.Actions), "the Claw may do nothing through this entry")
		for k, s := range e.Resources {
			warnEmpty(f, fmt.Sprintf("spec.tools[%d].resources[%d].names", i, k), len(s.Names), "it stands for no "+s.Type)
		}
	}
	for i, e := range spec.Models {
		warnEmpty(f, fmt.Sprintf("spec.models[%d].models", i), len(e.Models), "the Claw may ask no model through this entry")
	}
}

func warnEmpty(f *findings, path string, n int, means string) {
	if n == 0 {
		f.warn("%s is empty, which means none: %s", path, means)
	}
}

// joined writes words as in a sentence.
func joined[T ~string](words []T) string {
	var b strings.Builder
	for i, w := range words {
		switch {
		case i == 0:
		case i == len(words)-1:
			b.WriteString(" and ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(string(w))
	}
	return b.String()
}
