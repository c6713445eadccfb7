package ledger

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/clock"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/meter"
)

// call is a call that was allowed, took the outcome of a model's.
func call() audit.Record {
	return audit.Record{Phase: audit.PhaseDecision, Direction: audit.Outbound, Kind: audit.KindModel, Decision: audit.Allowed}
}

func took(n int64) audit.Record {
	return audit.Record{Phase: audit.PhaseOutcome, Direction: audit.Outbound, Kind: audit.KindModel, Decision: audit.Allowed,
		Connector: "openai", Resources: []string{"model:x"}, Tokens: n}
}

// tallied is what lines come to when all of them are read.
func tallied(lines []string) audit.Usage {
	var all audit.Tally
	for _, line := range lines {
		all.AddLine([]byte(line))
	}
	return all.Usage()
}

// busy makes records of some days and minutes.
func busy(t *testing.T) []string {
	t.Helper()
	chain := audit.NewChain(audit.Head{})
	now := time.Date(2026, 3, 29, 23, 0, 0, 0, time.UTC)
	var lines []string
	for i := range 300 {
		r := call()
		if i%3 == 0 {
			r = took(int64(i))
		}
		r.Claw = triage
		_, line, err := chain.Seal(r, now)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(line))
		now = now.Add(17 * time.Second)
		if i > 250 {
			now = now.Add(-15 * time.Second)
		}
	}
	return lines
}

// TestUsage: whatever happens to a ledger, what it says a Claw did is what the Claw's records say.
func TestUsage(t *testing.T) {
	lines := busy(t)
	checkpoints := func(t *testing.T, dir string) []string {
		t.Helper()
		names, err := filepath.Glob(filepath.Join(dir, triage.Namespace, triage.Name, triage.UID, "*"+checkpointSuffix))
		if err != nil || len(names) < 5 {
			t.Fatalf("%d checkpoints: %v", len(names), err)
		}
		return names
	}
	for name, between := range map[string]func(t *testing.T, dir string){
		"closed and opened": func(*testing.T, string) {},
		"without the last checkpoint": func(t *testing.T, dir string) {
			names := checkpoints(t, dir)
			if err := os.Remove(names[len(names)-1]); err != nil {
				t.Fatal(err)
			}
		},
		"without any": func(t *testing.T, dir string) {
			for _, name := range checkpoints(t, dir) {
				if err := os.Remove(name); err != nil {
					t.Fatal(err)
				}
			}
		},
		"with such that cannot be read": func(t *testing.T, dir string) {
			for i, name := range checkpoints(t, dir) {
				if err := os.WriteFile(name, []byte([]string{"", "{", "\x00\x00\x00"}[i%3]), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			store := openStore(t, dir, realDisk{}, 4_000)
			check := func(n int) {
				t.Helper()
				got, err := store.Usage(triage)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tallied(lines[:n]), got); diff != "" {
					t.Fatalf("after %d records: %s", n, diff)
				}
			}
			check(0)
			for n := 0; n < len(lines); n += 5 {
				if err := store.append(batchOf(t, lines[n:n+5])); err != nil {
					t.Fatal(err)
				}
				if err := store.append(batchOf(t, lines[n:n+5])); err != nil { // what is sent again counts once
					t.Fatal(err)
				}
				if check(n + 5); n%100 != 0 || n == 0 {
					continue
				}
				if err := store.Close(); err != nil {
					t.Fatal(err)
				}
				between(t, dir)
				store = openStore(t, dir, realDisk{}, 4_000)
				check(n + 5)
			}
		})
	}
}

// TestUsageWithAFailingDisk: what was not acknowledged does not count, and what was does.
func TestUsageWithAFailingDisk(t *testing.T) {
	lines := busy(t)
	disk := &faultyDisk{synced: map[string]int64{}}
	store := openStore(t, t.TempDir(), disk, 4_000)
	for n := 0; n < 100; n += 5 {
		for _, operation := range []string{"write", "sync", "writeFile", "open"} {
			disk.set(func(o string) error {
				if o == operation {
					return fmt.Errorf("%s fails", o)
				}
				return nil
			})
			err := store.append(batchOf(t, lines[n:n+5]))
			disk.set(nil)
			if err == nil { // it did not need that
				break
			}
			got, err := store.Usage(triage)
			if diff := cmp.Diff(tallied(lines[:n]), got); err != nil || diff != "" {
				t.Fatalf("%s, after %d: %v %s", operation, n, err, diff)
			}
		}
		if err := store.append(batchOf(t, lines[n:n+5])); err != nil {
			t.Fatal(err)
		}
		got, err := store.Usage(triage)
		if diff := cmp.Diff(tallied(lines[:n+5]), got); err != nil || diff != "" {
			t.Fatalf("after %d: %v %s", n+5, err, diff)
		}
	}
}

// gateway is one as far as counting goes: it takes no call before it knows what was before it.
type gateway struct {
	t       *testing.T
	clock   clock.Clock
	meter   *meter.Meter
	shipper *audit.Shipper
	kill    func()
}

