package directory

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// large is a directory of 10,000 members in ten ConfigMaps.
func large() *configMaps {
	out := &configMaps{by: map[string]*corev1.ConfigMap{}}
	for f := range 10 {
		var members, names strings.Builder
		for i := range 1000 {
			name := fmt.Sprintf("member-%d-%d@acme.example", f, i)
			fmt.Fprintf(&members, "- {name: %s, identities: {slack: [T01/U%d%03d], github: [gh-%d-%d]}, kubernetes: [%s]}\n", name, f, i, f, i, name)
			fmt.Fprintf(&names, "%s, ", name)
		}
		out.by[fmt.Sprintf("people-%d", f)] = configMap("1", map[string]string{
			"members.yaml": "members:\n" + members.String() + fmt.Sprintf("teams: [{name: team-%d, members: [%s]}, {name: all, members: [%s]}]\n", f, names.String(), names.String()),
		})
	}
	return out
}

func largeOrg() (refs []string) {
	for f := range 10 {
		refs = append(refs, fmt.Sprintf("people-%d", f))
	}
	return refs
}

func BenchmarkTenThousandMembers(b *testing.B) {
	o := org(objectNames(largeOrg())...)
	people := large()
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			r := &Reader{Client: people, Namespace: namespace}
			if d, problems, err := r.Of(b.Context(), o); err != nil || len(problems) > 0 || d.Size() != 10001 {
				b.Fatal(d.Size(), problems, err)
			}
		}
	})
	b.Run("kept", func(b *testing.B) {
		r := &Reader{Client: people, Namespace: namespace}
		if _, _, err := r.Of(b.Context(), o); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, _, err := r.Of(b.Context(), o); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("pending", func(b *testing.B) {
		r := &Reader{Client: people, Namespace: namespace}
		if _, _, err := r.Of(b.Context(), o); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, _, err := r.OfPending(b.Context(), r.Client, o); err != nil {
				b.Fatal(err)
			}
		}
	})
}
