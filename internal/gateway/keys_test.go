package gateway

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
	"github.com/clawstaff/clawstaff/internal/secret"
)

const things = `
- {id: things.get, methods: [GET], path: "/things/{thing}", query: [note], action: Read, authority: tool, resources: [{type: thing, from: [path.thing]}]}
- {id: things.put, methods: [POST], path: /things, bodies: [JSON, Form], params: [note, more], action: Write, authority: tool, resources: [{type: thing, from: [body.thing]}]}
`

// A key of this Claw, or what stands for one, is in no part of a request but the slot; however it is spelled.
func TestKeysOutsideOfTheSlot(t *testing.T) {
	const fake = "svc-claw-placeholder"
	escaped := func(s string) string {
		var out strings.Builder
		for _, c := range []byte(s) {
			fmt.Fprintf(&out, `\u%04x`, c)
		}
		return out.String()
	}
	percent := func(s string) string {
		var out strings.Builder
		for _, c := range []byte(s) {
			fmt.Fprintf(&out, "%%%02X", c)
		}
		return out.String()
	}
	for rule, key := range map[string]string{ruleKey: ownKey, rulePlaceholder: fake} {
		for name, tc := range map[string]struct{ target, header, contentType, body string }{
			"in the path":              {target: "/things/a" + key},
			"in the query":             {target: "/things/a1?note=my+" + key},
			"in the query, encoded":    {target: "/things/a1?note=" + percent(key)},
			"in a header":              {target: "/things/a1", header: "x" + key},
			"in JSON":                  {target: "/things", contentType: jsonType, body: `{"thing":"a1","note":"` + key + `"}`},
			"in JSON, deep":            {target: "/things", contentType: jsonType, body: `{"thing":"a1","more":[{"x":{"y":"say ` + key + `!"}}]}`},
			"in JSON, as a name":       {target: "/things", contentType: jsonType, body: `{"thing":"a1","more":{"` + key + `":1}}`},
			"in JSON, spelled out":     {target: "/things", contentType: jsonType, body: `{"thing":"a1","note":"` + escaped(key) + `"}`},
			"in JSON, half spelled":    {target: "/things", contentType: jsonType, body: `{"thing":"a1","note":"\n` + key[:5] + escaped(key[5:7]) + key[7:] + `"}`},
			"in a form":                {target: "/things", contentType: formType, body: "thing=a1&note=" + key},
			"in a form, encoded":       {target: "/things", contentType: formType, body: "thing=a1&note=" + percent(key)},
			"as what the call touches": {target: "/things", contentType: jsonType, body: `{"thing":"` + key + `"}`},
		} {
			t.Run(rule+" "+name, func(t *testing.T) {
				w := newWorld(t, service(t, things))
				method := http.MethodGet
				if tc.body != "" {
					method = http.MethodPost
				}
				r, err := http.NewRequest(method, "https://slack.com/v1"+tc.target, strings.NewReader(tc.body))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Content-Type", tc.contentType)
				if tc.header != "" {
					r.Header.Set("X-Note", tc.header)
				}
				r.Header.Set("Authorization", "Bearer "+key) // where it belongs
				if status, _, body := w.do(w.client(), r); status != http.StatusForbidden || strings.Contains(body, ownKey) {
					t.Errorf("got %d %s", status, body)
				}
				if d := w.wait("denial", isDenied); d.Rule != rule {
					t.Errorf("record %+v", d)
				}
				if got := w.requests(); len(got) != 0 {
					t.Errorf("sent: %+v", got)
				}
				for _, r := range w.log.Records() {
					if text := fmt.Sprintf("%+v %s", r, r.Parameters); strings.Contains(text, ownKey) {
						t.Errorf("the key is in the record: %s", text)
					}
				}
			})
		}
	}
}

// A key of somebody else's in the slot is overwritten; one beside it, in a header in which services take keys, goes
// nowhere.
func TestForeignKeyIsOverwritten(t *testing.T) {
	w := newWorld(t, service(t, things))
	r, _ := http.NewRequest(http.MethodGet, "https://slack.com/v1/things/a1", nil)
	for name, value := range map[string]string{
		"Authorization": "Bearer attackers-own", "X-Api-Key": "attackers-own", "Cookie": "session=attackers-own",
		"X-Forwarded-For": "192.0.2.1", "X-Note": "hello", "User-Agent": "agent/1",
	} {
		r.Header.Set(name, value)
	}
	if status, _, body := w.do(w.client(), r); status != http.StatusOK {
		t.Fatalf("got %d %s", status, body)
	}
	want := http.Header{"Authorization": {"Bearer " + ownKey}, "Accept-Encoding": {"identity"}, "User-Agent": {"agent/1"}, "X-Note": {"hello"}}
	if diff := cmp.Diff(want, w.requests()[0].Header); diff != "" {
		t.Error(diff)
	}
}