// startGateway makes one of a ledger, whatever it answers. It may not be ready yet.
func startGateway(t *testing.T, url string, roots []byte, clock clock.Clock) *gateway {
	t.Helper()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("good"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := &gateway{t: t, clock: clock, meter: &meter.Meter{}}
	g.shipper = audit.NewShipper(audit.ShipperConfig{Claw: triage, URL: url, TokenFile: token, Clock: clock,
		Restore: func(u audit.Usage) { g.meter.Restore(u, clock.Now()) }})
	if err := g.shipper.SetRoots(roots); err != nil {
		t.Fatal(err)
	}
	ctx, kill := context.WithCancel(t.Context())
	g.kill = kill
	go func() { _ = g.shipper.Run(ctx) }()
	return g
}

func (g *gateway) wait() {
	g.t.Helper()
	select {
	case <-g.shipper.Began():
	case <-time.After(patience):
		g.t.Fatal("the gateway does not begin")
	}
}

// call asks a model, which takes some tokens, under limits; it tells whether that was allowed.
func (g *gateway) call(perMinute int32, perDay, takes int64) bool {
	g.t.Helper()
	decided, outcome := call(), took(takes)
	key := audit.TokenKeyOf(&outcome)
	if _, ok := g.meter.Tokens(key, perDay, g.clock.Now()); !ok {
		return false
	}
	if _, ok := g.meter.Take(perMinute, g.clock.Now()); !ok {
		return false
	}
	for _, r := range []audit.Record{decided, outcome} {
		if r.Tokens > 0 {
			g.meter.AddTokens(key, r.Tokens, g.clock.Now())
		}
		if _, err := g.shipper.Append(g.t.Context(), r); err != nil {
			g.t.Fatal(err)
		}
	}
	return true
}

// TestLimitsHoldOverRestarts: gateways that are killed in mid-minute and in mid-day, and a ledger that is started anew in
// between, allow together what one gateway would.
func TestLimitsHoldOverRestarts(t *testing.T) {
	dir := t.TempDir()
	store := openStore(t, dir, realDisk{}, 3_000)
	var handler http.Handler = NewServer(store, oneGateway{triage.Namespace, triage.Name})
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	now := testingclock.NewFakeClock(time.Date(2026, 3, 29, 10, 0, 0, 0, time.UTC))
	restarted := func(g *gateway) *gateway {
		t.Helper()
		g.kill()
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		store = openStore(t, dir, realDisk{}, 3_000)
		handler = NewServer(store, oneGateway{triage.Namespace, triage.Name})
		g = startGateway(t, server.URL, rootsOf(server), now)
		g.wait()
		return g
	}
	g := startGateway(t, server.URL, rootsOf(server), now)
	g.wait()

	const perMinute, perDay = 10, 150
	allowed := 0
	for range 40 { // an attempt each second, and a gateway killed after each third
		if g.call(perMinute, perDay, 5) {
			allowed++
		}
		if now.Step(time.Second); allowed%3 == 0 {
			g = restarted(g)
		}
	}
	if allowed != perMinute {
		t.Errorf("%d in a minute, of %d", allowed, perMinute)
	}
	now.Step(21*time.Second + 100*time.Millisecond) // the first is a minute old
	if g = restarted(g); !g.call(perMinute, perDay, 5) {
		t.Error("there is no room when a minute has passed")
	}

	for range 200 {
		now.Step(time.Minute)
		if g.call(perMinute, perDay, 10) {
			allowed++
			g = restarted(g)
		}
	}
	// 11 of 5 tokens, and of 10 tokens as many as begin below 150.
	if allowed != perMinute+10 {
		t.Errorf("%d of the day were allowed", allowed)
	}
	now.SetTime(time.Date(2026, 3, 29, 23, 59, 59, 0, time.UTC))
	if g = restarted(g); g.call(perMinute, perDay, 10) {
		t.Error("it is allowed before the day is over")
	}
	now.Step(time.Second)
	if g = restarted(g); !g.call(perMinute, perDay, 10) {
		t.Error("it is not allowed on the next day")
	}
}

// TestNothingBeginsWithoutTheLedger: a gateway that cannot learn what was before it takes no call.
func TestNothingBeginsWithoutTheLedger(t *testing.T) {
	store := openStore(t, t.TempDir(), realDisk{}, 3_000)
	ledger := NewServer(store, oneGateway{triage.Namespace, triage.Name})
	asked, well := make(chan string, 100), make(chan struct{})
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-well:
			ledger.ServeHTTP(w, r)
			return
		default:
		}
		if filepath.Base(r.URL.Path) == "head" { // an older ledger knows this much
			ledger.ServeHTTP(w, r)
			return
		}
		http.NotFound(w, r)
		asked <- r.URL.Path
	}))
	t.Cleanup(server.Close)
	g := startGateway(t, server.URL, rootsOf(server), clock.RealClock{})
	for range 2 {
		select {
		case <-asked:
		case <-time.After(patience):
			t.Fatal("the ledger is not asked again")
		}
		if g.shipper.Ready() {
			t.Fatal("it is ready")
		}
	}
	select {
	case <-g.shipper.Began():
		t.Fatal("it has begun")
	default:
	}
	close(well)
	g.wait()
	if !g.shipper.Ready() || !g.call(1, 1, 1) || g.call(1, 1, 1) {
		t.Error("it is not as any other afterwards")
	}
}

func rootsOf(server *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}
