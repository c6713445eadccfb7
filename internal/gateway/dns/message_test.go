package dns

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"
)

// zone serves loopback and knows some names; it notes what it is asked.
type zone struct {
	closed bool
	hosts  map[string]bool
	asked  []string
}

func (z *zone) Serves(peer netip.Addr) bool { return peer.IsLoopback() }

func (z *zone) Ask(name string) Verdict {
	z.asked = append(z.asked, name)
	switch {
	case z.closed:
		return Closed
	case z.hosts[name]:
		return Present
	default:
		return Absent
	}
}

func newZone() *zone { return &zone{hosts: map[string]bool{"slack.com": true, "api.openai.com": true}} }

var (
	address4 = netip.MustParseAddr("10.96.0.7")
	address6 = netip.MustParseAddr("fd00::7")
)

// ask writes a question as a resolver does.
func ask(t testing.TB, name string, kind dnsmessage.Type, change func(*dnsmessage.Message)) []byte {
	t.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 0x1234, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}},
	}
	if change != nil {
		change(&m)
	}
	out, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func withOPT(version uint8, options ...dnsmessage.Option) func(*dnsmessage.Message) {
	return func(m *dnsmessage.Message) {
		h := dnsmessage.ResourceHeader{}
		_ = h.SetEDNS0(4096, 0, true)
		h.TTL |= uint32(version) << 16
		m.Additionals = append(m.Additionals, dnsmessage.Resource{Header: h, Body: &dnsmessage.OPTResource{Options: options}})
	}
}

