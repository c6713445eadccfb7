package inbound

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/secret"
)

const (
	slackConnector = "slack"
	slackSlot      = "signingSecret"
	slackTimestamp = "X-Slack-Request-Timestamp"
	slackSignature = "X-Slack-Signature"
	slackRetry     = "X-Slack-Retry-Num"
	// slackSkew is how far a request's time may be from ours.
	slackSkew = 5 * time.Minute
)

// slackSign is Slack's signature of a body sent at a time, given in seconds.
func slackSign(key secret.Value, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, key.Reveal())
	mac.Write([]byte("v0:" + timestamp + ":"))
	mac.Write(body)
	return "v0=" + hex.EncodeToString(mac.Sum(nil))
}

// slackTime reads the headers a signature consists of, and checks the time.
func slackTime(header http.Header, now time.Time) (timestamp, signature string, err error) {
	times, signatures := header.Values(slackTimestamp), header.Values(slackSignature)
	if len(times) != 1 || len(signatures) != 1 {
		return "", "", errors.New("the request is not signed, or signed twice")
	}
	seconds, err := strconv.ParseUint(times[0], 10, 62)
	if err != nil || strconv.FormatUint(seconds, 10) != times[0] {
		return "", "", errors.New("the request's timestamp is not a number of seconds")
	}
	age := now.Sub(time.Unix(int64(seconds), 0))
	switch {
	case age > slackSkew:
		return "", "", errors.New("the request is older than five minutes")
	case age < -slackSkew:
		return "", "", errors.New("the request is from the future")
	}
	return times[0], signatures[0], nil
}

// slackEvent is one request of Slack, as far as it matters here.
type slackEvent struct {
	operation string // what it is: message, app_mention, message.bot_message, url_verification
	id        string
	actor     string // principal: T…/U…
	channel   string
	thread    string
	text      string
	challenge string // to answer, of an url_verification
	drop      string // why it is not for the agent, whatever the grant says
	toAgent   []byte // what the agent gets: nothing but fields we know
}

var (
	slackID      = regexp.MustCompile(`^[A-Z0-9]{2,32}$`)
	slackEventID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	slackKind    = regexp.MustCompile(`^[a-z0-9_.]{1,64}$`)
	slackAnswer  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)
)

// parseSlack reads a body whose signature was right. An error means that the body is not one of
// Slack's; what Slack sends and we do not pass on has a reason to drop.
func parseSlack(body []byte) (*slackEvent, error) {
	if err := connector.CheckJSON(body); err != nil {
		return nil, err
	}
	top, err := readFields(body)
	if err != nil {
		return nil, err
	}
	switch kind := top.text("type"); {
	case top.err != nil:
		return nil, top.err
	case kind == "url_verification":
		e := &slackEvent{operation: kind, challenge: top.text("challenge")}
		if !slackAnswer.MatchString(e.challenge) {
			return nil, errors.New("the challenge is missing, or is none of Slack's")
		}
		return e, nil
	case kind == "event_callback":
		return parseSlackEvent(top)
	case slackKind.MatchString(kind):
		return &slackEvent{operation: kind, drop: "this kind of request is not delivered"}, nil
	default:
		return nil, errors.New("the body has no type of Slack's")
	}
}

func parseSlackEvent(top *fields) (*slackEvent, error) {
	e := &slackEvent{id: top.text("event_id")}
	team := top.text("team_id")
	event, err := readFields(top.raw["event"])
	if err = errors.Join(err, top.err); err != nil {
		return nil, fmt.Errorf("the event cannot be read: %w", err)
	}
	kind, subtype := event.text("type"), event.text("subtype")
	if event.err != nil || !slackEventID.MatchString(e.id) || !slackKind.MatchString(kind) || !slackID.MatchString(team) {
		return nil, errors.New("the event has no id, type or team of Slack's")
	}
	e.operation = kind
	if subtype != "" {
		e.operation = "message." + subtype
		if !slackKind.MatchString(subtype) {
			return nil, errors.New("the event has no subtype of Slack's")
		}
	}
	if kind != "message" && kind != "app_mention" {
		e.drop = "this kind of event is not delivered"
		return e, nil
	}
	e.read(top, event, team, subtype)
	if event.err != nil || top.err != nil {
		return nil, errors.Join(errors.New("the event cannot be read"), event.err, top.err)
	}
	return e, nil
}

