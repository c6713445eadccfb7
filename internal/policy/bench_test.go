package policy

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// crowd is the example in an organization with so many members, all of whom may speak to the Claw, under so many policies.
func crowd(members, policies int) Input {
	in := example()
	in.Now = time.Date(2026, 3, 27, 12, 0, 0, 0, time.UTC)
	in.Claw.Spec.Visibility, in.Claw.Spec.Teams = v1alpha1.VisibilityOrganization, nil
	var file DirectoryFile
	for i := range members {
		file.Members = append(file.Members, v1alpha1.Member{Name: v1alpha1.MemberName(fmt.Sprintf("m%d@acme.example", i)),
			Identities: map[string][]string{"slack": {fmt.Sprintf("T01ACME/U%08d", i)}, "github": {fmt.Sprintf("m%d", i)}}, Kubernetes: []string{fmt.Sprintf("m%d", i)}})
	}
	in.Directory = NewDirectory(in.Organization, file)
	base := in.Policies[0]
	base.Spec.Selector.All = true
	base.Spec.Allow.Visibility = append(base.Spec.Allow.Visibility, v1alpha1.VisibilityOrganization)
	for i := range policies {
		p := *base.DeepCopy()
		p.Name = fmt.Sprintf("policy-%d", i)
		p.Spec.Deny.Tools = []v1alpha1.ToolRule{{Connector: "slack", Actions: []v1alpha1.Action{v1alpha1.ActionAdmin}}}
		p.Spec.Require.Schedule = &v1alpha1.Schedule{TimeZone: "Europe/Berlin", Windows: []v1alpha1.Window{{Days: []v1alpha1.Day{"Mon", "Tue"}, Start: "08:00", End: "18:00"}}}
		in.Policies = append(in.Policies, p)
	}
	return in
}

func BenchmarkCompile(b *testing.B) {
	for _, c := range []struct{ members, policies int }{{10, 10}, {10, 1000}, {10_000, 10}, {10_000, 1000}} {
		b.Run(fmt.Sprintf("%d members, %d policies", c.members, c.policies), func(b *testing.B) {
			in := crowd(c.members, c.policies)
			for b.Loop() {
				Compile(in)
			}
		})
	}
	for name, in := range greedy() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				Compile(in)
			}
		})
	}
}

func BenchmarkNewDirectory(b *testing.B) {
	in := crowd(0, 0)
	var file DirectoryFile
	for i := range 10_000 {
		file.Members = append(file.Members, v1alpha1.Member{Name: v1alpha1.MemberName(fmt.Sprintf("m%d", i)), Identities: map[string][]string{"slack": {fmt.Sprintf("T/U%d", i)}}})
	}
	for b.Loop() {
		NewDirectory(in.Organization, file).MemberOf("nobody")
	}
}

func BenchmarkDecide(b *testing.B) {
	grant := Compile(crowd(10_000, 10)).Grant
	now := time.Date(2026, 3, 23, 12, 0, 0, 0, time.UTC)
	b.Run("call", func(b *testing.B) {
		for b.Loop() {
			DecideCall(&grant, Call{Connector: "slack", Action: v1alpha1.ActionWrite, Authority: AuthorityChannel, Resources: []Resource{{ResourceChannel, "C1"}}, At: now})
		}
	})
	b.Run("message", func(b *testing.B) {
		for b.Loop() {
			DecideMessage(&grant, Message{Connector: "slack", Actor: "T01ACME/U00009999", Channel: "C1", At: now})
		}
	})
}

