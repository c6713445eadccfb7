package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/clawstaff/clawstaff/test/fakes/provider"
)

// Client talks to the control API.
type Client struct {
	// URL before the API's paths: an address, or a Service through the API server's proxy.
	URL string
	// HTTP carries the credentials that the URL needs, if any.
	HTTP *http.Client
}

// Ready waits until the providers are up.
func (c *Client) Ready(ctx context.Context) error {
	for {
		err := c.do(ctx, http.MethodGet, "/healthz", nil, nil)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the fake providers do not answer: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// CA returns the certificate that signs the providers' own.
func (c *Client) CA(ctx context.Context) (string, error) {
	var text []byte
	err := c.do(ctx, http.MethodGet, "/ca.crt", nil, &text)
	return string(text), err
}

// SetKeys says what the providers accept.
func (c *Client) SetKeys(ctx context.Context, keys provider.Keys) error {
	return c.do(ctx, http.MethodPut, "/keys", keys, nil)
}

// Reset forgets all calls.
func (c *Client) Reset(ctx context.Context) error {
	return c.do(ctx, http.MethodDelete, "/calls", nil, nil)
}

// Calls returns all calls since the last Reset.
func (c *Client) Calls(ctx context.Context) ([]provider.Call, error) {
	var calls []provider.Call
	err := c.do(ctx, http.MethodGet, "/calls", nil, &calls)
	return calls, err
}

// Await returns the first finished call that matches, once there is one.
func (c *Client) Await(ctx context.Context, match func(provider.Call) bool) (provider.Call, error) {
	for {
		calls, err := c.Calls(ctx)
		if err != nil {
			return provider.Call{}, err
		}
		last := 0
		for _, call := range calls {
			last = call.Seq
			if call.Done && match(call) {
				return call, nil
			}
		}
		if err := c.next(ctx, calls, last); err != nil {
			return provider.Call{}, err
		}
	}
}

// next waits for another call, or a moment when one of those known is not finished yet.
func (c *Client) next(ctx context.Context, calls []provider.Call, last int) error {
	for _, call := range calls {
		if !call.Done {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(20 * time.Millisecond):
				return nil
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	var more []provider.Call
	return c.do(ctx, http.MethodGet, fmt.Sprintf("/calls?after=%d&wait=1", last), nil, &more)
}

// Deliver posts an event to a gateway.
func (c *Client) Deliver(ctx context.Context, delivery provider.Delivery) (provider.Receipt, error) {
	var receipt provider.Receipt
	err := c.do(ctx, http.MethodPost, "/slack/deliveries", delivery, &receipt)
	return receipt, err
}

// do sends a request; the answer is decoded as JSON, or copied where a *[]byte wants it.
func (c *Client) do(ctx context.Context, method, path string, body, into any) error {
	var payload io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.URL+path, payload)
	if err != nil {
		return err
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusBadRequest {
		return errors.New(method + " " + path + ": " + response.Status + ": " + strings.TrimSpace(string(data)))
	}
	switch into := into.(type) {
	case nil:
		return nil
	case *[]byte:
		*into = data
		return nil
	}
	return json.Unmarshal(data, into)
}
