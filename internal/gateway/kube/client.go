package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// requestTimeout bounds every request but a watch.
const requestTimeout = 10 * time.Second

// maxObject is the largest object read. etcd takes no larger ones.
const maxObject = 4 << 20

// kind is one of the resources a gateway reads.
type kind struct{ api, resource string }

var (
	claws       = kind{"/apis/" + v1alpha1.GroupVersion.String(), "claws"}
	grants      = kind{"/apis/" + v1alpha1.GroupVersion.String(), "clawgrants"}
	credentials = kind{"/apis/" + v1alpha1.GroupVersion.String(), "clawcredentials"}
	secrets     = kind{"/api/v1", "secrets"}
)

// client makes the few requests a gateway needs. It reads objects as they are on the wire: what
// this version does not know must be seen, not dropped.
type client struct {
	http      *http.Client
	base      string
	namespace string
}

// statusError is an answer of the API server that is not a success.
type statusError struct {
	code    int
	message string
	object  string // that it is about, if it says so
}

// Error implements error.
func (e *statusError) Error() string {
	return fmt.Sprintf("the API server answered %d: %s", e.code, e.message)
}

// answered reports whether err is the API server's word that it does not show an object.
func answered(err error, codes ...int) bool {
	var s *statusError
	if errors.As(err, &s) {
		for _, code := range codes {
			if s.code == code {
				return true
			}
		}
	}
	return false
}

func newClient(config *rest.Config, namespace string) (*client, error) {
	config = rest.CopyConfig(config)
	config.Timeout = 0 // watches last
	if config.UserAgent == "" {
		config.UserAgent = "clawstaff-gateway"
	}
	c, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("make a client of the API server: %w", err)
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("read the API server's address: %w", err)
	}
	return &client{http: c, base: strings.TrimSuffix(base.String(), "/"), namespace: namespace}, nil
}

func (c *client) url(k kind, name string, query url.Values) string {
	u := c.base + k.api + "/namespaces/" + url.PathEscape(c.namespace) + "/" + k.resource
	if name != "" {
		u += "/" + name
	}
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	return u
}

// do sends a request and returns the answer's body, which the caller closes.
func (c *client) do(ctx context.Context, method, url, contentType string, body []byte) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 == 2 {
		return res.Body, nil
	}
	defer func() { _ = res.Body.Close() }()
	failure := &statusError{code: res.StatusCode, message: res.Status}
	var status metav1.Status
	if text, err := io.ReadAll(io.LimitReader(res.Body, 16<<10)); err == nil && json.Unmarshal(text, &status) == nil && status.Message != "" {
		failure.message = status.Message
		if status.Details != nil {
			failure.object = status.Details.Name
		}
	}
	return nil, failure
}

// read is do for answers that are read at once.
func (c *client) read(ctx context.Context, method, url, contentType string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	answer, err := c.do(ctx, method, url, contentType, body)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Close() }()
	return io.ReadAll(io.LimitReader(answer, maxObject))
}

// object is one object as it was read, with what every object has.
type object struct {
	meta struct {
		UID               string       `json:"uid"`
		ResourceVersion   string       `json:"resourceVersion"`
		DeletionTimestamp *metav1.Time `json:"deletionTimestamp"`
	}
	version uint64 // the resourceVersion, which is an ordered number
	raw     []byte
}

func parseObject(raw []byte) (*object, error) {
	o := &object{raw: raw}
	err := json.Unmarshal(raw, &struct {
		Metadata any `json:"metadata"`
	}{&o.meta})
	if err != nil {
		return nil, fmt.Errorf("read an object: %w", err)
	}
	if o.version, err = strconv.ParseUint(o.meta.ResourceVersion, 10, 64); err != nil {
		return nil, fmt.Errorf("read an object's resourceVersion: %w", err)
	}
	return o, nil
}

// get reads an object consistently: the API server must have the newest state to answer. Nil
// means that there is none.
func (c *client) get(ctx context.Context, k kind, name string) (*object, error) {
	raw, err := c.read(ctx, http.MethodGet, c.url(k, name, nil), "", nil)
	var s *statusError
	if errors.As(err, &s) && s.code == http.StatusNotFound && s.object == name {
		return nil, nil // an API server that does not serve the kind yet says 404 too, but names no object
	}
	if err != nil {
		return nil, err
	}
	return parseObject(raw)
}

// list reads a named object, nil if there is none, and from which version on to watch it.
func (c *client) list(ctx context.Context, k kind, name string) (o *object, version string, err error) {
	raw, err := c.read(ctx, http.MethodGet, c.url(k, "", url.Values{"fieldSelector": {"metadata.name=" + name}}), "", nil)
	if err != nil {
		return nil, "", err
	}
	var list struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, "", fmt.Errorf("read a list: %w", err)
	}
	if len(list.Items) > 0 {
		if o, err = parseObject(list.Items[0]); err != nil {
			return nil, "", err
		}
	}
	return o, list.Metadata.ResourceVersion, nil
}

// watch calls changed for every change of a named object after version, until the API server
// ends the watch (nil) or something fails.
func (c *client) watch(ctx context.Context, k kind, name, version string, changed func(o *object, deleted bool)) error {
	stream, err := c.do(ctx, http.MethodGet, c.url(k, "", url.Values{
		"watch":           {"1"},
		"fieldSelector":   {"metadata.name=" + name},
		"resourceVersion": {version},
		"timeoutSeconds":  {watchSeconds()},
	}), "", nil)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	events := json.NewDecoder(stream)
	for {
		var event struct {
			Type   string          `json:"type"`
			Object json.RawMessage `json:"object"`
		}
		if err := events.Decode(&event); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		switch event.Type {
		case "ADDED", "MODIFIED", "DELETED":
			o, err := parseObject(event.Object)
			if err != nil {
				return err
			}
			changed(o, event.Type == "DELETED")
		case "BOOKMARK":
		default:
			return fmt.Errorf("the API server ended a watch: %s", event.Object)
		}
	}
}

// watchSeconds is how long to watch before reading anew, a little different every time: a stalled
// watch goes unnoticed no longer than that.
func watchSeconds() string { return strconv.Itoa(240 + rand.IntN(60)) }

// applyStatus writes the status of an object under a field manager of its own (server-side apply).
func (c *client) applyStatus(ctx context.Context, k kind, name, manager string, body []byte) error {
	query := url.Values{"fieldManager": {manager}, "force": {"true"}}
	_, err := c.read(ctx, http.MethodPatch, c.url(k, name+"/status", query), "application/apply-patch+yaml", body)
	return err
}
