package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// What is missing, or is not what the schema lets through, neither panics nor gives anything.
func TestHostileInput(t *testing.T) {
	for name, mutate := range map[string]func(in *Input){
		"nothing":            func(in *Input) { *in = Input{} },
		"only a Claw":        func(in *Input) { *in = Input{Claw: &v1alpha1.Claw{}} },
		"no organization":    func(in *Input) { in.Organization = nil },
		"an empty directory": func(in *Input) { in.Directory = NewDirectory(nil) },
		"an empty selector":  func(in *Input) { in.Policies[0].Spec.Selector = v1alpha1.PolicySelector{} },
		"a pattern in between": func(in *Input) {
			in.Policies[0].Spec.Selector = v1alpha1.PolicySelector{Claws: []v1alpha1.Pattern{"t*e"}}
		},
		"contradictory policies": func(in *Input) {
			deny := *in.Policies[0].DeepCopy()
			deny.Name, deny.Spec.Deny, deny.Spec.Allow = "zero", in.Policies[0].Spec.Allow, v1alpha1.PolicyRules{}
			in.Policies = append(in.Policies, deny)
		},
		"images that contradict each other": func(in *Input) {
			other := *in.Policies[0].DeepCopy()
			other.Name, other.Spec.Require.Runtime.Images = "zero", []v1alpha1.Pattern{"docker.io/*"}
			in.Policies[0].Spec.Require.Runtime.Images = []v1alpha1.Pattern{"registry.example/*"}
			in.Policies = append(in.Policies, other)
		},
		"patterns that are none": func(in *Input) {
			for i := range in.Claw.Spec.Channels[0].Channels {
				in.Claw.Spec.Channels[0].Channels[i] = "C*1"
			}
			in.Claw.Spec.Tools[0].Resources = []v1alpha1.ResourceScope{{Type: "user", Names: []v1alpha1.Pattern{"", "**"}}}
			in.Claw.Spec.Tools[0].Actions = nil
			in.Claw.Spec.Models[0].Models = []v1alpha1.Pattern{"*claude"}
		},
		"a denial that is no pattern": func(in *Input) {
			p := &in.Policies[0].Spec
			p.Deny.Channels = []v1alpha1.ChannelRule{{Connector: "slack", Channels: []v1alpha1.Pattern{"a*b"}}}
			p.Deny.Tools = []v1alpha1.ToolRule{{Connector: "slack", Resources: []v1alpha1.ResourceScope{{Type: ResourceChannel, Names: []v1alpha1.Pattern{""}}, {Type: "user", Names: []v1alpha1.Pattern{"a*b"}}}}}
			p.Deny.Models = []v1alpha1.ModelRule{{Connector: "anthropic", Models: []v1alpha1.Pattern{"*x"}}}
			in.Claw.Spec.Tools[0].Actions = nil // without resources, an action would be left
		},
		"all members removed": func(in *Input) { in.Organization.Spec.Members = nil },
		"the owner renamed":   func(in *Input) { in.Organization.Spec.Members[0].Name = "sarah.smith@acme.example" },
	} {
		t.Run(name, func(t *testing.T) {
			in := runningExample()
			mutate(&in)
			grant := Compile(in).Grant
			for _, tool := range grant.Tools {
				if len(tool.Actions) > 0 && len(tool.Resources) > 0 {
					t.Errorf("tools: %+v", tool)
				}
			}
			if len(grant.Channels)+len(grant.Models)+len(grant.Audience) > 0 {
				t.Errorf("it gives %+v", grant)
			}
			if v := DecideCall(&grant, Call{Connector: "slack", Action: v1alpha1.ActionRead, Authority: AuthorityTool, Resources: []Resource{{"user", "U1"}}, At: noon}); v.Allowed {
				t.Errorf("%+v", v)
			}
		})
	}
}

