package connector

import (
	"bytes"
	"encoding/base64"
	"net/mail"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clawstaff/clawstaff/internal/policy"
)

const mails = `
- {id: send, host: api, methods: [POST], path: /send, bodies: [JSON], params: [threadId], mail: body.raw, action: Write,
   resources: [{type: person, from: [mail.recipients]}, {type: person, optional: true, from: [mail.from]}]}
- {id: draft, host: api, methods: [POST], path: /drafts, bodies: [JSON], mail: body.message.raw, action: Write, resources: [{type: person, optional: true, from: [mail.recipients]}]}
- {id: mail, host: api, methods: [POST], path: /mail, bodies: [Mail], mail: body, action: Write, resources: [{type: person, from: [mail.recipients]}]}
- {id: upload, host: api, methods: [POST], path: /upload, bodies: [Related], params: [threadId], mail: body, action: Write, resources: [{type: person, from: [mail.recipients]}]}
`

func TestMail(t *testing.T) {
	for name, tc := range map[string]struct{ mail, from, recipients string }{
		"as Node writes it": {"From: Claw <claw@acme.example>\r\nTo: sarah@acme.example\r\nSubject: =?utf-8?B?w7w=?=\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello", "claw@acme.example", "sarah@acme.example"},
		"with bare ends":    {"To: sarah@acme.example\nSubject: x\n\nTo: evil@evil.example\n", "", "sarah@acme.example"},
		"several":           {"To: A <a@x.example>, \"Doe, Jane\" <B@X.example>\r\nCc: c@x.example\r\nBcc:\td@x.example,e@x.example\r\n\r\n", "", "a@x.example b@x.example c@x.example d@x.example e@x.example"},
		"folded":            {"To: a@x.example,\r\n b@x.example,\r\n\tC <c@x.example>\r\n\r\n", "", "a@x.example b@x.example c@x.example"},
		"empty copy":        {"To: a@x.example\r\nCc:\r\nBcc: \r\n\r\n", "", "a@x.example"},
		"names":             {"To: =?utf-8?q?J=C3=BCrgen?= =?utf-8?B?w7w=?= <j@x.example>, John Q. Public <p@x.example>, O'Neil <o'neil+x@x.example>\r\n\r\n", "", "j@x.example p@x.example o'neil+x@x.example"},
		"resent":            {"From: a@x.example\r\nResent-From: a@x.example\r\nResent-To: b@x.example\r\nTo: c@x.example\r\n\r\n", "a@x.example", "b@x.example c@x.example"},
		"own answers":       {"From: a@x.example\r\nReply-To: A@x.example\r\nTo: c@x.example\r\n\r\n", "a@x.example", "c@x.example"},
		"answers elsewhere": {"From: a@x.example\r\nReply-To: b@x.example\r\nDisposition-Notification-To: d@x.example\r\nTo: c@x.example\r\n\r\n", "a@x.example", "c@x.example b@x.example d@x.example"},
		"answers, no from":  {"Reply-To: b@x.example\r\nTo: c@x.example\r\n\r\n", "", "c@x.example b@x.example"},
		"international":     {"To: a@xn--bcher-kva.example\r\n\r\n", "", "a@xn--bcher-kva.example"},
		"others twice":      {"Received: x\r\nReceived: y\r\nX-A: 1\r\nX-A: 2\r\nTo: a@x.example\r\n\r\n", "", "a@x.example"},
		"nobody":            {"Subject: x\r\n\r\n", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := readMessage([]byte(tc.mail))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([2]string{tc.from, tc.recipients}, [2]string{strings.Join(m.from, " "), strings.Join(m.recipients, " ")}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMailRefuses(t *testing.T) {
	long := strings.Repeat("a", 70)
	for name, text := range map[string]string{
		"empty":                          "",
		"no end":                         "To: a@x.example\r\n",
		"no line end":                    "To: a@x.example",
		"to twice":                       "To: a@x.example\r\nTo: b@evil.example\r\n\r\n",
		"to twice, other case":           "To: a@x.example\r\nTO: b@evil.example\r\n\r\n",
		"bcc twice":                      "Bcc: a@x.example\r\nBcc: b@evil.example\r\n\r\n",
		"subject twice":                  "To: a@x.example\r\nSubject: a\r\nSubject: b\r\n\r\n",
		"content type twice":             "To: a@x.example\r\nContent-Type: a/b\r\nContent-Type: c/d\r\n\r\n",
		"space before the colon":         "To : a@x.example\r\n\r\n",
		"no field":                       "To: a@x.example\r\nBcc\r\n\r\n",
		"a field of nothing":             "To: a@x.example\r\n: x\r\n\r\n",
		"an envelope of mbox":            "From a@x.example Thu Jan 1\r\nTo: a@x.example\r\n\r\n",
		"begins by going on":             " To: b@evil.example\r\nTo: a@x.example\r\n\r\n",
		"goes on with nothing":           "To: a@x.example\r\n \r\nBcc: b@evil.example\r\n\r\n",
		"bare carriage return":           "To: a@x.example\rBcc: b@evil.example\r\n\r\n",
		"bare line feed":                 "To: a@x.example\r\nX: y\nBcc: b@evil.example\r\n\r\n",
		"bare line feed, end":            "To: a@x.example\r\n\nBcc: b@evil.example\r\n\r\n",
		"carriage return, end":           "To: a@x.example\n\r\nBcc: b@evil.example\n\n",
		"NUL":                            "To: a@x.example\x00\r\n\r\n",
		"NUL in a name":                  "To\x00: a@x.example\r\n\r\n",
		"vertical tab":                   "To: a@x.example\v\r\n\r\n",
		"next line":                      "To: a@x.example\r\nX: a\u0085Bcc: b@evil.example\r\n\r\n",
		"not UTF-8":                      "To: a@x.example\r\nSubject: \xff\r\n\r\n",
		"byte order mark":                "\ufeffTo: a@x.example\r\n\r\n",
		"a long line":                    "To: a@x.example\r\nX: " + strings.Repeat("a", 1000) + "\r\n\r\n",
		"a long header":                  "To: a@x.example\r\n" + strings.Repeat("X: a\r\n", 20000) + "\r\n",
		"a group":                        "To: friends: a@x.example, b@evil.example;\r\n\r\n",
		"an empty group":                 "To: undisclosed-recipients:;\r\n\r\n",
		"a comment":                      "To: a@x.example (b@evil.example)\r\n\r\n",
		"a comment within":               "To: a(x)@x.example\r\n\r\n",
		"a route":                        "To: <@evil.example:a@x.example>\r\n\r\n",
		"quoted local part":              "To: \"a@evil.example\"@x.example\r\n\r\n",
		"quoted local part in brackets":  "To: <\"a b\"@x.example>\r\n\r\n",
		"literal":                        "To: a@[192.0.2.1]\r\n\r\n",
		"no domain":                      "To: root\r\n\r\n",
		"no top domain":                  "To: a@localhost\r\n\r\n",
		"two at":                         "To: a@b@x.example\r\n\r\n",
		"percent":                        "To: a%evil.example@x.example\r\n\r\n",
		"bang":                           "To: evil!a@x.example\r\n\r\n",
		"dot at the end":                 "To: a@x.example.\r\n\r\n",
		"dot at the start":               "To: .a@x.example\r\n\r\n",
		"dots":                           "To: a..b@x.example\r\n\r\n",
		"international":                  "To: a@b\u00fccher.example\r\n\r\n",
		"a dot of another script":        "To: a@x\u3002example\r\n\r\n",
		"long local part":                "To: " + long + "@x.example\r\n\r\n",
		"empty element":                  "To: a@x.example,,b@x.example\r\n\r\n",
		"comma at the end":               "To: a@x.example,\r\n\r\n",
		"semicolon":                      "To: a@x.example; b@evil.example\r\n\r\n",
		"nothing between":                "To: a@x.example b@evil.example\r\n\r\n",
		"brackets after brackets":        "To: A <a@x.example> <b@evil.example>\r\n\r\n",
		"brackets in brackets":           "To: <<a@x.example>>\r\n\r\n",
		"an open bracket":                "To: A <a@x.example\r\n\r\n",
		"empty brackets":                 "To: <>\r\n\r\n",
		"spaces in brackets":             "To: < a@x.example >\r\n\r\n",
		"an address as a name":           "To: \"b@evil.example\" <a@x.example>\r\n\r\n",
		"an address as a name, bare":     "To: b@evil.example <a@x.example>\r\n\r\n",
		"an escape in quotes":            "To: \"a\\\" <b@evil.example>, \\\"\" <a@x.example>\r\n\r\n",
		"an open quote":                  "To: \"a <a@x.example>\r\n\r\n",
		"encoded, an address as a name":  "To: =?utf-8?q?b=40evil.example?= <a@x.example>\r\n\r\n",
		"encoded, a list as a name":      "To: =?utf-8?B?PGJAZXZpbC5leGFtcGxlPiw=?= <a@x.example>\r\n\r\n",
		"encoded twice":                  "To: =?utf-8?q?=3D=3Futf-8?= <a@x.example>\r\n\r\n",
		"encoded with a line break":      "To: =?utf-8?q?a=0D=0ABcc:b?= <a@x.example>\r\n\r\n",
		"encoded in quotes":              "To: \"=?utf-8?q?b?=\" <a@x.example>\r\n\r\n",
		"encoded in an unknown way":      "To: =?utf-7?q?b?= <a@x.example>\r\n\r\n",
		"encoded, not whole":             "To: x=?utf-8?q?b?= <a@x.example>\r\n\r\n",
		"an encoded address":             "To: =?utf-8?q?a?=@x.example\r\n\r\n",
		"name in raw letters":            "To: J\u00fcrgen <a@x.example>\r\n\r\n",
		"two from":                       "From: a@x.example, b@x.example\r\nTo: c@x.example\r\n\r\n",
		"another sender":                 "From: a@x.example\r\nSender: b@evil.example\r\nTo: c@x.example\r\n\r\n",
		"a sender and no from":           "Sender: b@evil.example\r\nTo: c@x.example\r\n\r\n",
		"return path":                    "Return-Path: <b@evil.example>\r\nTo: c@x.example\r\n\r\n",
		"apparently to":                  "Apparently-To: b@evil.example\r\nTo: c@x.example\r\n\r\n",
		"too many":                       "To: a@x.example" + strings.Repeat(",\r\n a@x.example", 300) + "\r\n\r\n",
		"a colon beside":                 "To: mailto:a@x.example\r\n\r\n",
		"words that touch":               "To: \"a\"\"b\" <a@x.example>\r\n\r\n",
		"percent-encoded like a mailto:": "To: a%40evil.example@x.example\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			if m, err := readMessage([]byte(text)); err == nil {
				t.Errorf("got %+v", m)
			}
		})
	}
}

func TestMailInBodies(t *testing.T) {
	c := loadT(t, aloneHead, mails)
	const text = "From: claw@acme.example\r\nTo: A <a@x.example>\r\nBcc: b@x.example\r\n\r\nHello, \xff\xff\xff\xff\xff\xfetext\r\n"
	raw := base64.RawURLEncoding.EncodeToString([]byte(text))
	to := []policy.Resource{{Type: "person", Name: "a@x.example"}, {Type: "person", Name: "b@x.example"}}
	related := func(first, second string) Request {
		return ask("/upload", `multipart/related; boundary="==x=="`, "--==x==\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n"+first+"\r\n--==x==\r\nContent-Type: message/rfc822\r\n\r\n"+second+"\r\n--==x==--")
	}
	for name, tc := range map[string]struct {
		request Request
		want    []policy.Resource
		refused bool
	}{
		"base64url":              {request: ask("/send", jsonType, `{"raw":"`+raw+`","threadId":"x"}`), want: append(slices.Clone(to), policy.Resource{Type: "person", Name: "claw@acme.example"})},
		"base64url, padded":      {request: ask("/send", jsonType, `{"raw":"`+base64.URLEncoding.EncodeToString([]byte(text))+`"}`), want: append(slices.Clone(to), policy.Resource{Type: "person", Name: "claw@acme.example"})},
		"within":                 {request: ask("/drafts", jsonType, `{"message":{"raw":"`+raw+`"}}`), want: to},
		"a draft of nothing":     {request: ask("/drafts", jsonType, `{"message":{}}`)},
		"the body itself":        {request: ask("/mail", mailMedia, text), want: to},
		"a part of the body":     {request: related(`{"threadId":"x"}`, text), want: to},
		"nothing to send":        {request: ask("/send", jsonType, `{}`), refused: true},
		"nobody to send to":      {request: ask("/send", jsonType, `{"raw":"U3ViamVjdDogeA0KDQo"}`), refused: true},
		"other base64":           {request: ask("/send", jsonType, `{"raw":"`+base64.StdEncoding.EncodeToString([]byte(text))+`"}`), refused: true},
		"base64 with line break": {request: ask("/send", jsonType, `{"raw":"`+raw[:8]+`\n`+raw[8:]+`"}`), refused: true},
		"base64, loose bits":     {request: ask("/send", jsonType, `{"raw":"`+loose(text)+`"}`), refused: true},
		"base64, half padded":    {request: ask("/send", jsonType, `{"raw":"`+base64.RawURLEncoding.EncodeToString([]byte(aligned(text)+"a"))+`="}`), refused: true},
		"no text":                {request: ask("/send", jsonType, `{"raw":null}`), refused: true},
		"in other case":          {request: ask("/drafts", jsonType, `{"message":{"Raw":"`+raw+`"}}`), refused: true},
		"no mail in the body":    {request: ask("/mail", mailMedia, ``), refused: true},
		"text in the body":       {request: ask("/mail", "text/plain", text), refused: true},
		"mail in two pieces":     {request: ask("/mail", mailMedia+"; x=y", text), refused: true},
		"no mail in the part":    {request: related(`{}`, "a"), refused: true},
		"a parameter beside":     {request: related(`{"raw":"x"}`, text), refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			call, err := c.Match(tc.request)
			if (err != nil) != tc.refused {
				t.Fatalf("got %v", err)
			}
			if !tc.refused {
				if diff := cmp.Diff(tc.want, call.Resources); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// aligned fills a text up, so that its base64 ends with a whole group.
func aligned(text string) string { return text + strings.Repeat("a", (3-len(text)%3)%3) }

// loose returns base64 whose last letter has bits that stand for nothing.
func loose(text string) string {
	encoded := base64.RawURLEncoding.EncodeToString([]byte(aligned(text) + "a"))
	return encoded[:len(encoded)-1] + string(encoded[len(encoded)-1]+1)
}

// FuzzMail checks that a mail that is let through reaches nobody for net/mail that it does not reach for us.
func FuzzMail(f *testing.F) {
	for _, seed := range []string{
		"To: a@x.example\r\n\r\n", "From: A <a@x.example>\nTo: \"Doe, J\" <b@x.example>, c@x.example\nCc: =?utf-8?q?J=C3=BC?= <d@x.example>\n\nBcc: e",
		"To: g: a@x.example;\r\n\r\n", "To: a@x.example (b)\r\n\r\n", "To: a@x.example,\r\n b@x.example\r\n\r\n", "Reply-To: a@x.example\r\nBcc: \r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := readMessage(raw)
		if err != nil {
			return
		}
		read, err := mail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			t.Fatalf("%q: net/mail: %v", raw, err)
		}
		for name, values := range read.Header {
			switch kind := addressHeaders[strings.ToLower(name)]; {
			case kind == 0:
				continue
			case len(values) != 1:
				t.Fatalf("%q: %s is there %d times", raw, name, len(values))
			case strings.Trim(values[0], " \t") == "":
				continue
			}
			list, err := mail.ParseAddressList(values[0])
			if err != nil {
				t.Fatalf("%q: %s: net/mail: %v", raw, name, err)
			}
			for _, a := range list {
				if known := strings.ToLower(a.Address); !slices.Contains(m.recipients, known) && !slices.Contains(m.from, known) {
					t.Fatalf("%q: net/mail finds %q in %s, we find %+v", raw, known, name, m)
				}
				if strings.ContainsAny(a.Name, "@<>;\r\n") {
					t.Fatalf("%q: the name %q could be an address", raw, a.Name)
				}
			}
		}
	})
}
