package inbound

import "github.com/clawstaff/clawstaff/internal/connector"

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

// originOf reads the workspaces of a message: by the same rules as where the agent reads it back.
func originOf(top, event *fields, team string) origin {
	context := top.text("context_team_id")
	teams := connector.SlackTeams{
		Home: homeOf(top, context, team), Channel: team, Context: context, Shared: string(top.raw["is_ext_shared_channel"]),
		Team: event.text("team"), Source: event.text("source_team"), User: event.text("user_team"),
	}
	o := origin{home: teams.Home}
	o.writer, o.unclear = teams.Writer()
	return o
}

// homeOf is where our app is installed.
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
