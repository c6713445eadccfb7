package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/clawstaff/clawstaff/internal/audit"
)

const (
	// maxBody is the largest batch taken. A gateway sends at most 4 MiB and one record.
	maxBody = 8 << 20
	// maxBodies is how much of bodies may be in memory at once. Until it is on the disk each is there four times: as it
	// came, as records, as lines, and as what is written.
	maxBodies = 32 << 20
	// maxOfOne is how many requests of one Claw are served at once. Its gateway has one batch under way, and perhaps
	// some it has given up waiting for.
	maxOfOne = 4
	// maxUnknown is how many tokens of one address are found out about at once: half of all that are. Who has none that is
	// good could otherwise keep the API server from being asked about anybody else's.
	maxUnknown = maxReviews / 2
	// requestTimeout bounds what a request waits for, beside the disk.
	requestTimeout = 10 * time.Second
)

// Server speaks OTLP/HTTP with gateways.
type Server struct {
	store  *Store
	who    Authenticator
	bodies *semaphore.Weighted
	mux    *http.ServeMux

	mu     sync.Mutex
	served map[string]int // requests under way, by Claw and by address
}

// NewServer serves store to the gateways that who knows.
func NewServer(store *Store, who Authenticator) *Server {
	s := &Server{store: store, who: who, bodies: semaphore.NewWeighted(maxBodies), mux: http.NewServeMux(), served: map[string]int{}}
	s.mux.HandleFunc("POST /v1/logs", s.appendRecords)
	s.mux.HandleFunc("GET /v1/claws/{namespace}/{name}/head", s.answer(func(claw audit.ClawRef) (any, error) { return store.Head(claw) }))
	s.mux.HandleFunc("GET /v1/claws/{namespace}/{name}/usage", s.answer(func(claw audit.ClawRef) (any, error) { return store.Usage(claw) }))
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	s.mux.ServeHTTP(w, r)
}

// appendRecords keeps a batch of records of the caller's Claw.
func (s *Server) appendRecords(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	namespace, claw, err := s.caller(ctx, r)
	if err == nil {
		err = s.enter(namespace+"/"+claw, maxOfOne)
	}
	if err != nil {
		refuse(w, r, err)
		return
	}
	defer s.leave(namespace + "/" + claw)
	if r.Header.Get("Content-Encoding") != "" {
		http.Error(w, "send the body as it is: no Content-Encoding is supported", http.StatusUnsupportedMediaType)
		return
	}
	weight := r.ContentLength
	if weight < 0 || weight > maxBody {
		weight = maxBody
	}
	if err := s.bodies.Acquire(ctx, weight); err != nil {
		refuse(w, r, fmt.Errorf("%w: too many requests at once", errUnavailable))
		return
	}
	defer s.bodies.Release(weight)
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(requestTimeout))
	var body bytes.Buffer
	body.Grow(int(max(min(r.ContentLength, maxBody), 0)) + bytes.MinRead)
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		refuse(w, r, fmt.Errorf("read the body: %w", err))
		return
	}
	b, err := decode(r.Header.Get("Content-Type"), body.Bytes())
	if err == nil && (b.claw.Namespace != namespace || b.claw.Name != claw) {
		err = &notYours{caller: namespace + "/" + claw, asked: b.claw.Namespace + "/" + b.claw.Name}
	}
	if err == nil {
		err = s.store.append(b)
	}
	if err != nil {
		refuse(w, r, err)
		return
	}
	// An empty ExportLogsServiceResponse: everything was taken.
	if media := r.Header.Get("Content-Type"); strings.HasPrefix(media, "application/json") {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	w.WriteHeader(http.StatusOK)
}

// answer tells a gateway something about its own Claw's history: where it ends, or what was done lately.
func (s *Server) answer(about func(audit.ClawRef) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		namespace, claw, err := s.caller(ctx, r)
		if err == nil {
			err = s.enter(namespace+"/"+claw, maxOfOne)
		}
		if err != nil {
			refuse(w, r, err)
			return
		}
		defer s.leave(namespace + "/" + claw)
		asked := audit.ClawRef{Namespace: r.PathValue("namespace"), Name: r.PathValue("name"), UID: r.URL.Query().Get("uid")}
		if asked.Namespace != namespace || asked.Name != claw {
			refuse(w, r, &notYours{caller: namespace + "/" + claw, asked: asked.Namespace + "/" + asked.Name})
			return
		}
		answer, err := about(asked)
		if err != nil {
			refuse(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	}
}

// caller is the Claw whose gateway is asking.
func (s *Server) caller(ctx context.Context, r *http.Request) (namespace, claw string, err error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return "", "", errUnknownToken
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	if err := s.enter(host, maxUnknown); err != nil {
		return "", "", err
	}
	defer s.leave(host)
	return s.who.Authenticate(ctx, token)
}

// errBusy means that somebody asks for more at once than is their share.
var errBusy = errors.New("too many requests of this Claw or address at once")

// enter takes one of the places that a Claw or an address has: what one of them does must leave room for the others.
func (s *Server) enter(who string, places int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.served[who] >= places {
		return errBusy
	}
	s.served[who]++
	return nil
}

func (s *Server) leave(who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.served[who]--; s.served[who] == 0 {
		delete(s.served, who)
	}
}

// notYours means that a gateway asked for another Claw's history.
type notYours struct{ caller, asked string }

// Error implements error.
func (e *notYours) Error() string {
	return fmt.Sprintf("the gateway of %s has no part in the history of %s", e.caller, e.asked)
}

// refuse answers an error in a sentence, with the status that tells the sender what to do.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	var other *notYours
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, errUnknownToken):
		status = http.StatusUnauthorized
	case errors.As(err, &other):
		status = http.StatusForbidden
	case errors.As(err, &tooLarge):
		status = http.StatusRequestEntityTooLarge
	case errors.Is(err, errFork), errors.Is(err, errGap):
		status = http.StatusConflict
	case errors.Is(err, errInvalid):
		status = http.StatusBadRequest
	case errors.Is(err, errBusy):
		status = http.StatusTooManyRequests
	case unavailable(err), errors.Is(err, errNoAuthority):
		status = http.StatusServiceUnavailable
	}
	slog.Warn("refused", "method", r.Method, "path", r.URL.Path, "status", status, "reason", err.Error())
	http.Error(w, err.Error(), status)
}
