package operator

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
)

// Request is one request to the API server and its answer.
type Request struct {
	Method, Path string
	Status       int
	Took         time.Duration
	Err          error
}

func (r Request) String() string {
	if r.Err != nil {
		return fmt.Sprintf("%s %s: %v", r.Method, r.Path, r.Err)
	}
	return fmt.Sprintf("%s %s: %d", r.Method, r.Path, r.Status)
}

// Journal is what somebody asked of the API server: everything that is written, and what failed at the server.
type Journal struct {
	mu       sync.Mutex
	requests []Request
}

// watch makes a configuration write down what is done with it.
func (j *Journal) watch(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(rt http.RoundTripper) http.RoundTripper { return &watched{rt, j} })
	return config
}

type watched struct {
	http.RoundTripper
	journal *Journal
}

func (w *watched) RoundTrip(r *http.Request) (*http.Response, error) {
	start := time.Now()
	response, err := w.RoundTripper.RoundTrip(r)
	entry := Request{Method: r.Method, Path: r.URL.Path, Took: time.Since(start), Err: err}
	if response != nil {
		entry.Status = response.StatusCode
	}
	// Events are told, not kept, and no state; questions leave nothing behind.
	read := r.Method == http.MethodGet || strings.Contains(r.URL.Path, "/events") || strings.HasSuffix(r.URL.Path, "subjectaccessreviews")
	canceled := err != nil && r.Context().Err() != nil
	if !canceled && (!read || entry.Status >= http.StatusInternalServerError) {
		w.journal.mu.Lock()
		w.journal.requests = append(w.journal.requests, entry)
		w.journal.mu.Unlock()
	}
	return response, err
}

// Mark is a place in a journal.
func (j *Journal) Mark() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.requests)
}

// Since lists the requests after a mark that a filter passes; all if it is nil.
func (j *Journal) Since(mark int, filter func(Request) bool) []Request {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []Request
	for _, r := range j.requests[mark:] {
		if filter == nil || filter(r) {
			out = append(out, r)
		}
	}
	return out
}

// Failed passes what the API server could not do, rather than would not.
func Failed(r Request) bool { return r.Err != nil || r.Status >= http.StatusInternalServerError }

// About passes what is about a cage, its organization included, which has the same name.
func About(namespace string) func(Request) bool {
	return func(r Request) bool {
		return strings.Contains(r.Path+"/", "/namespaces/"+namespace+"/") || strings.Contains(r.Path+"/", "/claworganizations/"+namespace+"/")
	}
}

// Log keeps what is logged as an error.
type Log struct {
	mu    sync.Mutex
	lines []string
}

func (l *Log) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

// Mark is a place in the log.
func (l *Log) Mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.lines)
}

// Since lists the lines after a mark in which a text stands.
func (l *Log) Since(mark int, text string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, line := range l.lines[mark:] {
		if strings.Contains(line, text) {
			out = append(out, line)
		}
	}
	return out
}

func (l *Log) logger() logr.Logger { return logr.New(&sink{log: l}) }

// sink is a logr.LogSink that keeps errors.
type sink struct {
	log    *Log
	values []any
}

func (*sink) Init(logr.RuntimeInfo) {}

func (*sink) Enabled(int) bool { return false }

func (*sink) Info(int, string, ...any) {}

func (s *sink) Error(err error, message string, values ...any) {
	s.log.add(fmt.Sprintf("%s: %v %v", message, err, append(s.values[:len(s.values):len(s.values)], values...)))
}

func (s *sink) WithValues(values ...any) logr.LogSink {
	return &sink{log: s.log, values: append(s.values[:len(s.values):len(s.values)], values...)}
}

func (s *sink) WithName(string) logr.LogSink { return s }
