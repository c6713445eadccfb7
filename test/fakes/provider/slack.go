package provider

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// TeamID is the fake Slack workspace.
const TeamID = "T01ACME"

// slack answers the Web API methods an agent may come upon. Unlike the gateway it knows no policy:
// with the right token everything works.
func (e *exchange) slack() {
	method, ok := strings.CutPrefix(e.path, "/api/")
	if !ok {
		e.json(http.StatusNotFound, map[string]any{"ok": false, "error": "unknown_method"})
		return
	}
	bot, verdict := e.slackBot()
	e.judged(verdict)
	if verdict != "valid" {
		e.json(http.StatusOK, map[string]any{"ok": false, "error": map[string]string{"none": "not_authed", "wrong": "invalid_auth"}[verdict]})
		return
	}
	var args map[string]any
	_ = json.Unmarshal(e.call.Body, &args) // no arguments are no error
	answer := map[string]any{"ok": true}
	switch method {
	case "auth.test":
		answer["team_id"], answer["user_id"], answer["bot_id"] = TeamID, bot, "B"+strings.TrimPrefix(bot, "U")
		answer["url"], answer["team"], answer["user"] = "https://acme.slack.com/", "Acme", "support-triage"
	case "chat.postMessage":
		answer["channel"], answer["ts"] = args["channel"], fmt.Sprintf("1700000000.%06d", e.call.Seq)
		answer["message"] = map[string]any{"type": "message", "user": bot, "text": args["text"], "ts": answer["ts"]}
	case "chat.delete", "chat.update":
		answer["channel"], answer["ts"] = args["channel"], args["ts"]
	case "conversations.history", "conversations.replies":
		answer["messages"] = []any{map[string]any{"type": "message", "user": "U0MALLORY", "text": "a secret of somebody the Claw may not hear"}}
	}
	e.json(http.StatusOK, answer)
}

// slackBot says whose token the call carries. A token in the body counts too, as it does at Slack.
func (e *exchange) slackBot() (user, verdict string) {
	token := bearer(e.r)
	if token == "" {
		var args struct {
			Token string `json:"token"`
		}
		_ = json.Unmarshal(e.call.Body, &args) // no token, then
		token = args.Token
	}
	if token == "" {
		return "", "none"
	}
	for user, accepted := range e.keys.SlackBotTokens {
		if accepted == token {
			return user, "valid"
		}
	}
	return "", "wrong"
}

// asJSON keeps JSON as it is and turns a form into an object; anything else becomes a string.
func asJSON(contentType string, body []byte) json.RawMessage {
	if len(body) == 0 {
		return nil
	}
	media, _, _ := mime.ParseMediaType(contentType) // no type, no form
	if media == "application/x-www-form-urlencoded" {
		if form, err := url.ParseQuery(string(body)); err == nil {
			object := map[string]string{}
			for name := range form {
				object[name] = form.Get(name)
			}
			return encode(object)
		}
	}
	if json.Valid(body) {
		return body
	}
	return encode(string(body))
}

func encode(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and maps of strings only
	}
	return data
}