// Whoever is heard from a directory of 10,000 members in files is heard; who leaves, is renamed or is claimed twice is not.
func TestLargeDirectory(t *testing.T) {
	in := crowd(10_000, 1)
	file := DirectoryFile{Name: "people.yaml"}
	for i := range 10_000 {
		file.Members = append(file.Members, v1alpha1.Member{Name: v1alpha1.MemberName(fmt.Sprintf("m%d", i)), Identities: map[string][]string{"slack": {fmt.Sprintf("T/U%d", i)}}, Kubernetes: []string{fmt.Sprintf("k%d", i)}})
	}
	heard := func(actor string) bool {
		grant := Compile(in).Grant
		grant.Schedules = nil
		return DecideMessage(&grant, Message{Connector: "slack", Actor: actor, Channel: "C1", At: noon}).Allowed
	}
	in.Directory = NewDirectory(in.Organization, file)
	if got := in.Directory.Size(); got != 10_003 || !heard("T/U9999") || !heard("T01/U01SARAH") {
		t.Fatalf("%d members, the last is heard: %t", got, heard("T/U9999"))
	}
	file.Members[5000].Identities["slack"] = []string{"T/U9999"}
	file.Members[5001].Kubernetes = []string{"k1"}
	in.Directory = NewDirectory(in.Organization, file)
	if heard("T/U9999") || heard("T/U5000") {
		t.Error("who is claimed by two, or by nobody any more, is heard")
	}
	for username, want := range map[string]v1alpha1.MemberName{"k2": "m2", "k1": "", "k5001": "", "": "", "nobody": ""} {
		if got, ok := in.Directory.MemberOf(username); got != want || ok != (want != "") {
			t.Errorf("%q is %q", username, got)
		}
	}
	file.Members[9999].Name = "renamed" // an identity is a member's whatever the name
	file.Members[5000].Identities = nil
	in.Directory = NewDirectory(in.Organization, file)
	if !heard("T/U9999") || in.Directory.IsMember("m9999") {
		t.Error("a new name lost the identity, or the old one is still there")
	}
	file.Members = file.Members[:9999]
	in.Directory = NewDirectory(in.Organization, file)
	if heard("T/U9999") {
		t.Error("who left is heard")
	}
}

// Who is named twice is whom the spec says, and then the first file by name.
func TestDirectoryOfSeveralParts(t *testing.T) {
	org := &v1alpha1.ClawOrganization{}
	org.Spec.Members = []v1alpha1.Member{{Name: sarah, Kubernetes: []string{"spec"}}}
	org.Spec.Teams = []v1alpha1.Team{{Name: "support", Members: []v1alpha1.MemberName{sarah}}}
	member := func(name v1alpha1.MemberName, username string) v1alpha1.Member {
		return v1alpha1.Member{Name: name, Kubernetes: []string{username}}
	}
	d := NewDirectory(org,
		DirectoryFile{Name: "b.yaml", Members: []v1alpha1.Member{member(sarah, "b"), member(lee, "b-lee")}, Teams: []v1alpha1.Team{{Name: "support", Members: []v1alpha1.MemberName{lee, "ghost"}}}},
		DirectoryFile{Name: "a.yaml", Members: []v1alpha1.Member{member(lee, "a-lee")}})
	for username, want := range map[string]v1alpha1.MemberName{"spec": sarah, "a-lee": lee, "b": "", "b-lee": ""} {
		if got, _ := d.MemberOf(username); got != want {
			t.Errorf("%q is %q, want %q", username, got, want)
		}
	}
	if !d.InTeam(sarah, "support") || !d.InTeam(lee, "support") || d.InTeam("ghost", "support") || len(d.Problems()) != 2 {
		t.Errorf("team or problems: %q", d.Problems())
	}
}

