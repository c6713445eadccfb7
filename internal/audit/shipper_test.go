package audit_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	logsv1 "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/proto"

	"github.com/clawstaff/clawstaff/internal/audit"
)

// patience bounds what should happen soon.
const patience = 20 * time.Second

// fakeLedger answers as it is told, and remembers what it was sent.
type fakeLedger struct {
	*httptest.Server
	posts chan struct{} // one per request, after it was remembered

	mu     sync.Mutex
	head   audit.Head
	answer func(attempt int) (status int, text string) // nil: 200
	hold   chan struct{}
	bodies [][]byte
	tokens []string
}

func newFakeLedger(t *testing.T) *fakeLedger {
	l := &fakeLedger{posts: make(chan struct{}, 1000)}
	l.Server = httptest.NewTLSServer(l)
	t.Cleanup(l.Close)
	return l
}

func (l *fakeLedger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	l.mu.Lock()
	l.tokens = append(l.tokens, r.Header.Get("Authorization"))
	head, hold := l.head, l.hold
	status, text := http.StatusOK, ""
	if r.Method == http.MethodPost {
		if l.answer != nil {
			status, text = l.answer(len(l.bodies))
		}
		l.bodies = append(l.bodies, body)
	}
	l.mu.Unlock()
	if r.Method == http.MethodGet {
		_ = json.NewEncoder(w).Encode(head)
		return
	}
	l.posts <- struct{}{}
	if hold != nil {
		<-hold
	}
	if status != http.StatusOK {
		http.Error(w, text, status)
	}
}

// lines are those of the i-th request.
func (l *fakeLedger) lines(t *testing.T, i int) []string {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var data logsv1.LogsData
	if err := proto.Unmarshal(l.bodies[i], &data); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range data.ResourceLogs[0].ScopeLogs[0].LogRecords {
		lines = append(lines, r.GetBody().GetStringValue())
	}
	return lines
}

func (l *fakeLedger) roots() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.Certificate().Raw})
}

// shipper runs one against the ledger until the test ends.
func (l *fakeLedger) shipper(t *testing.T, change func(*audit.ShipperConfig)) (s *audit.Shipper, ended <-chan error, stop func()) {
	t.Helper()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := audit.ShipperConfig{Claw: claw, URL: l.URL, TokenFile: token}
	if change != nil {
		change(&cfg)
	}
	s = audit.NewShipper(cfg)
	if err := s.SetRoots(l.roots()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(cancel)
	return s, done, cancel
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func await[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("%s did not happen", what)
		panic("unreachable")
	}
}

func TestShipperContinuesTheHistory(t *testing.T) {
	l := newFakeLedger(t)
	_, l.head = history(t, 5)
	s, _, _ := l.shipper(t, nil)
	r, err := s.Append(soon(t), audit.Record{Operation: "x", Claw: audit.ClawRef{Name: "liar"}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Seq != 6 || r.Prev != l.head.Hash || r.Claw != claw || r.Time.IsZero() {
		t.Errorf("got %+v", r)
	}
	link, err := audit.ParseLink([]byte(l.lines(t, 0)[0]))
	if err != nil || link.Hash != r.Hash || link.Claw != claw {
		t.Errorf("sent %+v, %v", link, err)
	}
	if !s.Ready() {
		t.Error("not ready")
	}
}

func TestShipperSendsWhatWaitsTogether(t *testing.T) {
	l := newFakeLedger(t)
	release := make(chan struct{})
	l.hold = release
	s, _, _ := l.shipper(t, nil)
	results := make(chan error, 101)
	add := func() {
		_, err := s.Append(soon(t), audit.Record{})
		results <- err
	}
	go add()
	await(t, l.posts, "the first request")
	for range 100 {
		go add()
	}
	for s.Waiting() < 100 {
		time.Sleep(time.Millisecond) // for the goroutines above to be scheduled
	}
	close(release)
	for range 101 {
		if err := await(t, results, "an answer"); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(l.lines(t, 1)); got != 100 {
		t.Errorf("the second request has %d records, want 100", got)
	}
}

func TestShipperRepeatsABatchByteForByte(t *testing.T) {
	l := newFakeLedger(t)
	l.answer = func(attempt int) (int, string) {
		return []int{http.StatusServiceUnavailable, http.StatusUnauthorized, http.StatusInternalServerError, http.StatusOK}[attempt], "later"
	}
	s, _, _ := l.shipper(t, nil)
	if _, err := s.Append(soon(t), audit.Record{Operation: "x"}); err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.bodies) != 4 {
		t.Fatalf("%d attempts", len(l.bodies))
	}
	for _, body := range l.bodies[1:] {
		if !bytes.Equal(l.bodies[0], body) {
			t.Error("an attempt differs from the first")
		}
	}
}

func TestShipperIsClosedAfterARefusal(t *testing.T) {
	for _, status := range []int{http.StatusConflict, http.StatusBadRequest, http.StatusRequestEntityTooLarge} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			l := newFakeLedger(t)
			l.answer = func(int) (int, string) { return status, "fork: there is another record 1 here" }
			s, ended, _ := l.shipper(t, nil)
			for range 2 {
				if _, err := s.Append(soon(t), audit.Record{}); !errors.Is(err, audit.ErrRefused) || !strings.Contains(err.Error(), "another record 1") {
					t.Errorf("got %v", err)
				}
			}
			if err := await(t, ended, "the end of Run"); !errors.Is(err, audit.ErrRefused) {
				t.Errorf("Run returned %v", err)
			}
			if s.Ready() {
				t.Error("still ready")
			}
		})
	}
}

