package connector

import (
	"net/url"
	"testing"
)

const slackAPI = "slack.com/api/"

// What Slack's own clients send: a form with the token in it, JSON only for messages, GET from Python's for reads.
func TestSlackRequests(t *testing.T) {
	checkAsked(t, builtinT(t), map[string]asked{
		"who am I": {url: slackAPI + "auth.test", request: sendForm("token=xoxb-claw-placeholder"), operation: "auth.test", action: "Read"},
		"a message": {url: slackAPI + "chat.postMessage", request: sendForm("token=t&team_id=T1&channel=C0SUPPORT&text=hello&thread_ts=1.2"),
			operation: "chat.postMessage", action: "Write", resources: "channel:C0SUPPORT",
			body: "channel=C0SUPPORT&text=hello&thread_ts=1.2&unfurl_links=false&unfurl_media=false"},
		"a message in JSON with blocks": {url: slackAPI + "chat.postMessage",
			request:   sendJSON("POST", `{"channel":"C0SUPPORT","blocks":[{"type":"section","text":{"type":"mrkdwn","text":"*hi*"}}],"unfurl_links":true}`),
			operation: "chat.postMessage", action: "Write", resources: "channel:C0SUPPORT"},
		"blocks as a string in a form": {url: slackAPI + "chat.update",
			request:   sendForm("channel=C0SUPPORT&ts=1.2&blocks=" + url.QueryEscape(`[{"type":"divider"}]`)),
			operation: "chat.update", action: "Write", resources: "channel:C0SUPPORT"},
		"history as OpenClaw asks for it": {url: slackAPI + "conversations.history", request: sendForm("token=t&channel=C0SUPPORT&limit=50&inclusive=true&latest=1.2"),
			operation: "conversations.history", action: "Read", resources: "channel:C0SUPPORT"},
		"history with GET": {url: slackAPI + "conversations.history?channel=C0SUPPORT&limit=50", request: method("GET"),
			operation: "conversations.history", action: "Read", resources: "channel:C0SUPPORT"},
		"a thread":   {url: slackAPI + "conversations.replies", request: sendForm("channel=C0SUPPORT&ts=1.2"), operation: "conversations.replies", action: "Read", resources: "channel:C0SUPPORT"},
		"a reaction": {url: slackAPI + "reactions.add", request: sendForm("channel=C0SUPPORT&name=eyes&timestamp=1.2"), operation: "reactions.add", action: "Write", resources: "channel:C0SUPPORT"},
		"typing": {url: slackAPI + "assistant.threads.setStatus", request: sendForm("channel_id=C0SUPPORT&thread_ts=1.2&status=is+typing"),
			operation: "assistant.threads.setStatus", action: "Write", resources: "channel:C0SUPPORT"},
		"a deletion":       {url: slackAPI + "chat.delete", request: sendForm("channel=C0SUPPORT&ts=1.2"), operation: "chat.delete", action: "Delete", resources: "channel:C0SUPPORT"},
		"all channels":     {url: slackAPI + "conversations.list", request: sendForm("limit=200&exclude_archived=true"), operation: "conversations.list", action: "Read"},
		"a person":         {url: slackAPI + "users.info?user=U01SARAH", request: method("GET"), operation: "users.info", action: "Read", resources: "user:U01SARAH"},
		"a person by mail": {url: slackAPI + "users.lookupByEmail", request: sendForm("email=sarah%40acme.example"), operation: "users.lookupByEmail", action: "Read"},
		"a direct message is opened": {url: slackAPI + "conversations.open", request: sendForm("users=U01SARAH,U02LEE&return_im=true"),
			operation: "conversations.open", action: "Write", resources: "user:U01SARAH user:U02LEE"},
		"people are invited, as a list": {url: slackAPI + "conversations.invite", request: sendJSON("POST", `{"channel":"C0SUPPORT","users":["U01SARAH","U02LEE"]}`),
			operation: "conversations.invite", action: "Admin", resources: "channel:C0SUPPORT user:U01SARAH user:U02LEE"},
		"files of a channel": {url: slackAPI + "files.list", request: sendForm("channel=C0SUPPORT&count=20"), operation: "files.list", action: "Read", resources: "channel:C0SUPPORT"},
		"a file":             {url: "files.slack.com/files-pri/T01ACME-F0FILE/download/a.png", request: method("GET"), operation: "files.download", action: "Read", resources: "file:F0FILE"},
		"a dialog": {url: slackAPI + "views.open", request: sendForm("trigger_id=1.2.x&view=" + url.QueryEscape(`{"type":"modal","title":{"type":"plain_text","text":"Hi"},"blocks":[]}`)),
			operation: "views.open", action: "Write"},
	})
}

