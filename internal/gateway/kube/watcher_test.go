package kube

import (
	"errors"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
)

func TestEnforcesAndAcknowledges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var ledgerCA atomic.Pointer[string]
	watcher := w.active(func(c *Config) {
		c.LedgerCA = func(pem []byte) { s := string(pem); ledgerCA.Store(&s) }
	})
	s := watcher.Current()
	got := map[string]string{}
	for credential, slots := range s.Keys {
		for slot, value := range slots {
			got[credential+"."+slot] = string(value.Reveal())
		}
	}
	want := map[string]string{"slack-key.botToken": "xoxb-1", "slack-key.signingSecret": "sign", "model-key.apiKey": "sk-1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("keys: " + diff)
	}
	if diff := cmp.Diff(w.grant(nil).Spec, *s.Grant, cmpopts.EquateEmpty()); diff != "" {
		t.Error("grant: " + diff)
	}
	if s.CA == nil || s.CAKey == nil || s.UpstreamRoots == nil || string(s.ProxyPassword.Reveal()) != "password" || string(s.ResignSecret.Reveal()) != "resign" {
		t.Errorf("the rest of the Secret: %+v", s)
	}
	if ca := ledgerCA.Load(); ca == nil || *ca == "" {
		t.Error("the ledger's authority was not told")
	}
	w.eventually("the grant's status says so", func() bool { return len(w.gateways()) == 1 })
	entry := w.gateways()[0]
	if entry.Since.IsZero() {
		t.Error("since when is missing")
	}
	wantEntry := v1alpha1.GrantGateway{PodUID: "pod-1", PodName: "triage-gateway-x", Enforcing: s.Grant.Hash, State: v1alpha1.GrantActive, Since: entry.Since}
	if diff := cmp.Diff(wantEntry, entry); diff != "" {
		t.Error("status: " + diff)
	}
	w.recorded("start")
	if r := w.recorded("grant"); r.Grant != s.Grant.Hash || r.Kind != audit.KindControl {
		t.Errorf("recorded %+v", r)
	}
}

func TestAcknowledgesOnlyItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.active(nil)
	w.active(func(c *Config) { c.PodName, c.PodUID = "triage-gateway-y", "pod-2" })
	w.eventually("both are there", func() bool { return len(w.gateways()) == 2 })
	w.regrant(func(g *v1alpha1.ClawGrantSpec) { g.State = v1alpha1.GrantStopped })
	w.eventually("both have stopped", func() bool {
		g := w.gateways()
		return len(g) == 2 && g[0].State == v1alpha1.GrantStopped && g[1].State == v1alpha1.GrantStopped
	})
}

func TestHasNoMoreRightsThanItNeeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gateway, err := newClient(w.user, w.ref.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []kind{claws, grants, credentials, secrets} {
		if _, err := gateway.read(t.Context(), http.MethodGet, gateway.url(k, "", nil), "", nil); !answered(err, http.StatusForbidden) {
			t.Errorf("listing all %s: %v", k.resource, err)
		}
	}
	if _, err := gateway.get(t.Context(), secrets, "another"); !answered(err, http.StatusForbidden) {
		t.Errorf("another Secret: %v", err)
	}
}

func TestRevokedWithoutAManager(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	watcher := w.active(nil)
	before := watcher.Current()
	w.patch(claws, clawName, map[string]any{"spec": map[string]any{"state": "Revoked"}})
	accepted := time.Now()
	w.closed(before.Done)
	t.Logf("closed %v after the API server had answered", time.Since(accepted))
	s := watcher.Current()
	if s.Active() || s.Grant.State != v1alpha1.GrantRevoked || len(s.Keys) > 0 || !s.ProxyPassword.Empty() || s.CAKey != nil {
		t.Errorf("after the revocation: %+v", s)
	}
	w.eventually("it is acknowledged", func() bool {
		g := w.gateways()
		return len(g) == 1 && g[0].State == v1alpha1.GrantRevoked
	})
	if r := w.recorded("revoke"); r.Decision != audit.Denied || r.Reason != "the Claw is revoked" {
		t.Errorf("recorded %+v", r)
	}
}

func TestRevokedBeforeItStarted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.patch(claws, clawName, map[string]any{"spec": map[string]any{"state": "Revoked"}})
	watcher := w.start(nil)
	w.recorded("revoke")
	if s := watcher.Current(); s.Active() || s.Reason != "the Claw is revoked" {
		t.Errorf("got %+v", s)
	}
	if slices.ContainsFunc(w.log.Records(), func(r audit.Record) bool { return r.Operation == "grant" }) {
		t.Error("for a moment it was in force")
	}
}

func TestARecreatedClawIsRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	watcher := w.active(nil)
	before := watcher.Current()
	w.delete(claws, clawName)
	w.closed(before.Done)
	old := w.ref.UID
	w.ref.UID = w.createClaw()
	w.regrant(nil) // for the new one
	if watcher.Current().Active() {
		t.Error("the old gateway serves the new Claw")
	}
	late := w.start(func(c *Config) { c.Claw.UID = old; c.PodUID = "pod-2" })
	w.eventually("a late gateway of the old Claw knows", func() bool {
		return late.Current().Reason == "the Claw was deleted and another was created in its place"
	})
	fresh := w.active(func(c *Config) { c.PodUID = "pod-3" })
	if !fresh.Current().Active() {
		t.Error("the new Claw's gateway is not active")
	}
}

func TestADeletingClawIsRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.patch(claws, clawName, map[string]any{"metadata": map[string]any{"finalizers": []string{v1alpha1.Finalizer}}})
	watcher := w.active(nil)
	before := watcher.Current()
	w.delete(claws, clawName)
	w.closed(before.Done)
	if s := watcher.Current(); s.Reason != "the Claw is being deleted" {
		t.Errorf("got %+v", s)
	}
}

func TestAGrantThatCannotBeTrustedDenies(t *testing.T) {
	t.Parallel()
	tests := map[string]map[string]any{
		"of another Claw":    {"clawUID": "another"},
		"edited by hand":     {"agentPath": "/elsewhere"},
		"with a wrong hash":  {"hash": "0000"},
		"stopped":            nil,
		"with a bad address": {"agentIPs": []string{"everywhere"}},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			watcher := w.active(nil)
			before := watcher.Current()
			if change == nil {
				w.regrant(func(g *v1alpha1.ClawGrantSpec) { g.State = v1alpha1.GrantStopped })
			} else {
				w.patch(grants, clawName, map[string]any{"spec": change})
			}
			w.closed(before.Done)
			if s := watcher.Current(); s.Active() || len(s.Keys) > 0 || s.Reason == "" {
				t.Errorf("got %+v", s)
			}
			w.recorded("close")
			w.regrant(nil)
			w.eventually("it heals", func() bool { return watcher.Current().Active() })
		})
	}
}

func TestARevokedGrantIsFinal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	watcher := w.active(nil)
	w.regrant(func(g *v1alpha1.ClawGrantSpec) { g.State = v1alpha1.GrantRevoked })
	w.eventually("it is over", func() bool { return !watcher.Current().Active() })
	w.regrant(nil)
	w.eventually("the gateway has seen the grant again", func() bool { return w.gateways()[0].State == v1alpha1.GrantRevoked })
	if s := watcher.Current(); s.Active() || s.Reason != "the grant is revoked" {
		t.Errorf("got %+v", s)
	}
}

func TestADeletedGrantClosesUntilItIsBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	watcher := w.active(nil)
	w.eventually("it is acknowledged", func() bool { return len(w.gateways()) == 1 })
	before := watcher.Current()
	w.delete(grants, clawName)
	w.closed(before.Done)
	if s := watcher.Current(); s.Active() || s.Reason != "there is no ClawGrant" {
		t.Errorf("got %+v", s)
	}
	w.create(grants, w.grant(nil))
	w.eventually("it heals", func() bool { return watcher.Current().Active() })
	w.eventually("the new grant's status says so", func() bool { g := w.gateways(); return len(g) == 1 && g[0].State == v1alpha1.GrantActive })
}

func TestARevokedCredentialTakesWhatIsItsOnly(t *testing.T) {
	t.Parallel()
	changes := map[string]func(w *world){
		"revoked": func(w *world) {
			w.patch(credentials, "slack-key", map[string]any{"spec": map[string]any{"state": "Revoked"}})
		},
		"deleted": func(w *world) { w.delete(credentials, "slack-key") },
		"another Claw's": func(w *world) {
			w.delete(credentials, "slack-key")
			c := w.credential("slack-key", "slack")
			c.Spec.Claw.Name = "other"
			w.create(credentials, c)
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			watcher := w.active(nil)
			before := watcher.Current()
			change(w)
			w.closed(before.Done)
			w.eventually("its keys are gone", func() bool { s := watcher.Current(); return s.Active() && len(s.Keys) == 1 })
			s := watcher.Current()
			if len(s.Keys["model-key"]) != 1 {
				t.Errorf("keys: %v", s.Keys)
			}
			want := w.grant(nil).Spec
			want.Channels[0], want.Tools[0] = v1alpha1.ChannelRequest{}, v1alpha1.ToolRequest{}
			want.Credentials = want.Credentials[1:]
			if diff := cmp.Diff(want, *s.Grant, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
			if r := w.recorded("credential"); r.Credential != "slack-key" || r.Decision != audit.Denied {
				t.Errorf("recorded %+v", r)
			}
		})
	}
}

func TestACredentialItMayNotSeeIsNotUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(credentials, w.credential("unseen", "openai"))
	w.regrant(func(g *v1alpha1.ClawGrantSpec) {
		g.Credentials = append(g.Credentials, v1alpha1.GrantCredential{Name: "unseen", Connector: "openai", Slots: []string{"apiKey"}})
		g.Models = append(g.Models, v1alpha1.ModelRequest{ModelRule: v1alpha1.ModelRule{Connector: "openai", Models: []v1alpha1.Pattern{"*"}}, Credential: "unseen"})
	})
	s := w.active(nil).Current()
	if _, there := s.Keys["unseen"]; there || s.Grant.Models[1].Connector != "" || s.Grant.Models[0].Connector != "anthropic" {
		t.Errorf("got %+v", s.Grant)
	}
}

func TestDoneAndChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	watcher := w.active(nil)
	first := watcher.Current()
	w.regrant(func(g *v1alpha1.ClawGrantSpec) {
		g.AgentIPs = []string{"10.0.0.1", "10.0.0.2"}
		g.Withheld = []v1alpha1.Withheld{{Path: "spec.tools[1]", Reason: v1alpha1.WithheldDenied}}
	})
	w.eventually("the new address is known", func() bool { return len(watcher.Current().Grant.AgentIPs) == 2 })
	select {
	case <-first.Done:
		t.Error("a new address of the agent, or news of what is not given, ended what was allowed")
	default:
	}
	if watcher.Current().Done != first.Done {
		t.Error("what begins now would not end with what began before")
	}
	steps := []struct {
		name   string
		change func()
		is     func() bool
	}{
		{"an address fewer", func() { w.regrant(func(g *v1alpha1.ClawGrantSpec) { g.AgentIPs = []string{"10.0.0.2"} }) },
			func() bool { return len(watcher.Current().Grant.AgentIPs) == 1 }},
		{"another content", func() {
			w.regrant(func(g *v1alpha1.ClawGrantSpec) { g.AgentIPs = []string{"10.0.0.2"}; g.Channels[0].Channels = nil })
		}, func() bool { return len(watcher.Current().Grant.Channels[0].Channels) == 0 }},
		{"another key", func() {
			w.patch(secrets, clawName+gatewaySuffix, map[string]any{"data": map[string]any{"credential.model-key.apiKey": "c2stMg=="}})
		}, func() bool { return string(watcher.Current().Keys["model-key"]["apiKey"].Reveal()) == "sk-2" }},
		{"the Secret deleted", func() {
			w.delete(secrets, clawName+gatewaySuffix)
		}, func() bool {
			s := watcher.Current()
			return !s.Active() && s.Reason == "the gateway's Secret is missing"
		}},
	}
	for _, step := range steps {
		before := watcher.Current()
		step.change()
		w.closed(before.Done)
		w.eventually(step.name, step.is)
	}
	fake := w.secret()
	fake.Type = "Opaque"
	w.create(secrets, fake)
	w.eventually("a Secret of another type is not used", func() bool {
		return watcher.Current().Reason == `the gateway's Secret cannot be used: it is of type "Opaque", not clawstaff.dev/gateway`
	})
}

// cutOff fails all new requests while it is set.
type cutOff struct {
	next http.RoundTripper
	set  *atomic.Bool
}

func (c cutOff) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.set.Load() {
		return nil, errors.New("cut off")
	}
	return c.next.RoundTrip(r)
}

func TestTheLeaseEndsAndHeals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := testingclock.NewFakeClock(time.Now())
	var cut atomic.Bool
	watcher := w.active(func(c *Config) {
		c.Clock = clock
		c.REST.Wrap(func(next http.RoundTripper) http.RoundTripper { return cutOff{next, &cut} })
	})
	before := watcher.Current()
	cut.Store(true)
	for range 3 { // the watches go on, and prove nothing
		clock.Step(renewEvery - time.Second)
		if !watcher.Current().Active() {
			t.Fatal("closed before the lease has ended")
		}
	}
	clock.Step(3 * time.Second)
	if s := watcher.Current(); s.Active() || len(s.Keys) > 0 || s.Reason != reasonLease || watcher.Ready() {
		t.Errorf("after the lease: %+v", s)
	}
	w.closed(before.Done)
	w.recorded("close")
	cut.Store(false)
	w.eventually("it heals", func() bool {
		clock.Step(renewRetry)
		return watcher.Current().Active() && watcher.Ready()
	})
}

func TestTheLeaseCountsSleep(t *testing.T) {
	begun := time.Now()
	clock := testingclock.NewFakePassiveClock(begun)
	l := newLease(clock)
	if !l.expired() {
		t.Error("a lease that never began is not over")
	}
	l.from.Store(&begun)
	if l.expired() {
		t.Error("a fresh lease is over")
	}
	clock.SetTime(begun.Round(0).Add(leaseDuration)) // only the time of day went on
	if !l.expired() {
		t.Error("a lease survived sleep")
	}
}
