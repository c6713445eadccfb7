package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// attemptTimeout bounds one request to the ledger.
const attemptTimeout = 10 * time.Second

// ledgerClient speaks to the ledger over TLS.
type ledgerClient struct {
	url       string
	tokenFile string
	client    atomic.Pointer[http.Client] // nil until setRoots
}

func (l *ledgerClient) setRoots(pem []byte) error {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return errors.New("ledger-ca.crt holds no certificate in PEM")
	}
	client := &http.Client{
		Timeout: attemptTimeout,
		Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13},
			MaxIdleConnsPerHost: 1,
			IdleConnTimeout:     time.Minute, // before the ledger gives the connection up
			DisableCompression:  true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if old := l.client.Swap(client); old != nil {
		old.CloseIdleConnections()
	}
	return nil
}

// head asks for the end of the history as the ledger has it.
func (l *ledgerClient) head(ctx context.Context, claw ClawRef) (Head, error) {
	var head Head
	if err := l.ask(ctx, claw, "head", &head); err != nil {
		return Head{}, err
	}
	if (head.Seq == 0) != (head.Hash == "") || (head.Seq > 0 && !isHash([]byte(head.Hash))) {
		return Head{}, fmt.Errorf("the ledger answered with an impossible head %q", head)
	}
	return head, nil
}

// usage asks what the Claw did lately.
func (l *ledgerClient) usage(ctx context.Context, claw ClawRef) (Usage, error) {
	var u Usage
	err := l.ask(ctx, claw, "usage", &u)
	return u, err
}

// ask reads an answer about the Claw's history.
func (l *ledgerClient) ask(ctx context.Context, claw ClawRef, what string, into any) error {
	path := "/v1/claws/" + url.PathEscape(claw.Namespace) + "/" + url.PathEscape(claw.Name) + "/" + what + "?uid=" + url.QueryEscape(claw.UID)
	answer, err := l.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("read the %s: %w", what, err)
	}
	return nil
}

// append sends a batch. Nil means that it is durable.
func (l *ledgerClient) append(ctx context.Context, body []byte) error {
	_, err := l.do(ctx, http.MethodPost, "/v1/logs", body)
	return err
}

func (l *ledgerClient) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	client := l.client.Load()
	if client == nil {
		return nil, errors.New("the ledger's certificate authority is not known yet: ledger-ca.crt is missing in the gateway's Secret")
	}
	token, err := os.ReadFile(l.tokenFile)
	if err != nil {
		return nil, fmt.Errorf("read the ledger token: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, method, l.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	if body != nil {
		req.Header.Set("Content-Type", "application/x-protobuf")
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, MaxUsage))
	if err != nil {
		return nil, fmt.Errorf("read the ledger's answer: %w", err)
	}
	switch res.StatusCode {
	case http.StatusOK:
		return answer, nil
	case http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		return nil, fmt.Errorf("%w: %s: %s", ErrRefused, res.Status, bytes.TrimSpace(answer))
	default: // a token that is being renewed, a ledger that restarts, a disk that is full
		return nil, fmt.Errorf("the ledger answered %s: %s", res.Status, bytes.TrimSpace(answer))
	}
}

// cut stands for parameters that do not fit into a record.
func cut(parameters []byte) []byte {
	sum := sha256.Sum256(parameters)
	text, err := json.Marshal(map[string]any{"tooLong": map[string]any{"bytes": len(parameters), "sha256": hex.EncodeToString(sum[:])}})
	if err != nil {
		return nil
	}
	return text
}
