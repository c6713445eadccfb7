// Package load puts load on an HTTPS server or proxy, in the two ways that matter: as much as it takes, and so much a second
// whatever it takes.
package load

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Target is where requests go, and through what. Without a Proxy they go straight to Address.
type Target struct {
	Proxy, Password string
	Address         string
	Host            string
	Roots           *x509.CertPool
	// Certificates say who asks, where the target wants to know.
	Certificates []tls.Certificate
	// Request is one whole request, as it is written.
	Request []byte
}

// Post makes a request of JSON to a path of the target's host.
func (t Target) Post(path, body string, headers ...string) []byte {
	head := []string{"POST " + path + " HTTP/1.1", "Host: " + t.Host, "Content-Type: application/json", fmt.Sprintf("Content-Length: %d", len(body))}
	return []byte(strings.Join(append(head, headers...), "\r\n") + "\r\n\r\n" + body)
}

// Client is one connection that is kept.
type Client struct {
	target Target
	conn   *tls.Conn
	reader *bufio.Reader
}

// Dial connects.
func Dial(ctx context.Context, t Target) (*Client, error) {
	address := t.Address
	if t.Proxy != "" {
		address = t.Proxy
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if t.Proxy != "" {
		err = tunnel(conn, t)
	}
	secure := tls.Client(conn, &tls.Config{ServerName: t.Host, RootCAs: t.Roots, Certificates: t.Certificates})
	if err == nil {
		err = secure.HandshakeContext(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &Client{target: t, conn: secure, reader: bufio.NewReader(secure)}, nil
}

func tunnel(conn net.Conn, t Target) error {
	secret := base64.StdEncoding.EncodeToString([]byte("claw:" + t.Password))
	if _, err := fmt.Fprintf(conn, "CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\nProxy-Authorization: Basic %s\r\n\r\n", t.Host, t.Host, secret); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), &http.Request{Method: http.MethodConnect})
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the proxy answers %s to CONNECT", response.Status)
	}
	return nil
}

// Do sends the request and reads the answer, which must be a good one.
func (c *Client) Do() error {
	if _, err := c.conn.Write(c.target.Request); err != nil {
		return err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("the answer is %s: %.300s", response.Status, body)
	}
	return nil
}

// Close closes the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Result is what was measured.
type Result struct {
	Latencies []time.Duration
	Elapsed   time.Duration
}

// PerSecond is how many requests were answered in a second.
func (r Result) PerSecond() float64 { return float64(len(r.Latencies)) / r.Elapsed.Seconds() }

// Closed has n clients ask again as soon as they are answered.
func Closed(ctx context.Context, t Target, n int, howLong time.Duration) (Result, error) {
	pool, err := Connect(ctx, n, func(int) Target { return t })
	if err != nil {
		return Result{}, err
	}
	defer pool.Close()
	return pool.Closed(ctx, howLong)
}

// Open asks perSecond times a second, on n connections, whether or not the answers keep up. A request that waits for
// a connection waits for the proxy, so its latency begins when it was due: what is left out otherwise is exactly the
// slow part.
func Open(ctx context.Context, t Target, n, perSecond int, howLong time.Duration) (Result, error) {
	pool, err := Connect(ctx, n, func(int) Target { return t })
	if err != nil {
		return Result{}, err
	}
	defer pool.Close()
	return pool.Open(ctx, perSecond, howLong)
}

// Pool is connections that are kept.
type Pool []*Client

// Connect makes n connections, and has each ask once: the first answer is not a usual one.
func Connect(ctx context.Context, n int, target func(i int) Target) (Pool, error) {
	pool := make(Pool, 0, n)
	for i := range n {
		client, err := Dial(ctx, target(i))
		if err != nil {
			pool.Close()
			return nil, err
		}
		pool = append(pool, client)
		if err := errors.Join(client.conn.SetDeadline(time.Now().Add(patience)), client.Do()); err != nil {
			pool.Close()
			return nil, err
		}
	}
	return pool, nil
}

// Close closes all connections.
func (p Pool) Close() {
	for _, client := range p {
		_ = client.Close()
	}
}

// Open asks perSecond times a second, whether or not the answers keep up.
func (p Pool) Open(ctx context.Context, perSecond int, howLong time.Duration) (Result, error) {
	interval := time.Second / time.Duration(perSecond)
	var turns atomic.Int64
	begin := time.Now()
	return p.run(begin.Add(howLong), func() (time.Time, bool) {
		after := time.Duration(turns.Add(1)) * interval
		due := begin.Add(after)
		time.Sleep(time.Until(due))
		return due, after <= howLong && ctx.Err() == nil
	})
}

// Closed has each client ask again as soon as it is answered.
func (p Pool) Closed(ctx context.Context, howLong time.Duration) (Result, error) {
	end := time.Now().Add(howLong)
	return p.run(end, func() (time.Time, bool) {
		now := time.Now()
		return now, now.Before(end) && ctx.Err() == nil
	})
}

// patience is how long an answer may take.
const patience = 30 * time.Second

// run has each client take turns, until there are none, which is at end. next waits for a turn and says when it was due.
func (p Pool) run(end time.Time, next func() (due time.Time, ok bool)) (Result, error) {
	for _, client := range p {
		if err := client.conn.SetDeadline(end.Add(patience)); err != nil {
			return Result{}, err
		}
	}
	latencies, failures := make([][]time.Duration, len(p)), make([]error, len(p))
	begin := time.Now()
	var wg sync.WaitGroup
	for i, client := range p {
		wg.Go(func() {
			for due, ok := next(); ok && failures[i] == nil; due, ok = next() {
				failures[i] = client.Do()
				latencies[i] = append(latencies[i], time.Since(due))
			}
		})
	}
	wg.Wait()
	result := Result{Elapsed: time.Since(begin)}
	for _, l := range latencies {
		result.Latencies = append(result.Latencies, l...)
	}
	return result, errors.Join(failures...)
}