// A spec as large as an object can be is judged, bounded, and refused in words.
func TestSpecOfAMebibyte(t *testing.T) {
	in := greedy()["a Claw of 1 MiB of which nothing is allowed"]
	data, err := json.Marshal(in.Claw.Spec)
	if err != nil || len(data) < 1<<20 {
		t.Fatalf("the spec has %d bytes, %v", len(data), err)
	}
	got := Compile(in)
	for _, tool := range got.Grant.Tools {
		if len(tool.Resources) > 0 {
			t.Errorf("it gives %+v", tool)
		}
	}
	if len(got.Grant.Channels)+len(got.Grant.Models) > 0 || len(got.Withheld) != maxWithheld+1 || len(got.Withheld[0].Message) > maxMessage+3 {
		t.Errorf("%s, %d withheld", countsOf(got.Grant), len(got.Withheld))
	}
}

// Calls and messages at their time.
func TestDecideInTime(t *testing.T) {
	grant := decidable()
	grant.Schedules = []v1alpha1.Schedule{*hours("UTC", "08:00", "18:00"), *hours("Europe/Berlin", "08:00", "18:00")}
	grant.ExpiresAt = endIn(30 * day)
	grant.Tools[0].Schedule = hours("UTC", "11:00", "12:00")
	at := func(text string) time.Time { out, _ := time.Parse(time.RFC3339, text); return out }
	for _, c := range []struct {
		name       string
		at         time.Time
		call, tool string // the rules for speaking and for a tool
	}{
		{"open", at("2026-03-27T11:30:00Z"), "channels[0]", "tools[0]"},
		{"an entry's schedule is closed", at("2026-03-27T12:00:00Z"), "channels[0]", RuleSchedule},
		{"one of two is closed", at("2026-03-27T17:30:00Z"), RuleSchedule, RuleSchedule},
		{"both are", at("2026-03-28T11:30:00Z"), RuleSchedule, RuleSchedule},
		{"after the end", at("2026-04-27T11:30:00Z"), RuleExpiry, RuleExpiry},
		{"at no time", time.Time{}, RuleExpiry, RuleExpiry},
	} {
		t.Run(c.name, func(t *testing.T) {
			call := Call{Connector: "slack", Action: v1alpha1.ActionWrite, Authority: AuthorityChannel, Resources: []Resource{{ResourceChannel, "C1"}}, At: c.at}
			tool := Call{Connector: "slack", Action: v1alpha1.ActionRead, Authority: AuthorityTool, Resources: []Resource{{ResourceChannel, "C4"}}, At: c.at}
			msg := DecideMessage(grant, Message{Connector: "slack", Actor: "T01/U1", Channel: "C1", At: c.at})
			if got := DecideCall(grant, call); got.Rule != c.call || got.Allowed != strings.HasPrefix(c.call, "channels") || msg.Rule != c.call || msg.Allowed != got.Allowed {
				t.Errorf("speaking %+v, hearing %+v", got, msg)
			}
			if got := DecideCall(grant, tool); got.Rule != c.tool || got.Allowed != strings.HasPrefix(c.tool, "tools") {
				t.Errorf("tool %+v", got)
			}
		})
	}
	grant.Schedules, grant.ExpiresAt = nil, &metav1.Time{}
	if v := DecideCall(grant, Call{Connector: "slack", Authority: AuthorityConnector, At: noon}); v.Allowed || v.Rule != RuleExpiry {
		t.Errorf("an end that is none: %+v", v)
	}
}

