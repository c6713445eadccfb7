package gateway

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

// dropped are headers of an answer that are not for the agent: those of the connection to the provider, and those that
// would make it keep or go where the gateway does not see it.
var dropped = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Proxy-Authenticate": true, "Proxy-Authentication-Info": true,
	"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "Content-Length": true, "Content-Encoding": true,
	"Set-Cookie": true, "Set-Cookie2": true, "Alt-Svc": true, "Alt-Used": true, "Clear-Site-Data": true, "Strict-Transport-Security": true,
	"Public-Key-Pins": true, "Expect-Ct": true, "Nel": true, "Report-To": true, "Reporting-Endpoints": true, "Sourcemap": true,
	"X-Sourcemap": true, "Speculation-Rules": true, "Service-Worker-Allowed": true, "Proxy-Status": true, recordHeader: true,
}

// described are headers that say something about the body as the provider sent it. Of one that was looked into they are
// not true any more, and would tell what was taken out.
var described = map[string]bool{
	"Etag": true, "Last-Modified": true, "Content-Md5": true, "Digest": true, "Content-Digest": true, "Repr-Digest": true, "Want-Digest": true,
	"Accept-Ranges": true, "Content-Range": true,
}

const recordHeader = "Claw-Record"

// answerHead writes the head of the provider's answer for the agent.
func (ex *exchange) answerHead(secrets *secrets, chunked, bodiless bool) []byte {
	out := make([]byte, 0, 1024)
	out = append(out, "HTTP/1.1 "...)
	out = strconv.AppendInt(out, int64(ex.status), 10)
	out = append(out, ' ')
	out = append(out, http.StatusText(ex.status)...)
	out = append(out, "\r\n"...)
	for name, values := range ex.answer.Header {
		if dropped[name] || ex.filtered && described[name] {
			continue
		}
		for _, v := range values {
			if !isHeaderValue([]byte(v)) || !ex.mayLead(name, v) {
				continue
			}
			out = appendField(out, name, secrets.scrubText(v))
		}
	}
	out = appendField(out, recordHeader, strconv.FormatUint(ex.decided.Seq, 10))
	switch {
	case chunked:
		out = appendField(out, "Transfer-Encoding", "chunked")
	case !bodiless:
		out = appendField(out, "Content-Length", strconv.FormatInt(ex.answer.ContentLength, 10))
	}
	if ex.h.closes {
		out = appendField(out, "Connection", "close")
	}
	return append(out, "\r\n"...)
}

func appendField(out []byte, name, value string) []byte {
	out = append(out, name...)
	out = append(out, ": "...)
	out = append(out, value...)
	return append(out, "\r\n"...)
}

// tell answers with a denial. It reports whether the connection can be used further.
func (ex *exchange) tell(d *Denial, seq uint64) bool {
	ex.over()
	status, contentType, body := d.render(ex.shape, seq)
	closes := d.Close || ex.unread || ex.h.closes
	out := make([]byte, 0, 512+len(body))
	out = append(out, "HTTP/1.1 "...)
	out = strconv.AppendInt(out, int64(status), 10)
	out = append(out, ' ')
	out = append(out, http.StatusText(status)...)
	out = append(out, "\r\n"...)
	out = appendField(out, "Content-Type", contentType)
	out = appendField(out, "Content-Length", strconv.Itoa(len(body)))
	if seq > 0 {
		out = appendField(out, recordHeader, strconv.FormatUint(seq, 10))
	}
	if d.Retry > 0 {
		out = appendField(out, "Retry-After", strconv.FormatInt(int64((d.Retry+time.Second-1)/time.Second), 10))
	}
	if status == http.StatusProxyAuthRequired {
		out = appendField(out, "Proxy-Authenticate", `Basic realm="clawstaff"`)
	}
	if closes {
		out = appendField(out, "Connection", "close")
	}
	out = append(out, "\r\n"...)
	if ex.h.method != http.MethodHead {
		out = append(out, body...)
	}
	if ex.write(out) != nil {
		return false
	}
	if closes {
		ex.linger()
	}
	return !closes
}

// linger reads what the agent is still sending, for a moment: closing at once would take the answer away from it.
func (ex *exchange) linger() {
	const enough, moment = 16 << 20, time.Second
	if c, ok := ex.l.conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
	_ = ex.l.conn.SetReadDeadline(time.Now().Add(moment))
	ex.l.await()
	_, _ = io.CopyN(io.Discard, ex.l.reader, enough)
}