// weekly is open for some minutes of many hours of every day.
func weekly(zone string, windows, minutes int) *v1alpha1.Schedule {
	s := &v1alpha1.Schedule{TimeZone: zone}
	for i := range windows {
		s.Windows = append(s.Windows, v1alpha1.Window{Days: []v1alpha1.Day{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"},
			Start: fmt.Sprintf("%02d:%02d", i*40/60, i*40%60), End: fmt.Sprintf("%02d:%02d", i*40/60, i*40%60+minutes)})
	}
	return s
}

// greedy are the worst that the schema and the size of an object let through.
func greedy() map[string]Input {
	texts := func(n int, format string) []v1alpha1.Pattern {
		out := make([]v1alpha1.Pattern, n)
		for i := range out {
			out[i] = v1alpha1.Pattern(fmt.Sprintf(format, i))
		}
		return out
	}
	actions := []v1alpha1.Action{v1alpha1.ActionRead, v1alpha1.ActionWrite, v1alpha1.ActionDelete, v1alpha1.ActionAdmin}
	without := func(names []v1alpha1.Pattern, i, every int) []v1alpha1.Pattern {
		var out []v1alpha1.Pattern
		for k, n := range names {
			if k%every != i%every {
				out = append(out, n)
			}
		}
		return out
	}
	start := func() Input {
		in := example()
		in.Claw.Spec.Tools, in.Claw.Spec.Channels, in.Claw.Spec.Models, in.Policies[0].Spec.Allow.Tools = nil, nil, nil, nil
		in.Policies[0].Spec.Selector.All = true
		return in
	}
	policies := func(in *Input, n int, fill func(i int, p *v1alpha1.ClawPolicySpec)) {
		base := in.Policies[0]
		for i := range n {
			p := v1alpha1.ClawPolicy{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("p%d", i), Namespace: "acme"}}
			p.Spec.Selector.All = true
			fill(i, &p.Spec)
			in.Policies = append(in.Policies, p)
		}
		in.Policies[0] = base
	}
	names := texts(256, "C%03d")
	tool := func(names []v1alpha1.Pattern) v1alpha1.ToolRule {
		return v1alpha1.ToolRule{Connector: "slack", Actions: actions, Resources: []v1alpha1.ResourceScope{{Type: "t", Names: names}}}
	}
	ask := func(in *Input, n int, rule v1alpha1.ToolRule) {
		for range n {
			in.Claw.Spec.Tools = append(in.Claw.Spec.Tools, v1alpha1.ToolRequest{ToolRule: rule, Credential: "slack-key"})
		}
	}
	out := map[string]Input{}

	in := start()
	ask(&in, 64, tool(names))
	policies(&in, 10, func(i int, p *v1alpha1.ClawPolicySpec) {
		for k := range 128 {
			p.Allow.Tools = append(p.Allow.Tools, tool(without(names, i*128+k, 251)[:20]))
		}
	})
	out["64 tools of 256 names, 1280 rules of 20 that overlap"] = in

	in = start()
	ask(&in, 64, tool(names[:16]))
	policies(&in, 10, func(i int, p *v1alpha1.ClawPolicySpec) {
		for k := range 128 {
			var some []v1alpha1.Pattern
			for bit := range 16 { // sets of which hardly one holds another
				if (i*128+k)*2654435761>>uint(bit)&1 == 1 {
					some = append(some, names[bit])
				}
			}
			p.Allow.Tools = append(p.Allow.Tools, tool(some))
		}
	})
	out["64 tools of 16 names, 1280 rules of which none holds another"] = in

	in = start()
	ask(&in, 64, tool(names))
	policies(&in, 10, func(i int, p *v1alpha1.ClawPolicySpec) {
		for k := range 128 {
			p.Deny.Tools = append(p.Deny.Tools, tool(texts(40, fmt.Sprintf("D%d-%d-%%d*", i, k))))
		}
	})
	out["64 tools of 256 names, 1280 denials of 40 prefixes"] = in

	in = start()
	wide := tool(nil)
	wide.Resources = nil
	for kind := range 16 {
		wide.Resources = append(wide.Resources, v1alpha1.ResourceScope{Type: fmt.Sprintf("t%d", kind), Names: texts(180, "%d*")})
	}
	ask(&in, 64, wide)
	policies(&in, 1, func(_ int, p *v1alpha1.ClawPolicySpec) {
		for range 16 {
			p.Allow.Tools = append(p.Allow.Tools, wide)
		}
	})
	out["a Claw of 1 MiB, and a policy of its patterns"] = in

	in = start()
	ask(&in, 64, wide)
	policies(&in, 10, func(i int, p *v1alpha1.ClawPolicySpec) {
		other := *wide.DeepCopy()
		for k := range other.Resources {
			other.Resources[k].Names = texts(200, fmt.Sprintf("x%d-%%d", i))
		}
		p.Allow.Tools = append(p.Allow.Tools, other, other, other)
	})
	out["a Claw of 1 MiB of which nothing is allowed"] = in

	in = start()
	users := texts(256, "T01/U%d")
	rule := v1alpha1.ChannelRule{Connector: "slack", Channels: names, Users: users, Correspondents: v1alpha1.Correspondents{Users: texts(256, "p%d@x.example")}}
	for range 32 {
		in.Claw.Spec.Channels = append(in.Claw.Spec.Channels, v1alpha1.ChannelRequest{ChannelRule: rule, Credential: "slack-key"})
	}
	policies(&in, 10, func(i int, p *v1alpha1.ClawPolicySpec) {
		for k := range 64 {
			r := rule
			r.Channels, r.Users = without(names, i*64+k, 250), without(users, k, 7)
			p.Allow.Channels = append(p.Allow.Channels, r)
		}
	})
	out["32 channels entries of 768 names, 640 rules"] = in

	in = start()
	in.Now = time.Date(2026, 3, 27, 12, 0, 0, 0, time.UTC)
	in.Claw.Spec.Schedule = &v1alpha1.ClawSchedule{Schedule: *weekly("Africa/Casablanca", 32, 9)}
	policies(&in, 1000, func(i int, p *v1alpha1.ClawPolicySpec) {
		// Each is closed for another minute, in which the Claw is closed too.
		zones := []string{"Europe/Berlin", "America/New_York", "Australia/Sydney", "Asia/Tokyo", "Africa/Cairo", "America/Santiago"}
		closes, opens := fmt.Sprintf("%02d:%02d", i%23, 30+i/23%9), fmt.Sprintf("%02d:%02d", i%23, 31+i/23%9)
		p.Require.Schedule = &v1alpha1.Schedule{TimeZone: zones[i%len(zones)], Windows: []v1alpha1.Window{{Days: worldDays, Start: opens, End: "24:00"}, {Days: worldDays, Start: "00:00", End: closes}}}
		p.Require.Schedule.Windows = append(p.Require.Schedule.Windows, weekly("UTC", 30, 1).Windows...)
	})
	out["1000 schedules that are required, of other zones"] = in
	return out
}

// However much is asked, and however many rules there are, a grant is compiled in a moment. The benchmark
// measures it; this only finds what has become ten times as slow, on a machine that does other things too.
func TestCompileIsQuick(t *testing.T) {
	for name, in := range greedy() {
		least := time.Hour
		for range 3 {
			start := time.Now()
			Compile(in)
			least = min(least, time.Since(start))
		}
		t.Logf("%s: %s", name, least)
		if least > 2*time.Second {
			t.Errorf("%s: it takes %s", name, least)
		}
	}
}
