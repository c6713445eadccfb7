package policy

import (
	"testing"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

func TestHasUsername(t *testing.T) {
	org := &v1alpha1.ClawOrganization{Spec: v1alpha1.ClawOrganizationSpec{Members: []v1alpha1.Member{
		{Name: "sarah", Kubernetes: []string{"sarah@acme", "shared", ""}},
		{Name: "lee", Kubernetes: []string{"lee@acme"}},
	}}}
	d := NewDirectory(org, DirectoryFile{Name: "f", Members: []v1alpha1.Member{{Name: "kim", Kubernetes: []string{"shared"}}}})
	for _, tt := range []struct {
		member   v1alpha1.MemberName
		username string
		want     bool
	}{
		{"sarah", "sarah@acme", true},
		{"sarah", "lee@acme", false},
		{"sarah", "shared", false},
		{"kim", "shared", false},
		{"sarah", "", false},
		{"nobody", "sarah@acme", false},
	} {
		if got := d.HasUsername(tt.member, tt.username); got != tt.want {
			t.Errorf("%s is %q: %v, want %v", tt.member, tt.username, got, tt.want)
		}
	}
}