// Correspondents are heard where an entry lists them, as what they are, and members never by them alone.
func TestCorrespondents(t *testing.T) {
	in := runningExample()
	ask, allow := &in.Claw.Spec.Channels[0], &in.Policies[0].Spec.Allow.Channels[0]
	ask.Correspondents = v1alpha1.Correspondents{Users: []v1alpha1.Pattern{"T9/*", "bob@cust.example"}, Domains: []v1alpha1.Domain{"partner.example", "other.example"}}
	allow.Correspondents = v1alpha1.Correspondents{Users: []v1alpha1.Pattern{"T9/U*"}, Domains: []v1alpha1.Domain{"partner.example", "cust.example"}}
	everybody := []string{"T9/U1", "T9/x", "ann@partner.example", "Ann@Partner.EXAMPLE", `"a@b"@partner.example`, "ann@other.example", "bob@cust.example", "Bob@cust.example",
		"ann@sub.partner.example", "ann@partner.example.", "@partner.example", "partner.example", "ann@partner.example@evil.example", "ann@pArtner.e\u212aample", ""}
	check := func(name string, withheld, want []string) {
		t.Helper()
		got := Compile(in)
		if diff := cmp.Diff(withheld, withheldOf(got)); diff != "" {
			t.Errorf("%s: withheld (-want +got):\n%s", name, diff)
		}
		for _, actor := range everybody {
			v := DecideMessage(&got.Grant, Message{Connector: "slack", Actor: actor, Channel: "C1", At: noon})
			if v.Allowed != slices.Contains(want, actor) || v.Allowed && !strings.HasSuffix(v.Rule, "].correspondents") {
				t.Errorf("%s: %q is heard: %t, by %s", name, actor, v.Allowed, v.Rule)
			}
		}
		if v := DecideMessage(&got.Grant, Message{Connector: "slack", Actor: "T01/U01LEE", Channel: "C1", At: noon}); v.Allowed && strings.HasSuffix(v.Rule, "correspondents") {
			t.Errorf("%s: a member is a correspondent: %+v", name, v)
		}
	}
	partner := []string{"ann@partner.example", "Ann@Partner.EXAMPLE", `"a@b"@partner.example`}
	check("asked and allowed", []string{"spec.channels[0].correspondents.users[0] NotAllowed", "spec.channels[0].correspondents.domains[1] NotAllowed"},
		append([]string{"bob@cust.example"}, partner...))
	allow.Correspondents.Users = []v1alpha1.Pattern{"*"}
	check("all allowed", nil, append([]string{"T9/U1", "T9/x", "ann@other.example", "bob@cust.example"}, partner...))
	deny := &in.Policies[0].Spec.Deny
	deny.Channels = []v1alpha1.ChannelRule{{Connector: "slack", Correspondents: v1alpha1.Correspondents{Domains: []v1alpha1.Domain{"partner.example"}}}}
	// An id that ends in * reaches into every domain.
	check("a domain denied", []string{"spec.channels[0].correspondents.users[0] DeniedByPolicy support-agents", "spec.channels[0].correspondents.domains[0] DeniedByPolicy support-agents"},
		[]string{"ann@other.example", "bob@cust.example"})
	deny.Channels[0] = v1alpha1.ChannelRule{Connector: "slack", Users: []v1alpha1.Pattern{"bob@cust.example"}}
	check("a user denied, who writes as a correspondent", []string{"spec.channels[0].users[0] DeniedByPolicy support-agents", "spec.channels[0].correspondents.users[1] DeniedByPolicy support-agents"},
		append([]string{"T9/U1", "T9/x", "ann@other.example"}, partner...))
	deny.Channels[0] = v1alpha1.ChannelRule{Connector: "slack", Channels: []v1alpha1.Pattern{"C1"}}
	check("everybody denied", []string{"spec.channels[0].channels[0] DeniedByPolicy support-agents", "spec.tools[0].resources[1].names[0] DeniedByPolicy support-agents"}, nil)
	deny.Channels = nil
	in.Claw.Spec.Visibility, in.Claw.Spec.Teams = v1alpha1.VisibilityPrivate, nil
	ask.Channels, in.Claw.Spec.Tools = []v1alpha1.Pattern{"D1"}, nil
	everybody = append(everybody, "T01/U01LEE")
	check("private", []string{"spec.channels[0].correspondents BeyondVisibility"}, nil)
}