func TestSlackTraps(t *testing.T) {
	say := func(more string) Request { return sendForm("channel=C0SUPPORT&text=x&" + more) }
	blocks := func(json string) Request { return say("blocks=" + url.QueryEscape(json)) }
	checkTraps(t, builtinT(t), map[string]trap{
		"a user in place of a channel":         {slackAPI + "chat.postMessage", sendForm("channel=U01SARAH&text=x"), "channel"},
		"two channels":                         {slackAPI + "chat.postMessage?channel=C0OTHER", sendForm("channel=C0SUPPORT&text=x"), "two different"},
		"a second channel in other case":       {slackAPI + "chat.postMessage", say("Channel=C0OTHER"), "could be taken for"},
		"a name of somebody else":              {slackAPI + "chat.postMessage", say("username=Sarah"), "username"},
		"as the person":                        {slackAPI + "chat.postMessage", say("as_user=true"), "as_user"},
		"a picture that Slack fetches":         {slackAPI + "chat.postMessage", blocks(`[{"type":"image","image_url":"https://evil.example/?s"}]`), "image_url"},
		"a picture in an icon":                 {slackAPI + "chat.postMessage", blocks(`[{"type":"card","icon":{"type":"image","image_url":"https://evil.example"}}]`), "image_url"},
		"a file of another channel":            {slackAPI + "chat.postMessage", blocks(`[{"type":"image","slack_file":{"id":"F1"}}]`), "slack_file"},
		"a video":                              {slackAPI + "chat.update", sendForm("channel=C0SUPPORT&ts=1&blocks=" + url.QueryEscape(`[{"type":"video","video_url":"https://evil.example"}]`)), "video_url"},
		"sources of a task":                    {slackAPI + "chat.postMessage", blocks(`[{"type":"task_card","sources":[{"url":"https://evil.example"}]}]`), "sources"},
		"a work object":                        {slackAPI + "chat.postMessage", say("metadata=" + url.QueryEscape(`{"entities":[{"url":"https://evil.example"}]}`)), "entities"},
		"files put into a message":             {slackAPI + "chat.update", sendForm("channel=C0SUPPORT&ts=1&file_ids=F1"), "file_ids"},
		"the metadata of others":               {slackAPI + "conversations.history", sendForm("channel=C0SUPPORT&include_all_metadata=true"), "include_all_metadata"},
		"history of nowhere":                   {slackAPI + "conversations.history", sendForm("limit=50"), "names no channel"},
		"history in JSON, which Slack ignores": {slackAPI + "conversations.history", sendJSON("POST", `{"channel":"C0SUPPORT"}`), "content type"},
		"channels of somebody else":            {slackAPI + "users.conversations", sendForm("user=U02LEE"), "user"},
		"files of everywhere":                  {slackAPI + "files.list", sendForm("count=20"), "names no channel"},
		"a reaction to a file":                 {slackAPI + "reactions.add", sendForm("channel=C0SUPPORT&file=F1&name=x"), "file"},
		"search":                               {slackAPI + "search.messages", sendForm("query=secret"), "every channel"},
		"all of an organization":               {slackAPI + "admin.users.list", sendForm(""), "administers"},
		"a stream of everything":               {slackAPI + "rtm.connect", sendForm(""), "no rule of the grant"},
		"later":                                {slackAPI + "chat.scheduleMessage", sendForm("channel=C0SUPPORT&text=x&post_at=1"), "later"},
		"a message that streams":               {slackAPI + "chat.startStream", sendForm("channel=C0SUPPORT"), "previews"},
		"an upload":                            {slackAPI + "files.getUploadURLExternal", sendForm("filename=a&length=1"), "somebody else's"},
		"an upload to an attacker's address":   {"files.slack.com/upload/v1/CwABAAAA", Request{Method: "POST", ContentType: "application/octet-stream", Body: []byte("x")}, "somebody else's"},
		"a file for everybody":                 {slackAPI + "files.sharedPublicURL", sendForm("file=F1"), "everybody"},
		"an end of the token":                  {slackAPI + "auth.revoke", sendForm(""), "token"},
		"a method of nobody's":                 {slackAPI + "chat.command", sendForm("channel=C0SUPPORT"), "not an operation"},
		"the API at the host of files":         {"files.slack.com/chat.postMessage", sendForm("channel=C0SUPPORT"), "not an operation"},
		"a file by another path":               {"files.slack.com/files-tmb/T01ACME-F0FILE/a.png", method("GET"), "not an operation"},
		"a file whose name is none":            {"files.slack.com/files-pri/F0FILE/a.png", method("GET"), "file"},
		"a channel made":                       {slackAPI + "conversations.create", sendForm("name=x"), "no grant lists"},
	})
}
