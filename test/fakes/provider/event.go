package provider

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Message is what somebody writes in Slack.
type Message struct {
	User     string `json:"user"`
	Channel  string `json:"channel"`
	Text     string `json:"text"`
	ThreadTS string `json:"threadTS,omitempty"`
	TS       string `json:"ts,omitempty"`      // made up if left out
	EventID  string `json:"eventID,omitempty"` // made up if left out
	Team     string `json:"team,omitempty"`    // TeamID if left out
}

// Delivery is one request of Slack to a gateway. What is left out is made as Slack makes it, so a
// test of bad input fills in just what is bad.
type Delivery struct {
	URL           string            `json:"url"`
	Address       string            `json:"address,omitempty"` // to dial, where the URL's host has no address here
	CA            string            `json:"ca,omitempty"`      // PEM; who may have signed the gateway's certificate
	SigningSecret string            `json:"signingSecret,omitempty"`
	Message       Message           `json:"message"`
	Body          string            `json:"body,omitempty"`
	Timestamp     int64             `json:"timestamp,omitempty"`
	Signature     string            `json:"signature,omitempty"`
	Headers       map[string]string `json:"headers,omitempty"`
}

// Receipt is the gateway's answer.
type Receipt struct {
	Status  int    `json:"status"`
	Body    string `json:"body"`
	EventID string `json:"eventID"`
	TS      string `json:"ts"`
	// Sent can be delivered again, byte for byte.
	Sent Delivery `json:"sent"`
}

// Sign is Slack's signature of a body.
func Sign(secret string, timestamp int64, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "v0:%d:%s", timestamp, body)
	return "v0=" + hex.EncodeToString(mac.Sum(nil))
}

// complete fills in what was left out.
func (d Delivery) complete(now time.Time) Delivery {
	m := &d.Message
	if m.Team == "" {
		m.Team = TeamID
	}
	if m.TS == "" {
		m.TS = fmt.Sprintf("%d.%06d", now.Unix(), now.Nanosecond()/1000)
	}
	if m.EventID == "" {
		m.EventID = fmt.Sprintf("Ev%010X", now.UnixNano())
	}
	if d.Body == "" {
		d.Body = string(m.event(now))
	}
	if d.Timestamp == 0 {
		d.Timestamp = now.Unix()
	}
	if d.Signature == "" {
		d.Signature = Sign(d.SigningSecret, d.Timestamp, d.Body)
	}
	return d
}

// event is the Events API's envelope of the message.
func (m Message) event(now time.Time) []byte {
	event := map[string]any{"type": "message", "user": m.User, "text": m.Text, "channel": m.Channel, "channel_type": "channel",
		"ts": m.TS, "event_ts": m.TS, "team": m.Team}
	if m.ThreadTS != "" {
		event["thread_ts"] = m.ThreadTS
	}
	return encode(map[string]any{
		"type": "event_callback", "token": "deprecated", "team_id": m.Team, "api_app_id": "A0CLAW", "event": event,
		"event_id": m.EventID, "event_time": now.Unix(), "is_ext_shared_channel": false,
		"authorizations": []any{map[string]any{"enterprise_id": nil, "team_id": TeamID, "user_id": "U0TRIAGE", "is_bot": true, "is_enterprise_install": false}},
	})
}

// Deliver posts the event as Slack does and returns the answer.
func Deliver(ctx context.Context, d Delivery) (Receipt, error) {
	d = d.complete(time.Now())
	roots := x509.NewCertPool()
	if d.CA != "" && !roots.AppendCertsFromPEM([]byte(d.CA)) {
		return Receipt{}, errors.New("ca: no certificate in it")
	}
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if d.Address != "" {
				address = d.Address
			}
			return dialer.DialContext(ctx, network, address)
		},
		DisableKeepAlives: true,
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader([]byte(d.Body)))
	if err != nil {
		return Receipt{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "Slackbot 1.0 (+https://api.slack.com/robots)")
	request.Header.Set("X-Slack-Request-Timestamp", strconv.FormatInt(d.Timestamp, 10))
	request.Header.Set("X-Slack-Signature", d.Signature)
	for name, value := range d.Headers {
		request.Header.Set(name, value)
	}
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return Receipt{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	return Receipt{Status: response.StatusCode, Body: string(body), EventID: d.Message.EventID, TS: d.Message.TS, Sent: d}, err
}
