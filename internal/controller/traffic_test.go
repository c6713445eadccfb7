package controller_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
)

// refused are paths the manager is refused for now, as if its rights were not in force.
var refused sync.Map

// refuse refuses the manager what is at a path, until the returned function is called.
func refuse(path string) func() {
	refused.Store(path, true)
	return func() { refused.Delete(path) }
}

func refusal(r *http.Request) *http.Response {
	found := false
	refused.Range(func(path, _ any) bool {
		found = strings.Contains(r.URL.Path+"/", path.(string)+"/")
		return !found
	})
	if !found {
		return nil
	}
	status := apierrors.NewForbidden(corev1.Resource("things"), "", errors.New("as a test has it")).Status()
	body, _ := json.Marshal(status)
	return &http.Response{
		StatusCode: http.StatusForbidden, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// writes counts what the manager asks the API server to write, and journal has all of it.
var (
	writes  atomic.Int64
	journal struct {
		sync.Mutex
		lines []string
	}
)

type countingTransport struct{ http.RoundTripper }

func (c countingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	looks.note(r)
	if response := refusal(r); response != nil {
		return response, nil
	}
	// Events are told, not kept, and no state; nor is it who leads.
	if r.Method != http.MethodGet && !strings.Contains(r.URL.Path, "/events") && !strings.Contains(r.URL.Path, "/leases") {
		writes.Add(1)
		journal.Lock()
		journal.lines = append(journal.lines, r.Method+" "+r.URL.Path)
		journal.Unlock()
	}
	return c.RoundTripper.RoundTrip(r)
}

func lastWrites() string {
	journal.Lock()
	defer journal.Unlock()
	return strings.Join(journal.lines[max(0, len(journal.lines)-20):], "\n")
}

// writesAbout counts those about an organization and its cage, which have one name. What other tests left behind
// is looked at at times of its own.
func writesAbout(name string) int {
	journal.Lock()
	defer journal.Unlock()
	n := 0
	for _, line := range journal.lines {
		if strings.Contains(line+"/", "/"+name+"/") {
			n++
		}
	}
	return n
}

func counted(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(rt http.RoundTripper) http.RoundTripper { return countingTransport{rt} })
	return config
}