func TestShipperWithoutLedgerKeepsNothingAndRecovers(t *testing.T) {
	l := newFakeLedger(t)
	release := make(chan struct{})
	l.hold = release
	s, _, _ := l.shipper(t, func(c *audit.ShipperConfig) { c.Queue = 1 })
	first := make(chan error, 1)
	go func() {
		_, err := s.Append(soon(t), audit.Record{Operation: "under way"})
		first <- err
	}()
	await(t, l.posts, "the first request")
	gone, cancel := context.WithCancelCause(t.Context())
	second := make(chan error, 1)
	go func() {
		_, err := s.Append(gone, audit.Record{Operation: "given up"})
		second <- err
	}()
	for s.Waiting() < 1 {
		time.Sleep(time.Millisecond) // for the goroutine above to be scheduled
	}
	if _, err := s.Append(soon(t), audit.Record{}); !errors.Is(err, audit.ErrBusy) {
		t.Errorf("with a full queue: %v", err)
	}
	reason := errors.New("no time left")
	cancel(reason)
	if err := await(t, second, "giving up"); !errors.Is(err, reason) {
		t.Errorf("got %v", err)
	}
	close(release)
	if err := await(t, first, "the first answer"); err != nil {
		t.Error(err)
	}
	for s.Waiting() > 0 {
		time.Sleep(time.Millisecond) // for the one that was given up to be thrown away
	}
	r, err := s.Append(soon(t), audit.Record{Operation: "after"})
	if err != nil || r.Seq != 2 {
		t.Errorf("the record that was given up has taken a place: %+v, %v", r, err)
	}
}

func TestShipperAnswersAtTheEnd(t *testing.T) {
	l := newFakeLedger(t)
	release := make(chan struct{})
	l.hold = release
	defer close(release)
	s, ended, stop := l.shipper(t, nil)
	result := make(chan error, 1)
	go func() {
		_, err := s.Append(soon(t), audit.Record{})
		result <- err
	}()
	await(t, l.posts, "the request")
	stop()
	if err := await(t, ended, "the end of Run"); err != nil {
		t.Errorf("Run returned %v", err)
	}
	if err := await(t, result, "the answer"); !errors.Is(err, audit.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestShipperReadsTheTokenAnew(t *testing.T) {
	l := newFakeLedger(t)
	var file string
	s, _, _ := l.shipper(t, func(c *audit.ShipperConfig) { file = c.TokenFile })
	for _, token := range []string{"two", "three\n"} {
		if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Append(soon(t), audit.Record{}); err != nil {
			t.Fatal(err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if diff := cmp.Diff([]string{"Bearer two", "Bearer three"}, l.tokens[len(l.tokens)-2:]); diff != "" {
		t.Error(diff)
	}
}

func TestShipperTrustsOnlyItsRoots(t *testing.T) {
	l := newFakeLedger(t)
	s := audit.NewShipper(audit.ShipperConfig{Claw: claw, URL: l.URL, TokenFile: "/dev/null"})
	if err := s.SetRoots([]byte("nothing")); err == nil {
		t.Error("roots without a certificate were accepted")
	}
	if err := s.SetRoots(otherRoot(t)); err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Run(t.Context()) }()
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := s.Append(short, audit.Record{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with another's roots: %v", err)
	}
	if err := s.SetRoots(l.roots()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(soon(t), audit.Record{}); err != nil {
		t.Error(err)
	}
}

func TestShipperPrintsNobodysWords(t *testing.T) {
	l := newFakeLedger(t)
	var out bytes.Buffer
	s, ended, stop := l.shipper(t, func(c *audit.ShipperConfig) { c.Stdout = &out })
	_, err := s.Append(soon(t), audit.Record{
		Operation: "chat.postMessage", Connector: "slack", Decision: audit.Allowed, Actor: "hidden", Resources: []string{"hidden"},
		Parameters: json.RawMessage(`{"text":"hidden"}`), Reason: "hidden", Upstream: &audit.Upstream{Host: "hidden", Status: 200},
	})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	_ = await(t, ended, "the end of Run")
	if got := out.String(); strings.Contains(got, "hidden") || !strings.Contains(got, `"operation":"chat.postMessage"`) || !strings.Contains(got, `"status":200`) {
		t.Errorf("printed %s", got)
	}
}

func TestShipperCutsParametersThatAreTooLong(t *testing.T) {
	l := newFakeLedger(t)
	s, _, _ := l.shipper(t, nil)
	long, err := json.Marshal(strings.Repeat("x", audit.MaxLine))
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Append(soon(t), audit.Record{Parameters: long})
	if err != nil || !strings.Contains(string(r.Parameters), `"tooLong"`) {
		t.Errorf("got %.100s, %v", r.Parameters, err)
	}
	if _, err := s.Append(soon(t), audit.Record{Reason: strings.Repeat("x", audit.MaxLine)}); !errors.Is(err, audit.ErrTooLong) {
		t.Errorf("got %v", err)
	}
	if r, err = s.Append(soon(t), audit.Record{}); err != nil || r.Seq != 2 {
		t.Errorf("after one that cannot be kept: %+v, %v", r, err)
	}
}

// otherRoot is an authority that has not signed the ledger's certificate.
func otherRoot(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
}
