package policy

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

func TestParseDirectoryFile(t *testing.T) {
	lee := v1alpha1.Member{Name: "lee", Identities: map[string][]string{"slack": {"T/U1"}}, Kubernetes: []string{"lee@acme"}}
	for name, c := range map[string]struct {
		text     string
		want     DirectoryFile
		problems []string
	}{
		"whole": {
			text: "members:\n- name: lee\n  identities: {slack: [T/U1]}\n  kubernetes: [lee@acme]\nteams:\n- {name: a, members: [lee, kim]}\n",
			want: DirectoryFile{Members: []v1alpha1.Member{lee}, Teams: []v1alpha1.Team{{Name: "a", Members: []v1alpha1.MemberName{"lee", "kim"}}}},
		},
		"empty": {text: ""},
		"an entry of another shape spoils only itself": {
			text: "members:\n- {name: kim, identities: {slack: T/U2}}\n- {name: sam, role: boss}\n- {name: lee, identities: {slack: [T/U1]}, kubernetes: [lee@acme]}\n- just-a-name\n",
			want: DirectoryFile{Members: []v1alpha1.Member{lee}},
			problems: []string{
				`f.yaml: members[0] counts for nothing: json: cannot unmarshal string into Go struct field Member.identities of type []string`,
				`f.yaml: members[1] counts for nothing: unknown field "role"`,
				`f.yaml: members[3] counts for nothing: json: cannot unmarshal string into Go value of type v1alpha1.Member`,
			},
		},
		"names that are none": {
			text: "members: [{name: ''}, {name: 'a b'}, {}]\nteams: [{name: Upper, members: [lee]}, {name: a, members: ['a b', lee]}]",
			want: DirectoryFile{Teams: []v1alpha1.Team{{Name: "a", Members: []v1alpha1.MemberName{"lee"}}}, TeamsUnknown: true},
			problems: []string{
				`f.yaml: members[0] counts for nothing: name "" is none: 1 to 128 letters, digits and . _ % + @ -`,
				`f.yaml: members[1] counts for nothing: name "a b" is none: 1 to 128 letters, digits and . _ % + @ -`,
				`f.yaml: members[2] counts for nothing: name "" is none: 1 to 128 letters, digits and . _ % + @ -`,
				`f.yaml: teams[0] counts for nothing: name "Upper" is none: 1 to 63 lower-case letters, digits and -`,
				`f.yaml: teams[1].members[0] counts for nothing: "a b" is no member's name`,
			},
		},
		"a part that is unknown": {text: "member: [{name: lee}]", want: DirectoryFile{TeamsUnknown: true}, problems: []string{`f.yaml: "member" is unknown and counts for nothing: a document has members and teams`}},
		"a part that is no list": {text: "members: lee", problems: []string{`f.yaml: members is no list, so it names nobody`}},
		"teams that are no list": {text: "teams: {a: [lee]}", want: DirectoryFile{TeamsUnknown: true}, problems: []string{`f.yaml: teams is no list, so it names nobody`}},
		"a team of another shape": {
			text: "teams: [{name: a, members: lee}]", want: DirectoryFile{TeamsUnknown: true},
			problems: []string{`f.yaml: teams[0] counts for nothing: json: cannot unmarshal string into Go struct field Team.members of type []v1alpha1.MemberName`},
		},
		"no mapping":       {text: "- name: lee", want: DirectoryFile{TeamsUnknown: true}, problems: []string{`f.yaml: is not a document with members and teams, so it names nobody`}},
		"a key said twice": {text: "members: []\nmembers: []", want: DirectoryFile{TeamsUnknown: true}, problems: []string{"f.yaml: is no YAML document, so it names nobody: yaml: unmarshal errors:\n  line 2: key \"members\" already set in map"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, problems := ParseDirectoryFile("f.yaml", c.text)
			c.want.Name = "f.yaml"
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("file (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.problems, problems); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParseDirectoryFile(f *testing.F) {
	f.Add("members:\n- {name: lee, identities: {slack: [T/U1]}}\nteams:\n- {name: a, members: [lee]}\n")
	f.Add("a: &a [x]\nmembers: *a")
	f.Fuzz(func(t *testing.T, text string) {
		file, _ := ParseDirectoryFile("f.yaml", text)
		for _, m := range file.Members {
			if !memberName.MatchString(string(m.Name)) {
				t.Errorf("member %q", m.Name)
			}
		}
		NewDirectory(&v1alpha1.ClawOrganization{}, file)
	})
}
