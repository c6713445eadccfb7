package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// listen answers on TCP until the test ends, or until closed.
func listen(t *testing.T) (netip.AddrPort, func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String()), func() { _ = l.Close() }
}

// closed is an address nobody listens on.
func closed(t *testing.T) netip.AddrPort {
	t.Helper()
	a, stop := listen(t)
	stop()
	return a
}

// resolver answers, or stays silent, on UDP.
func resolver(t *testing.T, answers bool) netip.AddrPort {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		buffer := make([]byte, 512)
		for {
			n, from, err := c.ReadFrom(buffer)
			if err != nil {
				return
			}
			if answers {
				_, _ = c.WriteTo(buffer[:n], from)
			}
		}
	}()
	return netip.MustParseAddrPort(c.LocalAddr().String())
}

func run(t *testing.T, plan Plan, change func(*Config)) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c := Config{
		Plan: plan, Routers: func() []netip.Addr { return nil },
		Timeout: 200 * time.Millisecond, Interval: time.Millisecond, Open: 2, Waiting: 3, Out: &out,
	}
	if change != nil {
		change(&c)
	}
	err := Run(context.Background(), c)
	return out.String(), err
}

func TestRun(t *testing.T) {
	gateway, _ := listen(t)
	open, _ := listen(t)
	for name, c := range map[string]struct {
		plan Plan
		want string // of the error; empty for a proof
	}{
		"closed":            {Plan{Gateway: gateway, Forbidden: []Target{{"the API server", TCP, closed(t)}, {"DNS", DNS, resolver(t, false)}}}, ""},
		"the API server":    {Plan{Gateway: gateway, Forbidden: []Target{{"the API server", TCP, open}}}, "the agent reaches the API server"},
		"cluster DNS":       {Plan{Gateway: gateway, Forbidden: []Target{{"cluster DNS", DNS, resolver(t, true)}}}, "the agent reaches cluster DNS"},
		"no gateway":        {Plan{Gateway: closed(t), Forbidden: []Target{{"the API server", TCP, closed(t)}}}, "the gateway does not answer"},
		"open, no gateway":  {Plan{Gateway: closed(t), Forbidden: []Target{{"a sibling", TCP, open}}}, "the agent reaches a sibling"},
		"node by its ports": {Plan{Gateway: gateway, Forbidden: []Target{{"x", TCP, closed(t)}}, NodePorts: []uint16{open.Port()}}, "the node over IPv6 link-local"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := run(t, c.plan, func(cfg *Config) {
				if len(c.plan.NodePorts) > 0 {
					cfg.Routers = func() []netip.Addr { return []netip.Addr{netip.MustParseAddr("127.0.0.1")} }
				}
			})
			if c.want == "" {
				if err != nil || !strings.HasPrefix(out, "closed: ") {
					t.Fatalf("not proved: %v\n%s", err, out)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q\n%s", err, c.want, out)
			}
		})
	}
}

// TestRunWaits shows that a network which closes late, and a gateway which comes late, are waited for.
func TestRunWaits(t *testing.T) {
	open, closeIt := listen(t)
	gateway := closed(t)
	rounds := 0
	out, err := run(t, Plan{Gateway: gateway, Forbidden: []Target{{"outside", TCP, open}}}, func(c *Config) {
		c.Open, c.Waiting = 100, 100
		c.Routers = func() []netip.Addr {
			switch rounds++; rounds {
			case 3:
				closeIt()
			case 5:
				l, err := net.Listen("tcp", gateway.String())
				if err != nil {
					t.Error(err)
					return nil
				}
				t.Cleanup(func() { _ = l.Close() })
			}
			return nil
		}
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := strings.Count(out, "open: the agent reaches outside"); got != 1 {
		t.Errorf("reported %d times, want once:\n%s", got, out)
	}
}

func TestRunStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := Run(ctx, Config{Plan: Plan{Gateway: closed(t)}, Routers: func() []netip.Addr { return nil }, Timeout: time.Second, Interval: time.Hour, Out: &bytes.Buffer{}})
	if err == nil {
		t.Error("a stopped probe proved something")
	}
}

func TestParsePlan(t *testing.T) {
	plan := Plan{
		Gateway:   netip.MustParseAddrPort("10.96.0.7:3128"),
		Forbidden: []Target{{"the API server", TCP, netip.MustParseAddrPort("[fd00::1]:443")}}, NodePorts: []uint16{6443},
	}
	text, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParsePlan(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plan, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	for name, bad := range map[string]string{
		"nothing": "", "no gateway": `{"forbidden":[{"name":"x","network":"tcp","address":"1.1.1.1:1"}]}`,
		"no targets": `{"gateway":"1.1.1.1:1"}`, "unknown field": `{"gateway":"1.1.1.1:1","allow":true}`,
		"unknown network": `{"gateway":"1.1.1.1:1","forbidden":[{"name":"x","network":"sctp","address":"1.1.1.1:1"}]}`,
		"no address":      `{"gateway":"1.1.1.1:1","forbidden":[{"name":"x","network":"tcp"}]}`,
		"two":             string(text) + string(text),
	} {
		if _, err := ParsePlan(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParsePlan(f *testing.F) {
	f.Add(`{"gateway":"10.96.0.7:3128","forbidden":[{"name":"a","network":"dns","address":"10.96.0.10:53"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := ParsePlan(text); err == nil && (!p.Gateway.IsValid() || len(p.Forbidden) == 0) {
			t.Errorf("accepted a plan that proves nothing: %q", text)
		}
	})
}

func TestRouters(t *testing.T) {
	routes := `00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe80000000000000a8bbccfffedd0001 00000400 00000001 00000000 00000003     eth0
fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
short line
`
	want := []netip.Addr{netip.MustParseAddr("fe80::a8bb:ccff:fedd:1%eth0")}
	if got := nextHops(strings.NewReader(routes)); !cmp.Equal(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })) {
		t.Errorf("next hops: got %v, want %v", got, want)
	}
	arp := `IP address       HW type     Flags       HW address            Mask     Device
10.76.0.1        0x1         0x2         aa:bb:cc:dd:00:01     *        eth0
`
	want = []netip.Addr{netip.MustParseAddr("fe80::a8bb:ccff:fedd:1%eth0")}
	if got := neighbours(strings.NewReader(arp)); !cmp.Equal(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })) {
		t.Errorf("neighbours: got %v, want %v", got, want)
	}
}

func TestChecks(t *testing.T) {
	plan := Plan{
		Gateway:   netip.MustParseAddrPort("10.96.0.7:3128"),
		Forbidden: []Target{{"a", TCP, netip.MustParseAddrPort("10.0.0.1:443")}}, NodePorts: []uint16{6443, 53},
	}
	resolvers := nameservers(strings.NewReader("# of the kubelet\nsearch acme.svc\nnameserver 10.96.0.7\nnameserver ::ffff:10.96.0.7\nnameserver 10.96.0.10\nnameserver fd00::a\nnameserver x\noptions ndots:1\n"))
	routers := []netip.Addr{netip.MustParseAddr("fe80::1%eth0")}
	var got []string
	for _, c := range Checks(plan, Always(), resolvers, routers) {
		got = append(got, c.Address.String())
	}
	want := []string{"10.0.0.1:443", "169.254.169.254:80", "[fd00:ec2::254]:80",
		"169.254.169.254:53", "169.254.169.253:53", "169.254.20.10:53", "1.1.1.1:53", "8.8.8.8:53", "[2606:4700:4700::1111]:443",
		"10.96.0.10:53", "[fd00::a]:53", "[fe80::1%eth0]:6443", "[fe80::1%eth0]:53"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