// What is too short to be looked for, and what is nothing special, is in nobody's way.
func TestNoKeyNoFinding(t *testing.T) {
	w := newWorld(t, service(t, things))
	for _, note := range []string{"claw", "svc-claw", "svc-real", `C:\\u00e9t\u00e9`, `\ud83d\ude00`, `\u0000`} {
		if status, _, body := w.post(w.client(), "https://slack.com/v1/things", jsonType, `{"thing":"a1","note":"`+note+`"}`); status != http.StatusOK {
			t.Errorf("%s: got %d %s", note, status, body)
		}
	}
}

// A key that is part of the path is put there by the gateway. What the agent wrote in its place is matched by nothing, and
// neither it nor the key is in any record.
func TestKeyInThePath(t *testing.T) {
	definition := strings.Replace(serviceHead, `header: Authorization, format: "Bearer {{value}}"`, `path: true, format: "bot{{value}}"`, 1) +
		`- {id: me.get, methods: [GET, POST], path: /me, action: Read, authority: connector}` + "\n" + things[1:]
	key := "123456:AAreal-key_of-a-bot"
	for name, tc := range map[string]struct {
		path   string
		status int
		sent   string
	}{
		"a placeholder":         {"/v1/bot0:svc-claw-placeholder/me", 200, "/v1/bot" + key + "/me"},
		"a foreign key":         {"/v1/bot99:attackers-own/me", 200, "/v1/bot" + key + "/me"},
		"the key itself":        {"/v1/bot" + key + "/me", 200, "/v1/bot" + key + "/me"},
		"nothing":               {"/v1/bot/me", 200, "/v1/bot" + key + "/me"},
		"encoded":               {"/v1/bot%2e%2e%2fevil/me", 200, "/v1/bot" + key + "/me"},
		"the key twice":         {"/v1/botX/things/a" + "123456:AAreal-key_of-a-bot", 400, ""},
		"no segment":            {"/v1/me", 403, ""},
		"the segment alone":     {"/v1/bot99:attackers-own", 403, ""},
		"a dot segment":         {"/v1/bot1/../me", 400, ""},
		"another operation":     {"/v1/bot99:attackers-own/you", 403, ""},
		"another path's prefix": {"/v1/Bot99:attackers-own/me", 403, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, serviceWith(t, definition, key))
			conn := w.tunnel("slack.com")
			status, body := exchangeRaw(t, conn, "GET "+tc.path+" HTTP/1.1\r\nHost: slack.com\r\nConnection: close\r\n\r\n")
			if status != tc.status {
				t.Errorf("got %d %s", status, body)
			}
			var sent string
			for _, a := range w.requests() {
				sent += a.URI
				if a.Header.Get("Authorization") != "" {
					t.Errorf("a header carries %q", a.Header)
				}
			}
			if sent != tc.sent {
				t.Errorf("sent %q", sent)
			}
			if tc.status == 200 {
				w.wait("outcome", isOutcome)
			}
			for _, r := range w.log.Records() {
				text := fmt.Sprintf("%+v %s", r, r.Parameters)
				for _, part := range []string{"attackers-own", "AAreal", "placeholder/"} {
					if strings.Contains(text, part) {
						t.Errorf("%s is in the record: %s", part, text)
					}
				}
			}
		})
	}
}

// A key that would change the path it is put into is not put there.
func TestKeyThatDoesNotFit(t *testing.T) {
	inPath := strings.Replace(serviceHead, `header: Authorization, format: "Bearer {{value}}"`, `path: true, format: "bot{{value}}"`, 1) +
		`- {id: me.get, methods: [GET], path: /me, action: Read, authority: connector}`
	for _, key := range []string{"12345678/../x", "12345678?x=", "12345678%2f", "12345678 9", "12345678\n"} {
		w := newWorld(t, serviceWith(t, inPath, key))
		r, _ := http.NewRequest(http.MethodGet, "https://slack.com/v1/botx/me", nil)
		if status, _, body := w.do(w.client(), r); status != http.StatusForbidden || len(w.requests()) != 0 || strings.Contains(body, key) {
			t.Errorf("%q: got %d %s", key, status, body)
		}
	}
}

// A name and a password are written as RFC 7617 says.
func TestBasicKey(t *testing.T) {
	definition := strings.Replace(serviceHead, `format: "Bearer {{value}}"`, `format: "x-token:{{value}}", basic: true`, 1) + things
	w := newWorld(t, serviceWith(t, definition, ownKey))
	r, _ := http.NewRequest(http.MethodGet, "https://slack.com/v1/things/a1", nil)
	r.SetBasicAuth("x-token", "attackers-own")
	w.do(w.client(), r)
	if got := w.requests()[0].Header.Get("Authorization"); got != "Basic "+base64.StdEncoding.EncodeToString([]byte("x-token:"+ownKey)) {
		t.Errorf("got %q", got)
	}
}

