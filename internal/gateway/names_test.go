package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/dns"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

// resolver starts a DNS server of the world's names, and returns a resolver that asks it.
func (w *world) resolver() *net.Resolver {
	w.t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		w.t.Fatal(err)
	}
	server := dns.New(dns.Config{Zone: w.proxy.Names(), Address: netip.MustParseAddr("10.96.0.7")})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.ServePacket(conn)
	}()
	w.t.Cleanup(func() {
		server.Close()
		<-ended
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// An agent knows the hosts of its grant, as the grant is now, and nothing else.
func TestNames(t *testing.T) {
	w := newWorld(t)
	r := w.resolver()
	lookup := func(name string) string {
		found, err := r.LookupNetIP(t.Context(), "ip4", name+".")
		var failed *net.DNSError
		switch {
		case err == nil:
			return fmt.Sprint(found)
		case errors.As(err, &failed) && failed.IsNotFound:
			return "none"
		default:
			return "refused"
		}
	}
	names := []string{"slack.com", "api.anthropic.com", "api.openai.com", "evil.example", "slack.com.acme.svc.cluster.local"}
	const here = "[10.96.0.7]"
	for _, step := range []struct {
		name   string
		change func(*state.Snapshot)
		want   []string
	}{
		{"granted", func(*state.Snapshot) {}, []string{here, here, "none", "none", "none"}},
		{"another connector", func(s *state.Snapshot) { s.Grant.Models[0].Connector = "openai" }, []string{here, "none", here, "none", "none"}},
		{"fewer", func(s *state.Snapshot) { s.Grant.Models = nil }, []string{here, "none", "none", "none", "none"}},
		{"expired", until(time.Now().Add(-time.Hour)), []string{"refused", "refused", "refused", "refused", "refused"}},
		{"stopped", func(s *state.Snapshot) { s.Grant.State = v1alpha1.GrantStopped }, []string{"refused", "refused", "refused", "refused", "refused"}},
	} {
		w.source.set(true, step.change)
		var got []string
		for _, name := range names {
			got = append(got, lookup(name))
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s: %s", step.name, diff)
		}
	}
}

// What was asked for in vain is recorded, and what software tries by habit is not.
func TestRefusedNamesAreRecorded(t *testing.T) {
	w := newWorld(t)
	names := w.proxy.Names()
	for _, name := range []string{"slack.com.acme.svc.cluster.local", "slack.com.svc.cluster.local", "slack.com.cluster.local", "slack.com"} {
		names.Ask(name)
	}
	names.Ask("evil.example")
	r := w.wait("record", isDenied)
	if r.Seq != 1 || r.Kind != kindOfLookups || r.Operation != "resolve" || r.Rule != "default" || r.Phase != audit.PhaseDecision || r.Grant != "hash" {
		t.Errorf("record %+v", r)
	}
	if diff := cmp.Diff([]string{"name:evil.example"}, r.Resources); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"slack.com.other.svc.cluster.local", "evil.example.acme.svc.cluster.local", slackKey + ".evil.example", "a\nb\x00", ""} {
		if names.Ask(name) != dns.Absent {
			t.Errorf("%q is there", name)
		}
		last := w.wait("record of "+name, func(next audit.Record) bool { return next.Seq > r.Seq })
		if got := fmt.Sprint(last.Resources); strings.Contains(got, slackKey) || strings.ContainsAny(got, "\n\x00") {
			t.Errorf("%q is recorded as %q", name, got)
		}
		r = last
	}
}

// DNS tunnelling: however much an agent spells in questions, none of it leaves, and the records of it stay few and
// count it all.
func TestThreatDNSTunnelling(t *testing.T) {
	outside := 0
	w := newWorld(t, func(c *Config, _ *state.Snapshot) {
		c.Resolver = names{}
		c.Dial = func(context.Context, string, string) (net.Conn, error) {
			outside++
			return nil, errors.New("nobody is to be asked")
		}
	})
	zone := w.proxy.Names()
	const questions = 100_000
	began := time.Now()
	for i := range questions {
		if zone.Ask(fmt.Sprintf("%d.%s.evil.example", i, strings.Repeat("secret", 10))) != dns.Absent {
			t.Fatal("a name of nobody's is there")
		}
	}
	if zone.Ask("slack.com") != dns.Present {
		t.Error("the flood closes what is granted")
	}
	seconds := int(time.Since(began).Seconds()) + 1
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = w.proxy.Shutdown(ctx) // what waits is recorded now
	total, written := 0, 0
	for _, r := range w.log.Records() {
		var counts struct{ Questions, Others int }
		if err := json.Unmarshal(r.Parameters, &counts); err != nil || len(r.Resources) > maxLookups || counts.Others != 0 && len(r.Resources) < maxLookups {
			t.Fatalf("record %+v: %v", r, err)
		}
		total += counts.Questions
		written++
	}
	if total != questions || written > lookupsBurst+seconds+1 || outside > 0 {
		t.Errorf("%d questions in %d records, %d looked up outside", total, written, outside)
	}
}

func TestNamesServeTheAgentAlone(t *testing.T) {
	w := newWorld(t)
	names := w.proxy.Names()
	for address, want := range map[string]bool{"127.0.0.1": true, "127.0.0.2": false, "::1": false} {
		if got := names.Serves(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
	if names.Serves(netip.Addr{}) {
		t.Error("nobody is served")
	}
	w.source.set(true, func(s *state.Snapshot) { s.Grant = nil })
	if names.Serves(netip.MustParseAddr("127.0.0.1")) {
		t.Error("served without a grant")
	}
}
