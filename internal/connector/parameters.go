package connector

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Parameters returns the call's parameters for the record: decoded, bounded to about limit bytes, and without the
// values of those that by their name hold a secret. Hide overwrites what else may not be recorded in a text, and
// keeps its length; it is asked before anything is cut. Of a long list the end is kept: in a conversation, that
// is what is new.
func (call *Call) Parameters(limit int, hide func(string) string) json.RawMessage {
	if len(call.query)+len(call.form)+len(call.members)+len(call.files) == 0 && call.media == nil {
		return nil
	}
	w := summary{limit: limit, hide: hide}
	w.buf = append(w.buf, '{')
	for _, p := range call.query {
		w.name(p.name)
		w.textOf(p.name, p.value)
	}
	for _, p := range call.form {
		w.name(p.name)
		w.textOf(p.name, p.value)
	}
	for _, m := range call.members {
		w.name(m.key)
		w.member(m, 1)
	}
	for _, f := range call.files {
		w.name(f.name)
		w.file(f)
	}
	if call.media != nil {
		w.name("")
		w.file(*call.media)
	}
	w.buf = append(w.buf, '}')
	return w.buf
}

// file writes what a file is, and nothing of what is in it.
func (w *summary) file(f file) {
	w.text(fmt.Sprintf("file %s %s (%d bytes)", f.filename, f.media, len(f.data)), summaryText)
}

const (
	summaryText  = 512
	summaryList  = 12
	summaryDepth = 8
	summaryCut   = "…"
	maxHidden    = 4 << 10 // of what is hidden, as much is looked for across a cut
)

// summary writes JSON of bounded size.
type summary struct {
	buf   []byte
	limit int
	hide  func(string) string
}

func (w *summary) full() bool { return len(w.buf) >= w.limit }

func (w *summary) separate() {
	if last := w.buf[len(w.buf)-1]; last != '{' && last != '[' {
		w.buf = append(w.buf, ',')
	}
}

func (w *summary) name(name string) {
	w.separate()
	w.text(name, 64)
	w.buf = append(w.buf, ':')
}

// text writes a string, cut to a number of bytes.
func (w *summary) text(s string, limit int) {
	s = w.hide(s)
	if w.full() {
		limit = min(limit, 64)
	}
	if len(s) > limit {
		for limit > 0 && !utf8.RuneStart(s[limit]) {
			limit--
		}
		s = fmt.Sprintf("%s%s (%d bytes)", s[:limit], summaryCut, len(s))
	}
	quoted, _ := json.Marshal(s) // a string can always be written
	w.buf = append(w.buf, quoted...)
}

func (w *summary) textOf(name, value string) {
	if isSecret(name) {
		value = "[redacted]"
	}
	w.text(value, summaryText)
}

func (w *summary) member(m member, depth int) {
	if isSecret(m.key) {
		w.text("[redacted]", summaryText)
		return
	}
	w.value(m.value, depth)
}

func (w *summary) value(raw []byte, depth int) {
	if w.full() || depth > summaryDepth {
		w.text(summaryCut, summaryText)
		return
	}
	switch raw[0] {
	case '"':
		w.quoted(raw)
	case '{':
		w.buf = append(w.buf, '{')
		for i, m := range membersOf(raw) {
			w.name(m.key)
			if w.full() {
				w.text(fmt.Sprintf("%s (from member %d)", summaryCut, i), summaryText)
				break
			}
			w.member(m, depth+1)
		}
		w.buf = append(w.buf, '}')
	case '[':
		w.list(raw, depth)
	default:
		if len(raw) > 64 { // a number nobody needs
			w.text(summaryCut, summaryText)
			return
		}
		w.buf = append(w.buf, raw...)
	}
}

// quoted writes a JSON string, of which it decodes no more than it writes.
func (w *summary) quoted(raw []byte) {
	if len(raw) <= 2*summaryText {
		s, _ := textOf(raw)
		w.text(s, summaryText)
		return
	}
	length := len(raw) - 2
	raw = []byte(w.hide(string(raw[:min(len(raw), summaryText+maxHidden)])))
	end := 1
	for end < summaryText { // an escape is never cut
		switch {
		case raw[end] != '\\':
			end++
		case raw[end+1] == 'u':
			end += 6
		default:
			end += 2
		}
	}
	for !utf8.RuneStart(raw[end]) {
		end--
	}
	s, _ := textOf(append(bytes.Clone(raw[:end]), '"'))
	w.text(fmt.Sprintf("%s%s (%d bytes)", s, summaryCut, length), 2*summaryText)
}

func (w *summary) list(raw []byte, depth int) {
	extra := -summaryList
	for range elementsOf(raw) {
		extra++
	}
	w.buf = append(w.buf, '[')
	if extra > 0 {
		w.text(fmt.Sprintf("%s %d more", summaryCut, extra), summaryText)
	}
	for e := range elementsOf(raw) {
		if extra--; extra >= 0 {
			continue
		}
		w.separate()
		w.value(e, depth+1)
		if w.full() {
			break
		}
	}
	w.buf = append(w.buf, ']')
}

var (
	separators  = strings.NewReplacer("_", "", "-", "", ".", "")
	secretNames = []string{"token", "secret", "password", "passwd", "apikey", "privatekey", "authorization", "credential", "credentials", "cookie"}
)

// isSecret tells by its name whether a parameter holds a secret. max_tokens does not.
func isSecret(name string) bool {
	name = separators.Replace(strings.ToLower(name))
	for _, suffix := range secretNames {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}