func TestUnescaped(t *testing.T) {
	for body, want := range map[string]string{
		`plain`: "", `\u00e9 is escaped, \\u0041 is not`: `é is escaped, \u0041 is not`, `\u0041\u0042`: "AB", `a\/b\u0063\`: `a/bc\`, `\u00`: `00`, `\u00zz\u0041`: `A`,
	} {
		if got := unescaped([]byte(body)); string(got) != want {
			t.Errorf("%s: got %q, want %q", body, got, want)
		}
	}
}

func TestCommon(t *testing.T) {
	values := [][]byte{[]byte("xoxb-claw-placeholder"), []byte("ghp_ClawPlaceholder"), []byte("sk-claw-placeholder")}
	if got := common(values); string(got) != "laceholder" {
		t.Errorf("got %q", got)
	}
	if got := common([][]byte{[]byte("ab"), []byte("cd")}); got != nil {
		t.Errorf("got %q", got)
	}
	var f, odd placeholders
	for _, v := range values {
		f.add(v)
	}
	f.common.add(common(values))
	if !f.in(&texts{short: []string{"x", "a ghp_ClawPlaceholder."}}) || !f.in(&texts{long: [][]byte{[]byte("a ghp_ClawPlaceholder.")}}) || f.in(&texts{short: []string{"laceholder"}}) {
		t.Error("not found, or found where there is none")
	}
	odd.add([]byte("ab"))
	odd.add([]byte("cd"))
	odd.common.add(common(odd.bytes))
	if !odd.in(&texts{short: []string{"xcdx"}}) {
		t.Error("without anything in common nothing is found")
	}
}

// What is said in a record is one line that no terminal obeys, whatever the agent or a provider made it say.
func TestLogInjection(t *testing.T) {
	w := newWorld(t, service(t, things))
	evil := "a1\n{\"decision\":\"allowed\"}\r\x1b[2J\u202e\u2028\u009b31m"
	quoted := strings.NewReplacer("\n", `\n`, "\r", `\r`, "\x1b", `\u001b`, `"`, `\"`).Replace(evil)
	w.post(w.client(), "https://slack.com/v1/things", jsonType, `{"thing":"a1","note":"`+quoted+`","more":{"`+quoted+`":1}}`)
	w.post(w.client(), "https://slack.com/v1/things", jsonType, `{"thing":"`+quoted+`"}`)
	w.post(w.client(), "https://slack.com/v1/things", jsonType, `{"`+quoted+`":1}`)
	w.wait("outcome", isOutcome)
	conn := w.dial()
	_, _ = exchangeRaw(t, conn, "CONNECT evil%0a.example:443 HTTP/1.1\r\nHost: evil%0a.example:443\r\nProxy-Authorization: "+basic+"\r\n\r\n")
	p := w.proxy
	r := p.newRecord(p.cfg.Source.Current(), audit.PhaseDecision, nil)
	r.Reason, r.Resources, r.Upstream, r.Actor = evil, []string{"thing:" + evil}, &audit.Upstream{Host: evil, Address: evil}, evil
	r.Operation, r.Rule, r.Credential, r.Connector = evil, evil, evil, evil
	if _, err := p.append(r); err != nil {
		t.Fatal(err)
	}
	for _, r := range w.log.Records() {
		fields := append([]string{r.Reason, r.Operation, r.Actor, r.Rule, r.Credential, r.Connector, string(r.Parameters)}, r.Resources...)
		if r.Upstream != nil {
			fields = append(fields, r.Upstream.Host, r.Upstream.Address)
		}
		for _, f := range fields {
			if i := bytes.IndexFunc([]byte(f), isUnprintable); i >= 0 {
				t.Errorf("%q has %q in it", f, f[i:min(i+4, len(f))])
			}
		}
	}
}

// The keys of a Claw are looked for under the snapshot of the moment.
func TestKeysAreThoseOfNow(t *testing.T) {
	w := newWorld(t, service(t, things))
	send := func() int {
		status, _, _ := w.post(w.client(), "https://slack.com/v1/things", jsonType, `{"thing":"a1","note":"another-key-entirely"}`)
		return status
	}
	if status := send(); status != http.StatusOK {
		t.Errorf("before: %d", status)
	}
	w.source.set(true, func(s *state.Snapshot) {
		s.Keys["svc"] = map[string]secret.Value{"key": secret.New([]byte("another-key-entirely"))}
	})
	if status := send(); status != http.StatusForbidden {
		t.Errorf("after: %d", status)
	}
}
