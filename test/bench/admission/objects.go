package admission

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
)

const (
	cage      = "acme"
	runtime   = "gvisor"
	image     = "registry.example/acme/agents/triage@sha256:4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"
	perTeam   = 100  // members
	perFile   = 2500 // members in one ConfigMap
	selecting = 10   // policies that select the Claws which are measured, where not all do
	distinct  = 64   // Claws that are asked for in turn
)

func member(i int) v1alpha1.MemberName {
	return v1alpha1.MemberName(fmt.Sprintf("member-%d@acme.example", i))
}

func team(i int) v1alpha1.TeamName { return v1alpha1.TeamName(fmt.Sprintf("team-%d", i)) }

// owner of all Claws that are measured, who is in the first team.
var owner = member(0)

// organization whose directory is in ConfigMaps, because so many members fit in no spec.
func organization(files []corev1.ConfigMap) *v1alpha1.ClawOrganization {
	claws := int32(1_000_000)
	org := &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: cage}, Spec: v1alpha1.ClawOrganizationSpec{
		Sandbox:  v1alpha1.Sandbox{RuntimeClassName: runtime, RuntimeClass: v1alpha1.RuntimeClassRequired},
		Quota:    v1alpha1.Quota{Claws: &claws},
		Baseline: v1alpha1.Baseline{},
	}}
	org.Spec.Baseline.Deny.Tools = []v1alpha1.ToolRule{{Connector: "slack", Actions: []v1alpha1.Action{v1alpha1.ActionAdmin}}}
	org.Spec.Baseline.Require.Runtime = v1alpha1.RuntimeRequirements{
		Images: []v1alpha1.Pattern{"registry.example/acme/*"}, Digests: v1alpha1.DigestsRequired, RuntimeClassNames: []v1alpha1.ObjectName{runtime, "kata"},
	}
	for _, f := range files {
		org.Spec.DirectoryRefs = append(org.Spec.DirectoryRefs, v1alpha1.ConfigMapReference{ConfigMap: v1alpha1.ObjectName(f.Name)})
	}
	return org
}

// directory of so many members, in teams of a hundred: as it is read, and as it is kept.
func directory(members int) ([]policy.DirectoryFile, []corev1.ConfigMap, error) {
	var all []v1alpha1.Member
	var teams []v1alpha1.Team
	for i := range members {
		all = append(all, v1alpha1.Member{Name: member(i), Kubernetes: []string{string(member(i))},
			Identities: map[string][]string{"slack": {fmt.Sprintf("T01ACME/U%06d", i)}}})
		if i%perTeam == 0 {
			teams = append(teams, v1alpha1.Team{Name: team(i / perTeam)})
		}
		last := &teams[len(teams)-1]
		last.Members = append(last.Members, member(i))
	}
	var files []policy.DirectoryFile
	var maps []corev1.ConfigMap
	for part := range slices.Chunk(all, perFile) {
		file := policy.DirectoryFile{Name: fmt.Sprintf("acme-directory-%d", len(files)), Members: part}
		if len(files) == 0 {
			file.Teams = teams
		}
		text, err := yaml.Marshal(file)
		if err != nil {
			return nil, nil, err
		}
		files = append(files, file)
		maps = append(maps, corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: chart.Namespace, Name: file.Name},
			Data: map[string]string{"directory.yaml": string(text)}})
	}
	return files, maps, nil
}

// policies of a number, of which the first so many select the owner's Claws: each allows channels of its own, denies,
// and every tenth requires. The others are like them, of other teams.
func policies(n, selecting int) []v1alpha1.ClawPolicy {
	out := make([]v1alpha1.ClawPolicy, n)
	for i := range out {
		p := &out[i]
		p.Namespace, p.Name = cage, fmt.Sprintf("policy-%d", i)
		p.Spec.Selector.Teams = []v1alpha1.TeamName{team(0)}
		if i >= selecting {
			p.Spec.Selector.Teams = []v1alpha1.TeamName{team(1 + i%perTeam)}
		}
		own := v1alpha1.Pattern(fmt.Sprintf("C0TEAM%d", i))
		p.Spec.Allow = v1alpha1.PolicyRules{
			Visibility: []v1alpha1.Visibility{v1alpha1.VisibilityPrivate, v1alpha1.VisibilityTeam},
			Channels:   []v1alpha1.ChannelRule{{Connector: "slack", Channels: []v1alpha1.Pattern{own, own + "X*"}, Users: []v1alpha1.Pattern{"*"}}},
			Tools: []v1alpha1.ToolRule{{Connector: "slack", Actions: []v1alpha1.Action{v1alpha1.ActionRead, v1alpha1.ActionWrite},
				Resources: []v1alpha1.ResourceScope{{Type: "channel", Names: []v1alpha1.Pattern{own}}}}},
			Models: []v1alpha1.ModelRule{{Connector: "anthropic", Models: []v1alpha1.Pattern{"claude-haiku-*", "claude-sonnet-*"}}},
		}
		p.Spec.Deny.Tools = []v1alpha1.ToolRule{{Connector: "slack", Actions: []v1alpha1.Action{v1alpha1.ActionDelete}}}
		if i%10 == 0 {
			p.Spec.Require = v1alpha1.PolicyRequirements{
				Schedule: hours("07:00", "20:00"), MaxLifetimeDays: 365, Limits: v1alpha1.Limits{RequestsPerMinute: 600},
				Credentials: v1alpha1.CredentialRequirements{Sources: []v1alpha1.SourceKind{v1alpha1.SourceSecret}, MaxAgeDays: 90,
					Delivery: []v1alpha1.Delivery{v1alpha1.DeliveryGateway}},
			}
		}
	}
	return out
}

