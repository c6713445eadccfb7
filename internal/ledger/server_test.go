package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	logsv1 "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/client-go/rest"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/pki"
)

// oneGateway knows one token.
type oneGateway struct{ namespace, claw string }

func (g oneGateway) Authenticate(_ context.Context, token string) (string, string, error) {
	switch token {
	case "good":
		return g.namespace, g.claw, nil
	case "unsure":
		return "", "", errNoAuthority
	default:
		return "", "", errUnknownToken
	}
}

// export wraps lines for OTLP.
func export(t testing.TB, lines ...string) *logsv1.LogsData {
	t.Helper()
	var records []any
	for _, line := range lines {
		records = append(records, map[string]any{"body": map[string]any{"stringValue": line}})
	}
	text, err := json.Marshal(map[string]any{"resourceLogs": []any{map[string]any{"scopeLogs": []any{map[string]any{"logRecords": records}}}}})
	if err != nil {
		t.Fatal(err)
	}
	var data logsv1.LogsData
	if err := protojson.Unmarshal(text, &data); err != nil {
		t.Fatal(err)
	}
	return &data
}

func protobuf(t testing.TB, data *logsv1.LogsData) []byte {
	t.Helper()
	body, err := proto.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestServer(t *testing.T) {
	lines, head := seal(t, triage, audit.Head{}, 3, "")
	other := triage
	other.Name = "other"
	others, _ := seal(t, other, audit.Head{}, 1, "")
	fork, _ := seal(t, triage, audit.Head{}, 1, "fork")
	asJSON, err := protojson.Marshal(export(t, lines[2]))
	if err != nil {
		t.Fatal(err)
	}
	const pb, js = "application/x-protobuf", "application/json"
	headOf := "/v1/claws/acme/triage/head?uid=" + triage.UID
	usageOf := "/v1/claws/acme/triage/usage?uid=" + triage.UID
	steps := []struct {
		name         string
		method, path string
		token        string
		header       map[string]string
		body         []byte
		status       int
		answer       string // contained in the body
	}{
		{name: "alive", method: "GET", path: "/healthz", status: 200, answer: "ok"},
		{name: "no token", method: "POST", path: "/v1/logs", header: map[string]string{"Content-Type": pb}, status: 401, answer: "token"},
		{name: "unknown token", method: "POST", path: "/v1/logs", token: "bad", status: 401},
		{name: "nobody to ask about the token", method: "POST", path: "/v1/logs", token: "unsure", status: 503},
		{name: "head of nothing", method: "GET", path: headOf, token: "good", status: 200, answer: `{"seq":0,"hash":""}`},
		{name: "head of another", method: "GET", path: "/v1/claws/acme/other/head?uid=u", token: "good", status: 403, answer: "acme/triage has no part in the history of acme/other"},
		{name: "head without a UID", method: "GET", path: "/v1/claws/acme/triage/head", token: "good", status: 400},
		{name: "head of a path", method: "GET", path: "/v1/claws/acme/triage/head?uid=../../x", token: "good", status: 400},
		{name: "head, no token", method: "GET", path: headOf, status: 401},
		{name: "usage of nothing", method: "GET", path: usageOf, token: "good", status: 200, answer: "{}"},
		{name: "usage of another", method: "GET", path: "/v1/claws/acme/other/usage?uid=u", token: "good", status: 403, answer: "acme/triage has no part in the history of acme/other"},
		{name: "usage of another namespace", method: "GET", path: "/v1/claws/other/triage/usage?uid=u", token: "good", status: 403},
		{name: "usage without a UID", method: "GET", path: "/v1/claws/acme/triage/usage", token: "good", status: 400},
		{name: "usage, no token", method: "GET", path: usageOf, status: 401},
		{name: "usage, nobody to ask about the token", method: "GET", path: usageOf, token: "unsure", status: 503},
		{name: "two records", method: "POST", path: "/v1/logs", token: "good", header: map[string]string{"Content-Type": pb}, body: protobuf(t, export(t, lines[:2]...)), status: 200},
		{name: "again", method: "POST", path: "/v1/logs", token: "good", header: map[string]string{"Content-Type": pb}, body: protobuf(t, export(t, lines[:2]...)), status: 200},
		{name: "a third, as JSON", method: "POST", path: "/v1/logs", token: "good", header: map[string]string{"Content-Type": js}, body: asJSON, status: 200, answer: "{}"},
		{name: "the head now", method: "GET", path: headOf, token: "good", status: 200, answer: head.Hash},
		{name: "a fork", method: "POST", path: "/v1/logs", token: "good", header: map[string]string{"Content-Type": pb}, body: protobuf(t, export(t, fork...)), status: 409, answer: "fork: there is another record 1 here"},
		{name: "another's record", method: "POST", path: "/v1/logs", token: "good", header: map[string]string{"Content-Type": pb}, body: protobuf(t, export(t, others...)), status: 403},
		{name: "an altered record", method: "POST", path: "/v1/logs", token: "good", header: map[string]string{"Content-Type": pb}, body: protobuf(t, export(t, strings.Replace(lines[0], "acme", "acm3", 1))), status: 400},
		{name: "an empty request", method: "POST", path: "/v1/logs", token: "good", header: map[string]string{"Content-Type": pb}, status: 400},
		{name: "no protobuf", method: "POST", path: "/v1/logs", token: "good", header: map[string]string{"Content-Type": pb}, body: []byte("hello"), status: 400},
		{name: "no JSON", method: "POST", path: "/v1/logs", token: "good", header: map[string]string{"Content-Type": js}, body: []byte("hello"), status: 400},
		{name: "another content type", method: "POST", path: "/v1/logs", token: "good", header: map[string]string{"Content-Type": "text/plain"}, body: []byte("hello"), status: 400, answer: "application/x-protobuf"},
		{name: "compressed", method: "POST", path: "/v1/logs", token: "good", header: map[string]string{"Content-Type": pb, "Content-Encoding": "gzip"}, body: []byte("x"), status: 415},
		{name: "too much", method: "POST", path: "/v1/logs", token: "good", header: map[string]string{"Content-Type": pb}, body: make([]byte, maxBody+1), status: 413},
		{name: "another method", method: "DELETE", path: "/v1/logs", token: "good", status: 405},
		{name: "another path", method: "GET", path: "/v1/records", token: "good", status: 404},
	}
	s := NewServer(openStore(t, t.TempDir(), realDisk{}, defaultSegmentSize), oneGateway{"acme", "triage"})
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			r := httptest.NewRequest(step.method, step.path, bytes.NewReader(step.body))
			if step.token != "" {
				r.Header.Set("Authorization", "Bearer "+step.token)
			}
			for name, value := range step.header {
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code != step.status || !strings.Contains(w.Body.String(), step.answer) {
				t.Errorf("got %d: %s", w.Code, w.Body)
			}
		})
	}
}

