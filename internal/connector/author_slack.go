package connector

import (
	"regexp"
	"slices"
)

// Slack numbers users by workspace, so that who wrote a message is a user of a workspace, and in a channel shared by
// several companies (Slack Connect) any of its fields may name any of them:
//
//	team         the writer's, but sometimes ours when a stranger wrote; missing from some messages
//	user_team    the writer's, if he is none of ours; the id of an Enterprise Grid begins with E
//	source_team  the same, of the message

// SlackTeams are the workspaces that are named with a message of Slack.
type SlackTeams struct {
	// Home is where our app is installed; empty in answers, which do not tell it.
	Home string
	// Channel is whose channel it is, and Context where the message was got, of an event.
	Channel, Context string
	// Shared is "true" or "false" where it is known whether the channel is shared with other companies.
	Shared string
	// Team, Source and User are named by the message itself.
	Team, Source, User string
}

// Writer returns the workspace, or Enterprise Grid, of who wrote the message, and why there is no telling who that was.
// What contradicts itself, or what leaves it to us to guess where somebody belongs, is of nobody: an outsider's user id
// may be that of a member.
func (t SlackTeams) Writer() (team, unclear string) {
	team = firstOf(t.User, t.Source, t.Team)
	switch {
	case t.Home != "" && t.Shared != "true" && !allOf(t.Home, t.Channel, t.Context, t.Team, t.Source, t.User):
		return team, "this was written by somebody of another workspace, or in another, though the channel is shared with none"
	case team == "" && t.Home != "" && t.Shared == "false":
		return t.Channel, "" // it may be left out where there is only one
	case team == "":
		return team, "this does not say which workspace who wrote it belongs to"
	case !allOf(team, t.Source, t.User), t.Team != "" && t.Team != team && t.strange(team):
		return team, "this says of two workspaces that who wrote it belongs to them"
	}
	return team, ""
}