func hours(start, end string) *v1alpha1.Schedule {
	return &v1alpha1.Schedule{TimeZone: "Europe/Berlin", Windows: []v1alpha1.Window{
		{Days: []v1alpha1.Day{"Mon", "Tue", "Wed", "Thu", "Fri"}, Start: start, End: end},
	}}
}

// claw asks for what the first and the last of the policies that select it allow.
func claw(name string, owner int, last int, now time.Time) *v1alpha1.Claw {
	expires := metav1.NewTime(now.Add(90 * 24 * time.Hour).Truncate(time.Second))
	channels := []v1alpha1.Pattern{"C0TEAM0", v1alpha1.Pattern(fmt.Sprintf("C0TEAM%dX1", last))}
	speaks := []v1alpha1.Pattern{v1alpha1.Pattern(fmt.Sprintf("C0TEAM%d", last/2))}
	return &v1alpha1.Claw{ObjectMeta: metav1.ObjectMeta{Namespace: cage, Name: name}, Spec: v1alpha1.ClawSpec{
		Owner: member(owner), Purpose: "Triages inbound support tickets and drafts answers.", Visibility: v1alpha1.VisibilityTeam,
		Teams: []v1alpha1.TeamName{team(owner / perTeam)}, Schedule: &v1alpha1.ClawSchedule{Schedule: *hours("08:00", "18:00")}, ExpiresAt: &expires,
		Channels: []v1alpha1.ChannelRequest{{Credential: slackKey(name), ChannelRule: v1alpha1.ChannelRule{
			Connector: "slack", Channels: channels, Users: []v1alpha1.Pattern{"*"}}}},
		Tools: []v1alpha1.ToolRequest{{Credential: slackKey(name), ToolRule: v1alpha1.ToolRule{
			Connector: "slack", Actions: []v1alpha1.Action{v1alpha1.ActionRead, v1alpha1.ActionWrite},
			Resources: []v1alpha1.ResourceScope{{Type: "channel", Names: speaks}}}}},
		Models: []v1alpha1.ModelRequest{{Credential: modelKey(name), ModelRule: v1alpha1.ModelRule{
			Connector: "anthropic", Models: []v1alpha1.Pattern{"claude-sonnet-5", "claude-haiku-5"}}}},
		Runtime: v1alpha1.Runtime{Container: &v1alpha1.ContainerRuntime{Image: image}},
	}}
}

func slackKey(claw string) v1alpha1.ObjectName { return v1alpha1.ObjectName(claw + "-slack") }

func modelKey(claw string) v1alpha1.ObjectName { return v1alpha1.ObjectName(claw + "-anthropic") }

// credentials of a Claw, which are there before it as its admission looks at them.
func credentials(c *v1alpha1.Claw) []*v1alpha1.ClawCredential {
	credential := func(name v1alpha1.ObjectName, connector v1alpha1.ConnectorName, keys map[string]string) *v1alpha1.ClawCredential {
		return &v1alpha1.ClawCredential{ObjectMeta: metav1.ObjectMeta{Namespace: cage, Name: string(name)}, Spec: v1alpha1.ClawCredentialSpec{
			Claw: v1alpha1.CredentialClaw{Name: v1alpha1.ObjectName(c.Name), Owner: c.Spec.Owner}, Connector: connector,
			Source: v1alpha1.CredentialSource{Secret: &v1alpha1.SecretSource{Name: name, Keys: keys}},
		}}
	}
	return []*v1alpha1.ClawCredential{
		credential(slackKey(c.Name), "slack", map[string]string{"botToken": "bot", "signingSecret": "signing"}),
		credential(modelKey(c.Name), "anthropic", map[string]string{"apiKey": "key"}),
	}
}