// FuzzDecode looks for requests that are taken although their records are no chain, and for panics.
func FuzzDecode(f *testing.F) {
	lines, _ := seal(f, triage, audit.Head{}, 2, "")
	data := export(f, lines...)
	asJSON, err := protojson.Marshal(data)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(true, protobuf(f, data))
	f.Add(false, asJSON)
	f.Add(false, []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"kvlistValue":{}}}]}]}]}`))
	f.Fuzz(func(t *testing.T, binary bool, body []byte) {
		contentType := "application/json"
		if binary {
			contentType = "application/x-protobuf"
		}
		b, err := decode(contentType, body)
		if err != nil {
			return
		}
		v := audit.Verifier{Head: audit.Head{Seq: b.first().Seq - 1, Hash: b.first().Prev}, Claw: &b.claw}
		for _, line := range b.lines {
			if err := v.Next(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
				t.Fatal(err)
			}
		}
		if err := checkClaw(b.claw); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTokenReviews(t *testing.T) {
	var asked atomic.Int32
	var broken atomic.Bool
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		var review authenticationv1.TokenReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil || r.URL.Path != "/apis/authentication.k8s.io/v1/tokenreviews" {
			t.Errorf("asked %s: %v", r.URL.Path, err)
		}
		if broken.Load() {
			http.Error(w, "later", http.StatusInternalServerError)
			return
		}
		users := map[string]string{
			"gateway": "system:serviceaccount:acme:triage-gateway", "agent": "system:serviceaccount:acme:triage-agent",
			"person": "sarah", "nameless": "system:serviceaccount:acme:-gateway", "elsewhere": "system:serviceaccount:acme:triage-gateway",
		}
		user, known := users[review.Spec.Token]
		review.Status = authenticationv1.TokenReviewStatus{Authenticated: known, Audiences: review.Spec.Audiences, User: authenticationv1.UserInfo{Username: user}}
		if review.Spec.Token == "elsewhere" {
			review.Status.Audiences = []string{"https://kubernetes.default.svc"}
		}
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(review)
	}))
	defer api.Close()
	reviews, err := NewTokenReviews(&rest.Config{Host: api.URL})
	if err != nil {
		t.Fatal(err)
	}
	clock := testingclock.NewFakePassiveClock(time.Unix(1_800_000_000, 0))
	reviews.clock = clock
	for token, want := range map[string]string{"gateway": "acme/triage", "agent": "", "person": "", "nameless": "", "elsewhere": "", "unknown": "", "": "", strings.Repeat("x", maxToken+1): ""} {
		namespace, claw, err := reviews.Authenticate(t.Context(), token)
		if got := strings.Trim(namespace+"/"+claw, "/"); got != want || (err == nil) != (want != "") {
			t.Errorf("%.20q: %q, %v", token, got, err)
		}
	}
	count := func(want int32, why string) {
		t.Helper()
		before := asked.Load()
		if _, _, err := reviews.Authenticate(t.Context(), "gateway"); err != nil {
			t.Error(err)
		}
		if got := asked.Load() - before; got != want {
			t.Errorf("%s, the API server was asked %d times", why, got)
		}
	}
	count(0, "while the answer is fresh")
	clock.SetTime(clock.Now().Add(answerTTL))
	count(1, "once the answer is old")
	clock.SetTime(clock.Now().Add(answerTTL))
	broken.Store(true)
	if _, _, err := reviews.Authenticate(t.Context(), "gateway"); err == nil {
		t.Error("an old answer was used while the API server gives none")
	}
	broken.Store(false)
	count(1, "after a failure")
}

func TestCertificateFollowsItsFiles(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	if _, err := LoadCertificate(certFile, keyFile); err == nil {
		t.Error("files that are not there were read")
	}
	issue(t, certFile, keyFile)
	c, err := LoadCertificate(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	first, err := c.Get(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(keyFile, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	stamp(t, keyFile, 1)
	if half, err := c.Get(nil); err != nil || half != first {
		t.Errorf("while the files do not fit: %v", err)
	}
	issue(t, certFile, keyFile)
	stamp(t, certFile, 2)
	stamp(t, keyFile, 2)
	second, err := c.Get(nil)
	if err != nil || bytes.Equal(first.Certificate[0], second.Certificate[0]) {
		t.Errorf("the new certificate is not used: %v", err)
	}
}

// stamp gives a file a time of its own: two writes can be too close to be told apart.
func stamp(t *testing.T, name string, seconds int64) {
	t.Helper()
	at := time.Now().Add(time.Duration(seconds) * time.Second)
	if err := os.Chtimes(name, at, at); err != nil {
		t.Fatal(err)
	}
}

// issue writes a certificate for localhost and returns its authority.
func issue(t testing.TB, certFile, keyFile string) []byte {
	t.Helper()
	ca, err := pki.NewCA("test", time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.Issue(time.Now(), time.Hour, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{certFile: leaf.Cert, keyFile: leaf.Key} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return ca.Cert
}
