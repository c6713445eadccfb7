package policy

import (
	"math/rand"
	"testing"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

func TestMayReadWhatItWouldHear(t *testing.T) {
	grant := &v1alpha1.ClawGrantSpec{
		State:    v1alpha1.GrantActive,
		Audience: []v1alpha1.GrantAudience{{Connector: "slack", Principals: []string{"T/U1", "T/U2"}}},
		Channels: []v1alpha1.ChannelRequest{
			{ChannelRule: v1alpha1.ChannelRule{Connector: "slack", Channels: []v1alpha1.Pattern{"C1"}, Users: []v1alpha1.Pattern{"T/U1"}}},
			{ChannelRule: v1alpha1.ChannelRule{Connector: "slack", Channels: []v1alpha1.Pattern{"C2*"}, Users: []v1alpha1.Pattern{"*"},
				Correspondents: v1alpha1.Correspondents{Domains: []v1alpha1.Domain{"cust.example"}}}},
		},
		Schedules: []v1alpha1.Schedule{{TimeZone: "UTC"}}, // never open
	}
	for _, c := range []struct {
		name string
		msg  Message
		want bool
	}{
		{"a user of the entry", Message{Connector: "slack", Actor: "T/U1", Channel: "C1"}, true},
		{"a user of another entry only", Message{Connector: "slack", Actor: "T/U2", Channel: "C1"}, false},
		{"the same, wherever it was", Message{Connector: "slack", Actor: "T/U2"}, true},
		{"a correspondent", Message{Connector: "slack", Actor: "ann@cust.example", Channel: "C22"}, true},
		{"a correspondent elsewhere", Message{Connector: "slack", Actor: "ann@cust.example", Channel: "C1"}, false},
		{"somebody whom the visibility does not admit", Message{Connector: "slack", Actor: "T/U3", Channel: "C2"}, false},
		{"the same person at another connector", Message{Connector: "telegram", Actor: "T/U1"}, false},
		{"a channel of no entry", Message{Connector: "slack", Actor: "T/U1", Channel: "C3"}, false},
		{"nobody", Message{Connector: "slack", Channel: "C2"}, false},
		{"no connector", Message{Actor: "T/U1", Channel: "C1"}, false},
	} {
		if got := MayRead(grant, c.msg); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		stopped := grant.DeepCopy()
		stopped.State = v1alpha1.GrantStopped
		if MayRead(stopped, c.msg) || MayRead(nil, c.msg) {
			t.Errorf("%s: read without a grant in force", c.name)
		}
	}
}

// TestMayReadIsHearingWithoutTime: where the schedules are open, what is read is what is heard.
func TestMayReadIsHearingWithoutTime(t *testing.T) {
	heard := 0
	for seed := range int64(20000) {
		w := world{Rand: rand.New(rand.NewSource(seed))} //nolint:gosec // a test repeats itself by its seed
		in := w.scene()
		grant := Compile(in.Input).Grant
		for range 4 {
			msg := w.message(in.Claw)
			open := grant
			open.Schedules, open.ExpiresAt = nil, nil
			want := DecideMessage(&open, msg).Allowed
			if got := MayRead(&grant, msg); got != want {
				t.Fatalf("seed %d: read %v, heard %v: %+v of %+v", seed, got, want, msg, grant)
			}
			if want {
				heard++
				if msg.Channel = ""; !MayRead(&grant, msg) {
					t.Fatalf("seed %d: not read anywhere, but heard in a channel: %+v", seed, msg)
				}
			}
		}
	}
	if heard < 100 {
		t.Errorf("only %d messages were heard: the world is too small for this to mean anything", heard)
	}
}
