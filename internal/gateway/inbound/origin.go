package inbound

// Slack numbers users by workspace, so that who wrote a message is a user of a workspace, and in a
// channel shared by several companies (Slack Connect) any of its fields may name any of them:
//
//	authorizations[].team_id   where our app is installed
//	context_team_id            the same, where there is no authorization
//	team_id                    whose channel it is: the other company's, if they have created it
//	event.team                 the writer's, but sometimes ours when a stranger wrote; missing from some events
//	event.user_team            the writer's, if he is none of ours; the id of an Enterprise Grid begins with E
//	event.source_team          the same, of the message

// origin is between whom a message was exchanged.
type origin struct {
	home    string // the workspace through which our app got it
	writer  string // the workspace, or Enterprise Grid, of who wrote it
	unclear string // why there is no telling who that was
}

// outside is the writer's workspace if it is not ours, as Slack's own software expects it in an event.
func (o origin) outside() string {
	if o.writer == o.home {
		return ""
	}
	return o.writer
}

// originOf reads the workspaces of a message. What contradicts itself, or what leaves it to us to
// guess where somebody belongs, is of nobody: an outsider's user id may be that of a member.
func originOf(top, event *fields, team string) origin {
	context := top.text("context_team_id")
	from, source, user := event.text("team"), event.text("source_team"), event.text("user_team")
	o := origin{home: homeOf(top, context, team), writer: firstOf(user, source, from)}
	flag := string(top.raw["is_ext_shared_channel"])
	ours := allOf(o.home, team, context, from, source, user)
	switch {
	case flag != "true" && !ours:
		o.unclear = "this was written by somebody of another workspace, or in another, though the channel is shared with none"
	case o.writer == "" && flag == "false":
		o.writer = team // it may be left out where there is only one
	case o.writer == "":
		o.unclear = "this does not say which workspace who wrote it belongs to"
	case !allOf(o.writer, source, user), from != "" && from != o.writer && (o.writer == o.home || from != o.home && from != team):
		o.unclear = "this says of two workspaces that who wrote it belongs to them"
	}
	return o
}

func homeOf(top *fields, context, team string) string {
	for _, raw := range top.list("authorizations") {
		if a, err := readFields(raw); err == nil && slackID.MatchString(a.text("team_id")) {
			return a.text("team_id")
		}
	}
	if slackID.MatchString(context) {
		return context
	}
	return team
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
	for _, v := range values {
		if v != "" && v != same {
			return false
		}
	}
	return true
}