// read takes from a message who wrote it and where, and finds reasons to drop it.
func (e *slackEvent) read(top, event *fields, team, subtype string) {
	origin := originOf(top, event, team)
	if user := event.text("user"); slackID.MatchString(user) && slackID.MatchString(origin.writer) {
		e.actor = origin.writer + "/" + user
	}
	if channel := event.text("channel"); slackID.MatchString(channel) {
		e.channel = channel
	}
	e.thread, e.text = event.text("thread_ts"), event.text("text")
	switch {
	case subtype != "":
		e.drop = "this subtype of message is not delivered"
	case event.has("bot_id") || event.has("bot_profile") || event.has("app_id"):
		e.drop = "this was written by a bot or an app"
	case event.has("edited"):
		e.drop = "this is an edit"
	case event.has("hidden"):
		e.drop = "this message is hidden"
	case origin.unclear != "":
		e.drop = origin.unclear
	case e.actor == "" || e.channel == "":
		e.drop = "this names no person or no channel"
	default:
		e.toAgent = slackForAgent(top, event, origin)
	}
}

// slackForAgent writes the event anew with the fields that hold what its author wrote, and those an
// SDK needs. Forwarded messages, previews of links and files are other people's words: left out.
func slackForAgent(top, event *fields, from origin) []byte {
	type authorization struct {
		EnterpriseID        *string `json:"enterprise_id"`
		TeamID              string  `json:"team_id"`
		UserID              string  `json:"user_id"`
		IsBot               bool    `json:"is_bot"`
		IsEnterpriseInstall bool    `json:"is_enterprise_install"`
	}
	var authorizations []authorization
	for _, raw := range top.list("authorizations") {
		a, err := readFields(raw)
		if err != nil || a.text("team_id") != from.home {
			continue
		}
		authorizations = append(authorizations, authorization{TeamID: from.home, UserID: a.text("user_id"), IsBot: a.flag("is_bot")})
	}
	out := struct {
		Type           string          `json:"type"`
		TeamID         string          `json:"team_id"`
		APIAppID       string          `json:"api_app_id,omitempty"`
		EventID        string          `json:"event_id"`
		EventTime      json.Number     `json:"event_time,omitempty"`
		Authorizations []authorization `json:"authorizations,omitempty"`
		Shared         bool            `json:"is_ext_shared_channel,omitempty"`
		Event          any             `json:"event"`
	}{"event_callback", from.home, top.text("api_app_id"), top.text("event_id"), top.number("event_time"), authorizations, top.flag("is_ext_shared_channel"), struct {
		Type        string          `json:"type"`
		User        string          `json:"user"`
		Text        string          `json:"text"`
		Timestamp   string          `json:"ts,omitempty"`
		Channel     string          `json:"channel"`
		ChannelType string          `json:"channel_type,omitempty"`
		Thread      string          `json:"thread_ts,omitempty"`
		ParentUser  string          `json:"parent_user_id,omitempty"`
		EventTime   string          `json:"event_ts,omitempty"`
		ClientID    string          `json:"client_msg_id,omitempty"`
		Team        string          `json:"team"`
		UserTeam    string          `json:"user_team,omitempty"`
		SourceTeam  string          `json:"source_team,omitempty"`
		Blocks      json.RawMessage `json:"blocks,omitempty"`
	}{
		event.text("type"), event.text("user"), event.text("text"), event.text("ts"), event.text("channel"), event.text("channel_type"),
		event.text("thread_ts"), event.text("parent_user_id"), event.text("event_ts"), event.text("client_msg_id"), from.writer, from.outside(), from.outside(), ownBlocks(event),
	}}
	body, err := json.Marshal(out)
	if err != nil {
		event.fail(err)
	}
	return body
}

// ownBlocks are a message's blocks, if they are what people type.
func ownBlocks(event *fields) json.RawMessage {
	blocks := event.list("blocks")
	for _, raw := range blocks {
		if block, err := readFields(raw); err != nil || block.text("type") != "rich_text" {
			return nil
		}
	}
	if len(blocks) == 0 {
		return nil
	}
	return event.raw["blocks"]
}
