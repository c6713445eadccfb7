package dns

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"
)

// grant is a zone that may be asked by several at once, of which tests change whom it serves.
type grant struct {
	served atomic.Bool
	looked chan struct{} // gets something when an address was refused, unless that is full
}

func newGrant(served bool) *grant {
	g := &grant{looked: make(chan struct{}, 1)}
	g.served.Store(served)
	return g
}

func (g *grant) Serves(peer netip.Addr) bool {
	if g.served.Load() && peer.IsLoopback() {
		return true
	}
	select {
	case g.looked <- struct{}{}:
	default:
	}
	return false
}

func (g *grant) Ask(name string) Verdict {
	if name == "slack.com" || name == "api.openai.com" {
		return Present
	}
	return Absent
}

// start runs a server on loopback, the same port for UDP and TCP.
func start(t *testing.T, g *grant, change func(*Config)) (s *Server, address string) {
	t.Helper()
	cfg := Config{Zone: g, Address: address4}
	if change != nil {
		change(&cfg)
	}
	s = New(cfg)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := l.Addr().(*net.TCPAddr)
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: to.IP, Port: to.Port})
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	for _, serve := range []func() error{func() error { return s.Serve(l) }, func() error { return s.ServePacket(conn) }} {
		done.Go(func() {
			if err := serve(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("ended: %v", err)
			}
		})
	}
	t.Cleanup(func() {
		s.Close()
		s.Close()
		done.Wait()
	})
	return s, to.String()
}

func dial(t *testing.T, network, address string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// What Go's own resolver makes of the answers, over UDP and over TCP.
func TestResolver(t *testing.T) {
	_, address := start(t, newGrant(true), nil)
	for _, network := range []string{"udp", "tcp"} {
		r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		}}
		for name, want := range map[string]string{
			"slack.com.": "10.96.0.7", "API.openai.com.": "10.96.0.7", "evil.example.": "", "x.slack.com.": "",
			"slack.com.acme.svc.cluster.local.": "", strings.Repeat("secret", 10) + ".evil.example.": "",
		} {
			found, err := r.LookupNetIP(t.Context(), "ip", name)
			var failed *net.DNSError
			switch {
			case want == "" && (!errors.As(err, &failed) || !failed.IsNotFound):
				t.Errorf("%s %s: got %v, %v", network, name, found, err)
			case want != "" && (err != nil || len(found) != 1 || found[0].Unmap().String() != want):
				t.Errorf("%s %s: got %v, %v", network, name, found, err)
			}
		}
		if found, err := r.LookupTXT(t.Context(), "slack.com."); err == nil {
			t.Errorf("%s: a text %q", network, found)
		}
		if found, err := r.LookupAddr(t.Context(), "10.96.0.7"); err == nil {
			t.Errorf("%s: a name of an address %q", network, found)
		}
	}
}

// Several questions come over one connection, and one that is none ends it.
func TestConversation(t *testing.T) {
	_, address := start(t, newGrant(true), nil)
	c := dial(t, "tcp", address)
	msg := ask(t, "slack.com.", dnsmessage.TypeA, nil)
	framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)
	want := reply(newZone(), address4, msg)
	for range 3 {
		if _, err := c.Write(framed); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 2+len(want))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got[2:], want) {
			t.Fatalf("got %x, %v", got, err)
		}
	}
	for name, bad := range map[string][]byte{
		"too long": {0xff, 0xff}, "an answer": append(binary.BigEndian.AppendUint16(nil, uint16(len(want))), want...), "empty": {0, 0},
	} {
		c := dial(t, "tcp", address)
		_, _ = c.Write(bad)
		if rest, err := io.ReadAll(c); len(rest) > 0 || err != nil {
			t.Errorf("%s: got %x, %v", name, rest, err)
		}
	}
}

func TestTooManyConnections(t *testing.T) {
	_, address := start(t, newGrant(true), nil)
	msg := ask(t, "slack.com.", dnsmessage.TypeA, nil)
	framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)
	for range maxConnections {
		c := dial(t, "tcp", address)
		_, _ = c.Write(framed)
		if _, err := io.ReadFull(c, make([]byte, 2)); err != nil {
			t.Fatal(err) // it is one of those that are served now
		}
	}
	if n, err := dial(t, "tcp", address).Read(make([]byte, 1)); err == nil {
		t.Errorf("one more is served: %d", n)
	}
}

// An address that is nobody's gets no answer, is not asked for, and takes no room for ever.
func TestStranger(t *testing.T) {
	g := newGrant(false)
	s, address := start(t, g, func(c *Config) { c.Hold = time.Millisecond })
	c := dial(t, "udp", address)
	for range 4 * maxHeld {
		_, _ = c.Write(ask(t, "slack.com.", dnsmessage.TypeA, nil))
	}
	<-g.looked
	if n, err := dial(t, "tcp", address).Read(make([]byte, 1)); err == nil {
		t.Errorf("got %d bytes", n)
	}
	s.Close() // waits for what is held
	_ = c.SetReadDeadline(time.Now())
	if n, err := c.Read(make([]byte, maxQuery)); err == nil {
		t.Errorf("got %d bytes", n)
	}
}

// A question that is faster than the grant that names its sender's address is answered once it does.
func TestQuestionIsHeld(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		g := newGrant(false)
		_, address := start(t, g, nil)
		c := dial(t, network, address)
		msg := ask(t, "slack.com.", dnsmessage.TypeA, nil)
		want := reply(newZone(), address4, msg)
		if network == "tcp" {
			msg = append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)
			want = append(binary.BigEndian.AppendUint16(nil, uint16(len(want))), want...)
		}
		_, _ = c.Write(msg)
		<-g.looked
		g.served.Store(true)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", network, diff)
		}
	}
}

// What is no question costs its sender alone.
func TestGarbage(t *testing.T) {
	_, address := start(t, newGrant(true), nil)
	c := dial(t, "udp", address)
	for size := range 600 {
		_, _ = c.Write(bytes.Repeat([]byte{0x80}, size)) // all are answers, so none gets one
	}
	msg := ask(t, "slack.com.", dnsmessage.TypeA, nil)
	var got [maxQuery]byte
	for range 20 { // the socket's buffer may have been full
		_, _ = c.Write(msg)
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		if n, err := c.Read(got[:]); err == nil {
			if want := reply(newZone(), address4, msg); !bytes.Equal(got[:n], want) {
				t.Errorf("got %x", got[:n])
			}
			return
		}
	}
	t.Error("no answer any more")
}