// strange reports whether the workspace of a message may not be another than its writer's. It may be ours, or that of
// the channel, when a stranger wrote; where we do not know which that is, it may not.
func (t SlackTeams) strange(writer string) bool {
	return t.Home == "" || writer == t.Home || t.Team != t.Home && t.Team != t.Channel
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// allOf reports whether every value that is there is the same.
func allOf(same string, values ...string) bool {
	return !slices.ContainsFunc(values, func(v string) bool { return v != "" && v != same })
}

var slackID = regexp.MustCompile(`^[A-Z0-9]{2,32}$`)

// slackAuthor returns who wrote a message or a file, as the directory spells it: T01ACME/U01SARAH, or T01ACME/B01BOT for
// a bot or an app, which nobody but the Claw itself is heard as. It is empty where that is not beyond doubt, and so for
// what somebody else has edited.
func slackAuthor(value []byte) string {
	team, unclear := SlackTeams{
		Team: textOfMember(value, "team"), Source: textOfMember(value, "source_team"), User: textOfMember(value, "user_team"),
	}.Writer()
	user := textOfMember(value, "user")
	id := user
	if isSlackBot(value) {
		id = textOfMember(value, "bot_id")
		if of := textOfMember(memberOf(value, "bot_profile"), "team_id"); of != "" && of != team {
			return ""
		}
	}
	if unclear != "" || !slackID.MatchString(team) || !slackID.MatchString(id) {
		return ""
	}
	if edited := memberOf(value, "edited"); hasMember(value, "edited") && textOfMember(edited, "user") != user {
		return ""
	}
	for _, key := range []string{"editor", "last_editor"} { // of files
		if hasMember(value, key) && textOfMember(value, key) != user {
			return ""
		}
	}
	for e := range elementsOf(memberOf(value, "editors")) {
		if by, _ := textOf(e); by != user {
			return ""
		}
	}
	return team + "/" + id
}

// isSlackBot reports whether a bot or an app wrote it, be it in the name of a person.
func isSlackBot(value []byte) bool {
	return hasMember(value, "bot_id") || hasMember(value, "bot_profile") || hasMember(value, "app_id")
}

func isSlackMessage(value []byte) bool {
	return textOfMember(value, "type") == "message" || memberOf(value, "ts") != nil
}

// slackKnown are the members of a message that hold what its writer did, or what Slack says of it. Others may hold what
// other people wrote: the root of a thread, the messages beside one that was found, a comment on a file.
var slackKnown = map[string]bool{
	"type": true, "subtype": true, "user": true, "bot_id": true, "app_id": true, "bot_profile": true, "username": true, "icons": true,
	"text": true, "blocks": true, "ts": true, "thread_ts": true, "parent_user_id": true, "reply_count": true, "subscribed": true,
	"last_read": true, "unread_count": true, "is_locked": true, "is_starred": true, "edited": true, "team": true, "user_team": true,
	"source_team": true, "user_profile": true, "client_msg_id": true, "reactions": true, "pinned_to": true, "permalink": true,
	"channel": true, "iid": true, "score": true, "upload": true, "display_as_bot": true, "metadata": true, "inviter": true,
	"topic": true, "purpose": true, "name": true, "old_name": true, "files": true, "attachments": true,
}

// slackOfOthers are members of a file in which other people write.
var slackOfOthers = map[string]bool{"initial_comment": true, "comments": true, "shares": true, "reactions": true, "pinned_info": true}

// heardSlack returns what of a message, or of a file, its writer wrote; nil where the Claw would not hear that one.
func (f *filtering) heardSlack(value []byte, channel string) []byte {
	if !f.sight.author(slackAuthor(value), channel) {
		return nil
	}
	isMessage := isSlackMessage(value)
	w := openWith(make([]byte, 0, len(value)), '{')
	eachMember(value, func(whole []byte, key string, inner []byte) bool {
		before := keyOf(whole, inner)
		switch {
		case isMessage && !slackKnown[key], !isMessage && slackOfOthers[key]:
			if key == "root" || key == "comment" || key == "comments" || key == "initial_comment" {
				f.removed++
			}
			return true
		case isMessage && key == "files":
			inner = f.keep(inner, func(file []byte) []byte { return f.heardSlack(file, channel) })
		case isMessage && key == "attachments":
			inner = f.keep(inner, func(attachment []byte) []byte { return slackOwn(value, attachment) })
		case isMessage && key == "blocks" && !isSlackBot(value) && !isTyped(inner):
			return true
		}
		w.out = append(append(w.next(), before...), inner...)
		return true
	})
	return append(w.out, '}')
}

// keep returns a list without what is not kept of it. What is no list, or an element that is no object, goes whole.
func (f *filtering) keep(list []byte, kept func([]byte) []byte) []byte {
	w := openWith(make([]byte, 0, len(list)), '[')
	for e := range elementsOf(list) {
		if e[0] == '{' {
			e = kept(e)
		} else {
			e = nil
		}
		if e == nil {
			f.removed++
			continue
		}
		w.out = append(w.next(), e...)
	}
	return append(w.out, ']')
}

// slackForeign are members of attachments that hold words from elsewhere: previews of pages, forwarded messages.
var slackForeign = []string{"from_url", "original_url", "app_unfurl_url", "is_app_unfurl", "is_msg_unfurl", "is_share", "author_id", "message_blocks", "msg_subtype", "channel_id", "files"}

// slackOwn returns an attachment that an app wrote itself. People do not write any: theirs are previews and forwarded
// messages, which do not tell of which workspace who wrote those is.
func slackOwn(message, attachment []byte) []byte {
	if !isSlackBot(message) || slices.ContainsFunc(slackForeign, func(key string) bool { return hasMember(attachment, key) }) {
		return nil
	}
	return attachment
}

// isTyped reports whether blocks are what people type, in which they cannot hide anything else.
func isTyped(blocks []byte) bool {
	for b := range elementsOf(blocks) {
		if textOfMember(b, "type") != "rich_text" {
			return false
		}
	}
	return blocks[0] == '['
}
