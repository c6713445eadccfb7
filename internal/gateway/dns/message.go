package dns

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// ttl, in seconds, is short: a host that is taken out of the grant is forgotten as soon.
	ttl = 5
	// maxQuery is what RFC 1035, section 2.3.4, gives a message over UDP. No question is longer, whatever it comes by.
	maxQuery = 512
	// headerSize of a message: RFC 1035, section 4.1.1.
	headerSize = 12
	// optSize is the size of an OPT record without options: RFC 6891, section 6.1.2.
	optSize = 11
	// payload is the size of UDP messages that an OPT record of ours announces.
	payload = 1232

	classIN   = dnsmessage.ClassINET
	firstMeta = dnsmessage.Type(128) // of the types that are about questions only: RFC 6895, section 3.1
	lastMeta  = dnsmessage.Type(255)

	formatError    = dnsmessage.RCodeFormatError
	notImplemented = dnsmessage.RCodeNotImplemented
	badVersion     = dnsmessage.RCode(16) // of EDNS: RFC 6891, section 9
)

// query is a message that asks one thing, and of which nothing is ambiguous.
type query struct {
	header   dnsmessage.Header
	question dnsmessage.Question
	edns     bool
	version  uint8 // of EDNS
}

// parse reads a message. Where ok is false nothing is answered; else a code other than success is the answer.
func parse(msg []byte) (q query, code dnsmessage.RCode, ok bool) {
	var p dnsmessage.Parser
	header, err := p.Start(msg)
	if err != nil || len(msg) > maxQuery || header.Response {
		return q, 0, false
	}
	q.header = header
	if header.OpCode != 0 {
		return q, notImplemented, true
	}
	counts := [4]uint16{}
	for i := range counts {
		counts[i] = binary.BigEndian.Uint16(msg[4+2*i:])
	}
	if counts[0] != 1 || counts[1] != 0 || counts[2] != 0 || counts[3] > 1 || header.Truncated {
		return q, formatError, true
	}
	size, err := q.readQuestion(&p, msg)
	if err == nil && counts[3] == 1 {
		size, err = q.readOPT(&p, size)
	}
	if err != nil || size != len(msg) {
		q.question, q.edns = dnsmessage.Question{}, false // nothing of it is repeated
		return q, formatError, true
	}
	return q, dnsmessage.RCodeSuccess, true
}

// readQuestion returns where the question ends. It has to be as it would be written here, so that what is understood
// is what was sent: no name that is spelled by a pointer to somewhere else.
func (q *query) readQuestion(p *dnsmessage.Parser, msg []byte) (end int, err error) {
	if q.question, err = p.Question(); err != nil {
		return 0, err
	}
	own := dnsmessage.Message{Questions: []dnsmessage.Question{q.question}}
	written, err := own.Pack()
	if err != nil {
		return 0, err
	}
	if end = len(written); len(msg) < end || !bytes.Equal(written[headerSize:], msg[headerSize:end]) {
		return 0, errAmbiguous
	}
	if _, err := p.Question(); err != dnsmessage.ErrSectionDone { //nolint:errorlint // it is returned as it is
		return 0, errAmbiguous
	}
	return end, nil
}

// readOPT reads the one record that may follow the question. What its options say changes nothing here.
func (q *query) readOPT(p *dnsmessage.Parser, at int) (end int, err error) {
	if err := p.SkipAllAnswers(); err != nil {
		return 0, err
	}
	if err := p.SkipAllAuthorities(); err != nil {
		return 0, err
	}
	opt, err := p.AdditionalHeader()
	if err != nil {
		return 0, err
	}
	if opt.Type != dnsmessage.TypeOPT || opt.Name.Length != 1 {
		return 0, errAmbiguous
	}
	if err := p.SkipAdditional(); err != nil {
		return 0, err
	}
	q.edns, q.version = true, uint8(opt.TTL>>16)
	return at + optSize + int(opt.Length), nil
}

// reply returns the answer to a message, or nil where there is none to give. It is never much longer than the question.
func reply(zone Zone, address netip.Addr, msg []byte) []byte {
	q, code, ok := parse(msg)
	if !ok {
		return nil
	}
	var answer dnsmessage.ResourceBody
	if code == dnsmessage.RCodeSuccess {
		code, answer = q.answer(zone, address)
	}
	return q.write(code, answer)
}

// answer asks the zone.
func (q *query) answer(zone Zone, address netip.Addr) (dnsmessage.RCode, dnsmessage.ResourceBody) {
	kind := q.question.Type
	switch {
	case q.version > 0:
		return badVersion, nil
	case q.question.Class != classIN:
		return notImplemented, nil
	}
	switch zone.Ask(lower(q.question.Name)) {
	case Closed:
		return dnsmessage.RCodeRefused, nil
	case Absent:
		return dnsmessage.RCodeNameError, nil
	}
	switch {
	case kind == dnsmessage.TypeA && address.Is4():
		return dnsmessage.RCodeSuccess, &dnsmessage.AResource{A: address.As4()}
	case kind == dnsmessage.TypeAAAA && address.Is6():
		return dnsmessage.RCodeSuccess, &dnsmessage.AAAAResource{AAAA: address.As16()}
	case kind >= firstMeta && kind <= lastMeta, kind == dnsmessage.TypeOPT, kind == 0:
		return notImplemented, nil
	default:
		return dnsmessage.RCodeSuccess, nil // the name is there, and has no such record
	}
}

// write writes the answer. The question is repeated letter by letter, as whoever asks may tell by its capitals that
// the answer is to this question (draft-vixie-dnsext-dns0x20).
func (q *query) write(code dnsmessage.RCode, answer dnsmessage.ResourceBody) []byte {
	m := dnsmessage.Message{Header: dnsmessage.Header{
		ID: q.header.ID, Response: true, OpCode: q.header.OpCode, RecursionDesired: q.header.RecursionDesired, RCode: code & 0xf,
		Authoritative: code == dnsmessage.RCodeSuccess || code == dnsmessage.RCodeNameError,
	}}
	if q.question.Name.Length > 0 {
		m.Questions = []dnsmessage.Question{q.question}
	}
	if answer != nil {
		h := dnsmessage.ResourceHeader{Name: q.question.Name, Class: classIN, TTL: ttl}
		m.Answers = []dnsmessage.Resource{{Header: h, Body: answer}}
	}
	if q.edns {
		opt := dnsmessage.ResourceHeader{}
		if err := opt.SetEDNS0(payload, code, false); err != nil {
			return nil
		}
		m.Additionals = []dnsmessage.Resource{{Header: opt, Body: &dnsmessage.OPTResource{}}}
	}
	out, err := m.Pack()
	if err != nil {
		return nil
	}
	return out
}

// lower is a name in lower case and without its last dot. Only the letters of ASCII have a case (RFC 4343).
func lower(n dnsmessage.Name) string {
	out := bytes.TrimSuffix(n.Data[:n.Length:n.Length], []byte("."))
	for i, c := range out {
		if 'A' <= c && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return string(out)
}
