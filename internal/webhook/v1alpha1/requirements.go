package v1alpha1

import (
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// checkRequirements refuses requirements that mean nothing, and says which of them nothing can fulfil.
func checkRequirements(f *findings, path string, r *v1alpha1.PolicyRequirements, org *v1alpha1.ClawOrganization) {
	checkSchedule(f, path+".schedule", r.Schedule)
	const held = "Claws this is over would be granted nothing and held"
	digests := r.Runtime.Digests == v1alpha1.DigestsRequired
	if digests && len(r.Runtime.Images) > 0 && !slices.ContainsFunc(r.Runtime.Images, mayHaveDigest) {
		f.warn("%s.runtime: digests are Required and none of images can have one: %s. Name images by digest, or as repository:*", path, held)
	}
	if class := org.Spec.Sandbox.RuntimeClassName; len(r.Runtime.RuntimeClassNames) > 0 && !slices.Contains(r.Runtime.RuntimeClassNames, class) {
		f.warn("%s.runtime.runtimeClassNames: agents of ClawOrganization %q run in %s, which is none of these: %s. Add it, or have the platform change spec.sandbox.runtimeClassName",
			path, org.Name, runtimeClassWords(class), held)
	}
}

// mayHaveDigest reports whether a pattern of images matches any image that is named by its digest.
func mayHaveDigest(p v1alpha1.Pattern) bool {
	return strings.Contains(string(p), "@") || strings.HasSuffix(string(p), string(v1alpha1.Wildcard))
}

func runtimeClassWords(class v1alpha1.ObjectName) string {
	if class == "" {
		return "the cluster's default runtime"
	}
	return "RuntimeClass \"" + string(class) + "\""
}