func TestReply(t *testing.T) {
	const none = dnsmessage.RCode(99) // no answer at all
	long := strings.Repeat("a", 63)
	for name, tc := range map[string]struct {
		msg     []byte
		address netip.Addr
		code    dnsmessage.RCode
		answer  string
		asked   string // of the zone; nothing where it is not asked
	}{
		"a host":                   {msg: ask(t, "slack.com.", dnsmessage.TypeA, nil), answer: "10.96.0.7", asked: "slack.com"},
		"in capitals":              {msg: ask(t, "sLaCk.CoM.", dnsmessage.TypeA, nil), answer: "10.96.0.7", asked: "slack.com"},
		"with EDNS":                {msg: ask(t, "slack.com.", dnsmessage.TypeA, withOPT(0)), answer: "10.96.0.7", asked: "slack.com"},
		"with a cookie":            {msg: ask(t, "slack.com.", dnsmessage.TypeA, withOPT(0, dnsmessage.Option{Code: 10, Data: make([]byte, 8)})), answer: "10.96.0.7", asked: "slack.com"},
		"with a client's subnet":   {msg: ask(t, "slack.com.", dnsmessage.TypeA, withOPT(0, dnsmessage.Option{Code: 8, Data: []byte{0, 1, 24, 0, 10, 0, 0}})), answer: "10.96.0.7", asked: "slack.com"},
		"IPv6 of an IPv4 gateway":  {msg: ask(t, "slack.com.", dnsmessage.TypeAAAA, nil), asked: "slack.com"},
		"IPv6 of an IPv6 gateway":  {msg: ask(t, "slack.com.", dnsmessage.TypeAAAA, nil), address: address6, answer: "fd00::7", asked: "slack.com"},
		"IPv4 of an IPv6 gateway":  {msg: ask(t, "slack.com.", dnsmessage.TypeA, nil), address: address6, asked: "slack.com"},
		"no TXT":                   {msg: ask(t, "slack.com.", dnsmessage.TypeTXT, nil), asked: "slack.com"},
		"no HTTPS, so no ECH":      {msg: ask(t, "slack.com.", 65, nil), asked: "slack.com"},
		"no CNAME":                 {msg: ask(t, "slack.com.", dnsmessage.TypeCNAME, nil), asked: "slack.com"},
		"ANY":                      {msg: ask(t, "slack.com.", dnsmessage.TypeALL, nil), code: notImplemented, asked: "slack.com"},
		"AXFR":                     {msg: ask(t, "slack.com.", dnsmessage.TypeAXFR, nil), code: notImplemented, asked: "slack.com"},
		"OPT as a type":            {msg: ask(t, "slack.com.", dnsmessage.TypeOPT, nil), code: notImplemented, asked: "slack.com"},
		"no type":                  {msg: ask(t, "slack.com.", 0, nil), code: notImplemented, asked: "slack.com"},
		"another name":             {msg: ask(t, "evil.example.", dnsmessage.TypeA, nil), code: dnsmessage.RCodeNameError, asked: "evil.example"},
		"another name, TXT":        {msg: ask(t, "evil.example.", dnsmessage.TypeTXT, nil), code: dnsmessage.RCodeNameError, asked: "evil.example"},
		"a subdomain":              {msg: ask(t, "x.slack.com.", dnsmessage.TypeA, nil), code: dnsmessage.RCodeNameError, asked: "x.slack.com"},
		"the domain above":         {msg: ask(t, "com.", dnsmessage.TypeNS, nil), code: dnsmessage.RCodeNameError, asked: "com"},
		"the root":                 {msg: ask(t, ".", dnsmessage.TypeA, nil), code: dnsmessage.RCodeNameError, asked: ""},
		"reverse":                  {msg: ask(t, "7.0.96.10.in-addr.arpa.", dnsmessage.TypePTR, nil), code: dnsmessage.RCodeNameError, asked: "7.0.96.10.in-addr.arpa"},
		"any byte":                 {msg: ask(t, "sl\x00ck\n.com.", dnsmessage.TypeA, nil), code: dnsmessage.RCodeNameError, asked: "sl\x00ck\n.com"},
		"a letter of another kind": {msg: ask(t, "slac\u212a.com.", dnsmessage.TypeA, nil), code: dnsmessage.RCodeNameError, asked: "slac\u212a.com"},
		"the longest name":         {msg: ask(t, long+"."+long+"."+long+"."+long[:61]+".", dnsmessage.TypeA, nil), code: dnsmessage.RCodeNameError, asked: long + "." + long + "." + long + "." + long[:61]},

		"version of the server": {msg: ask(t, "version.bind.", dnsmessage.TypeTXT, func(m *dnsmessage.Message) { m.Questions[0].Class = dnsmessage.ClassCHAOS }), code: notImplemented},
		"class ANY":             {msg: ask(t, "slack.com.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Questions[0].Class = dnsmessage.ClassANY }), code: notImplemented},
		"a later EDNS":          {msg: ask(t, "slack.com.", dnsmessage.TypeA, withOPT(1)), code: badVersion},
		"update":                {msg: ask(t, "slack.com.", dnsmessage.TypeSOA, func(m *dnsmessage.Message) { m.OpCode = 5 }), code: notImplemented},
		"notify":                {msg: ask(t, "slack.com.", dnsmessage.TypeSOA, func(m *dnsmessage.Message) { m.OpCode = 4 }), code: notImplemented},
		"an answer":             {msg: ask(t, "slack.com.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Response = true }), code: none},
		"truncated":             {msg: ask(t, "slack.com.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Truncated = true }), code: formatError},
		"no question":           {msg: ask(t, "slack.com.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Questions = nil }), code: formatError},
		"two questions":         {msg: ask(t, "slack.com.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Questions = append(m.Questions, m.Questions[0]) }), code: formatError},
		"two OPT records":       {msg: ask(t, "slack.com.", dnsmessage.TypeA, func(m *dnsmessage.Message) { withOPT(0)(m); withOPT(0)(m) }), code: formatError},
		"with an answer in it":  {msg: ask(t, "slack.com.", dnsmessage.TypeA, withRecord(func(m *dnsmessage.Message) *[]dnsmessage.Resource { return &m.Answers })), code: formatError},
		"with an authority":     {msg: ask(t, "slack.com.", dnsmessage.TypeA, withRecord(func(m *dnsmessage.Message) *[]dnsmessage.Resource { return &m.Authorities })), code: formatError},
		"with another record":   {msg: ask(t, "slack.com.", dnsmessage.TypeA, withRecord(func(m *dnsmessage.Message) *[]dnsmessage.Resource { return &m.Additionals })), code: formatError},
		"a tail":                {msg: append(ask(t, "slack.com.", dnsmessage.TypeA, nil), 0), code: formatError},
		"cut off":               {msg: ask(t, "slack.com.", dnsmessage.TypeA, nil)[:20], code: formatError},
		"a header alone":        {msg: ask(t, "slack.com.", dnsmessage.TypeA, nil)[:12], code: formatError},
		"half a header":         {msg: make([]byte, 11), code: none},
		"nothing":               {code: none},
		"a pointer to itself":   {msg: raw(1, 0xc0, 12, 0, 1, 0, 1), code: formatError},
		"a pointer ahead":       {msg: raw(1, 0xc0, 18, 0, 1, 0, 1, 3, 'c', 'o', 'm', 0), code: formatError},
		"a pointer, padded":     {msg: raw(1, 3, 'c', 'o', 'm', 0xc0, 4, 0, 1, 0, 1, 0), code: formatError},
		"a dot in a label":      {msg: raw(1, 9, 's', 'l', 'a', 'c', 'k', '.', 'c', 'o', 'm', 0, 0, 1, 0, 1), code: formatError},
		"a label of 64":         {msg: raw(1, append(append([]byte{64}, make([]byte, 64)...), 0, 0, 1, 0, 1)...), code: formatError},
		"too long":              {msg: append(ask(t, "slack.com.", dnsmessage.TypeA, nil), make([]byte, maxQuery)...), code: none},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZone()
			if !tc.address.IsValid() {
				tc.address = address4
			}
			out := reply(z, tc.address, tc.msg)
			if tc.code == none {
				if out != nil || len(z.asked) > 0 {
					t.Fatalf("answered %x", out)
				}
				return
			}
			if got := strings.Join(z.asked, ","); got != tc.asked {
				t.Errorf("the zone was asked %q, want %q", got, tc.asked)
			}
			code, answer := read(t, tc.msg, out)
			if code != tc.code || answer != tc.answer {
				t.Errorf("got %s %q, want %s %q", code, answer, tc.code, tc.answer)
			}
		})
	}
}

// raw is a message with a number of questions, of which the first is given as bytes.
func raw(questions byte, rest ...byte) []byte {
	return append([]byte{0x12, 0x34, 1, 0, 0, questions, 0, 0, 0, 0, 0, 0}, rest...)
}

func withRecord(section func(*dnsmessage.Message) *[]dnsmessage.Resource) func(*dnsmessage.Message) {
	return func(m *dnsmessage.Message) {
		h := dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET}
		*section(m) = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AResource{A: [4]byte{192, 0, 2, 1}}}}
	}
}

// read checks what is so of every answer, and returns what this one says.
func read(t testing.TB, msg, out []byte) (code dnsmessage.RCode, answer string) {
	t.Helper()
	var m dnsmessage.Message
	if err := m.Unpack(out); err != nil {
		t.Fatalf("the answer %x is none: %v", out, err)
	}
	if m.ID != binary.BigEndian.Uint16(msg) || !m.Response || m.Truncated || m.RecursionAvailable || len(m.Authorities) > 0 {
		t.Errorf("header %+v", m.Header)
	}
	if most := len(msg) + 28 + optSize; len(out) > most && len(out) > headerSize {
		t.Errorf("%d bytes were asked, %d answered: at most %d", len(msg), len(out), most)
	}
	if len(m.Questions) == 1 {
		own := dnsmessage.Message{Questions: m.Questions}
		written, _ := own.Pack()
		if !bytes.HasPrefix(msg[headerSize:], written[headerSize:]) {
			t.Errorf("asked %x, repeated %x", msg[headerSize:], written[headerSize:])
		}
	}
	code = m.RCode
	for _, r := range m.Additionals {
		if r.Header.Type != dnsmessage.TypeOPT || len(r.Body.(*dnsmessage.OPTResource).Options) > 0 || r.Header.DNSSECAllowed() {
			t.Errorf("additional %+v", r)
		}
		code = r.Header.ExtendedRCode(code)
	}
	if len(m.Additionals) > 1 || len(m.Answers) > 1 {
		t.Errorf("%d answers, %d additional records", len(m.Answers), len(m.Additionals))
	}
	for _, r := range m.Answers {
		if r.Header.TTL != ttl || r.Header.Name != m.Questions[0].Name || r.Header.Type != m.Questions[0].Type || !m.Authoritative {
			t.Errorf("answer %+v", r.Header)
		}
		switch b := r.Body.(type) {
		case *dnsmessage.AResource:
			answer = netip.AddrFrom4(b.A).String()
		case *dnsmessage.AAAAResource:
			answer = netip.AddrFrom16(b.AAAA).String()
		}
	}
	return code, answer
}

// Capitals are repeated as they were sent, however often they change.
func TestCapitalsAreRepeated(t *testing.T) {
	z := newZone()
	for i := range 1 << 8 {
		name := []byte("slack.com.")
		for j, c := range name {
			if i>>j&1 == 1 && c != '.' {
				name[j] = c &^ 0x20
			}
		}
		msg := ask(t, string(name), dnsmessage.TypeA, nil)
		out := reply(z, address4, msg)
		if _, answer := read(t, msg, out); answer != "10.96.0.7" || !bytes.Contains(out, msg[headerSize:]) {
			t.Fatalf("%s: got %x", name, out)
		}
	}
}

// While nothing is resolved, nothing is told apart.
func TestClosedZone(t *testing.T) {
	z := newZone()
	z.closed = true
	var got []dnsmessage.RCode
	for _, name := range []string{"slack.com.", "evil.example."} {
		for _, kind := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeTXT, dnsmessage.TypeALL} {
			msg := ask(t, name, kind, nil)
			code, _ := read(t, msg, reply(z, address4, msg))
			got = append(got, code)
		}
	}
	want := []dnsmessage.RCode{5, 5, 5, 5, 5, 5, 5, 5}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzReply asks any message: what is answered is about the question that everybody else reads in it, and only a host
// of the zone has an address.
func FuzzReply(f *testing.F) {
	for _, msg := range [][]byte{
		ask(f, "slack.com.", dnsmessage.TypeA, nil), ask(f, "API.openai.com.", dnsmessage.TypeAAAA, withOPT(0)), ask(f, "evil.example.", dnsmessage.TypeTXT, withOPT(1)),
		raw(1, 0xc0, 12, 0, 1, 0, 1), raw(2, 0, 0, 1, 0, 1, 0, 0, 1, 0, 1), nil,
	} {
		f.Add(msg)
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		z := newZone()
		before := bytes.Clone(msg)
		out := reply(z, address4, msg)
		if !bytes.Equal(before, msg) || len(z.asked) > 1 {
			t.Fatalf("changed, or asked %q", z.asked)
		}
		if out == nil {
			return
		}
		_, answer := read(t, msg, out)
		var theirs dnsmessage.Message
		err := theirs.Unpack(msg)
		if len(z.asked) == 1 {
			if err != nil || len(theirs.Questions) != 1 || theirs.Response || len(theirs.Answers)+len(theirs.Authorities) > 0 {
				t.Fatalf("asked the zone %q for %+v (%v)", z.asked, theirs, err)
			}
			if want := strings.TrimSuffix(theirs.Questions[0].Name.String(), "."); len(want) != len(z.asked[0]) || lower(theirs.Questions[0].Name) != z.asked[0] {
				t.Fatalf("asked the zone %q, others read %q", z.asked, want)
			}
		}
		if answer != "" && (len(z.asked) != 1 || !z.hosts[z.asked[0]] || theirs.Questions[0].Type != dnsmessage.TypeA) {
			t.Fatalf("%q has the address %s", z.asked, answer)
		}
	})
}