// Whoever is denied is so however their address is written: they write it themselves.
func TestDeniedCorrespondentInCapitals(t *testing.T) {
	for name, c := range map[string]struct {
		ask  v1alpha1.Pattern
		deny v1alpha1.ChannelRule
	}{
		"another case of the mailbox":   {"Bob@evil.example", v1alpha1.ChannelRule{Correspondents: v1alpha1.Correspondents{Users: []v1alpha1.Pattern{"bob@evil.example"}}}},
		"another case of the domain":    {"bob@EVIL.example", v1alpha1.ChannelRule{Users: []v1alpha1.Pattern{"bob@evil.example"}}},
		"another case of a beginning":   {"BOB@*", v1alpha1.ChannelRule{Correspondents: v1alpha1.Correspondents{Users: []v1alpha1.Pattern{"bob@evil.example"}}}},
		"a denial in capitals":          {"bob@evil.example", v1alpha1.ChannelRule{Correspondents: v1alpha1.Correspondents{Users: []v1alpha1.Pattern{"BOB@*"}}}},
		"a denied domain with its root": {"bob@Evil.Example.", v1alpha1.ChannelRule{Correspondents: v1alpha1.Correspondents{Domains: []v1alpha1.Domain{"evil.example"}}}},
	} {
		in := runningExample()
		in.Claw.Spec.Channels[0].Correspondents.Users = []v1alpha1.Pattern{c.ask}
		in.Policies[0].Spec.Allow.Channels[0].Correspondents.Users = []v1alpha1.Pattern{"*"}
		c.deny.Connector = "slack"
		in.Policies[0].Spec.Deny.Channels = []v1alpha1.ChannelRule{c.deny}
		for _, granted := range Compile(in).Grant.Channels {
			if len(granted.Correspondents.Users) > 0 {
				t.Errorf("%s: %q is granted", name, granted.Correspondents.Users)
			}
		}
	}
}

// Where a part of the directory cannot be read, what is denied to or required of a team holds for everybody, and
// nothing is allowed by it: a mistake in a file takes no denial away.
func TestTeamsThatCannotBeRead(t *testing.T) {
	team := v1alpha1.Team{Name: "trials", Members: []v1alpha1.MemberName{"sarah@acme.example"}}
	compiled := func(owned bool, file DirectoryFile) Result {
		in := runningExample()
		strict := v1alpha1.ClawPolicy{}
		strict.Name, strict.Namespace = "trials", in.Claw.Namespace
		strict.Spec.Selector.Teams = []v1alpha1.TeamName{"trials"}
		strict.Spec.Allow.Models = []v1alpha1.ModelRule{{Connector: "anthropic", Models: []v1alpha1.Pattern{"*"}}}
		strict.Spec.Deny.Tools = []v1alpha1.ToolRule{{Connector: "slack"}}
		strict.Spec.Require.MaxLifetimeDays = 1
		in.Policies = append(in.Policies, strict)
		in.Claw.Spec.Models[0].Models = append(in.Claw.Spec.Models[0].Models, "only-for-trials")
		if owned {
			file.Teams = []v1alpha1.Team{team}
		}
		in.Directory = NewDirectory(in.Organization, file)
		return Compile(in)
	}
	trial := func(r Result) bool {
		return slices.ContainsFunc(r.Grant.Models, func(m v1alpha1.ModelRequest) bool { return slices.Contains(m.Models, "only-for-trials") })
	}
	for name, c := range map[string]struct {
		owned           bool
		file            DirectoryFile
		strict, allowed bool
	}{
		"in the team":         {true, DirectoryFile{Name: "f"}, true, true},
		"in no team":          {false, DirectoryFile{Name: "f"}, false, false},
		"nobody knows":        {false, DirectoryFile{Name: "f", TeamsUnknown: true}, true, false},
		"in what can be read": {true, DirectoryFile{Name: "f", TeamsUnknown: true}, true, true},
	} {
		got := compiled(c.owned, c.file)
		if held := len(got.Grant.Tools) == 0 && got.Grant.ExpiresAt != nil; held != c.strict {
			t.Errorf("%s: held to the team's policy: %t, grant %+v", name, held, got.Grant)
		}
		if trial(got) != c.allowed {
			t.Errorf("%s: allowed by the team's policy: %t", name, trial(got))
		}
	}
}
