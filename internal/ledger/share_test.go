package ledger

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/clawstaff/clawstaff/internal/audit"
)

// One Claw's requests do not keep another's from being served, however many there are.
func TestServerKeepsRoomForOthers(t *testing.T) {
	s := NewServer(openStore(t, t.TempDir(), realDisk{}, defaultSegmentSize), oneGateway{"acme", "triage"})
	send := func(body io.Reader) int {
		r := httptest.NewRequest("POST", "/v1/logs", body)
		r.Header.Set("Authorization", "Bearer good")
		r.Header.Set("Content-Type", "application/x-protobuf")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code
	}
	var slow sync.WaitGroup
	var writers []*io.PipeWriter
	for range maxOfOne {
		body, writer := io.Pipe()
		writers = append(writers, writer)
		slow.Go(func() { send(body) })
		_, _ = writer.Write([]byte{0}) // returns when it is being read
	}
	if code := send(nil); code != http.StatusTooManyRequests {
		t.Errorf("one more is answered %d", code)
	}
	if err := s.enter("acme/other", maxOfOne); err != nil {
		t.Errorf("another Claw: %v", err)
	}
	for _, w := range writers {
		_ = w.Close()
	}
	slow.Wait()
	if code := send(nil); code != http.StatusBadRequest {
		t.Errorf("afterwards it is answered %d", code)
	}
}

// Whoever makes up UIDs opens no more files than a Claw needs.
func TestStoreClosesHistoriesOfMadeUpUIDs(t *testing.T) {
	store := openStore(t, t.TempDir(), realDisk{}, defaultSegmentSize)
	var heads []audit.Head
	claw := func(i int) audit.ClawRef {
		return audit.ClawRef{Namespace: "acme", Name: "triage", UID: "uid-" + strconv.Itoa(i)}
	}
	for i := range 3 * maxOpen {
		lines, head := seal(t, claw(i), audit.Head{}, 1, "")
		b, err := newBatch(lines)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.append(b); err != nil {
			t.Fatal(err)
		}
		heads = append(heads, head)
	}
	if len(store.histories) > maxOpen {
		t.Errorf("%d histories are open", len(store.histories))
	}
	for i, want := range heads { // those that were closed are there all the same
		if got, err := store.Head(claw(i)); err != nil || got != want {
			t.Errorf("history %d ends with %v, %v", i, got, err)
		}
	}
}

// slowAuthority finds nothing out until the request is given up.
type slowAuthority struct{ asked chan struct{} }

func (a slowAuthority) Authenticate(ctx context.Context, _ string) (string, string, error) {
	a.asked <- struct{}{}
	<-ctx.Done()
	return "", "", errNoAuthority
}

// Tokens that take long to find out about, or that somebody makes up, keep nobody else's waiting.
func TestServerAsksForEveryAddress(t *testing.T) {
	who := slowAuthority{make(chan struct{})}
	s := NewServer(openStore(t, t.TempDir(), realDisk{}, defaultSegmentSize), who)
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	ask := func(address string) int {
		r := httptest.NewRequestWithContext(ctx, "GET", "/v1/claws/acme/triage/head", nil)
		r.Header.Set("Authorization", "Bearer made-up")
		r.RemoteAddr = address
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code
	}
	for i := range maxUnknown {
		asking.Go(func() { ask("192.0.2.1:" + strconv.Itoa(1000+i)) })
		<-who.asked
	}
	if code := ask("192.0.2.1:2000"); code != http.StatusTooManyRequests {
		t.Errorf("one more of the same address is answered %d", code)
	}
	asking.Go(func() { ask("192.0.2.2:1000") })
	<-who.asked // another address is not held up
	cancel()
	asking.Wait()
}
