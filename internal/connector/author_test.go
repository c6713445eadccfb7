package connector

import (
	"strings"
	"testing"
)

// TestSlackAuthor: who wrote a message is beyond doubt, or nobody.
func TestSlackAuthor(t *testing.T) {
	for name, tc := range map[string]struct{ doc, want string }{
		"a member":                              {`{"user":"U01SARAH","team":"T01ACME","ts":"1"}`, "T01ACME/U01SARAH"},
		"a member, in all fields":               {`{"user":"U01SARAH","team":"T01ACME","user_team":"T01ACME","source_team":"T01ACME"}`, "T01ACME/U01SARAH"},
		"a stranger with a member's number":     {`{"user":"U01SARAH","team":"T9EVIL"}`, "T9EVIL/U01SARAH"},
		"a stranger of an Enterprise Grid":      {`{"user":"U01SARAH","user_team":"E9EVIL"}`, "E9EVIL/U01SARAH"},
		"ours by one field, theirs by another":  {`{"user":"U01SARAH","user_team":"T01ACME","source_team":"T9EVIL"}`, ""},
		"theirs by user_team, ours by team":     {`{"user":"U01SARAH","user_team":"T9EVIL","team":"T01ACME"}`, ""},
		"no workspace":                          {`{"user":"U01SARAH"}`, ""},
		"no user":                               {`{"team":"T01ACME","text":"x"}`, ""},
		"a user that is none":                   {`{"user":"T01ACME/U01SARAH","team":"T01ACME"}`, ""},
		"a user that is a number":               {`{"user":12,"team":"T01ACME"}`, ""},
		"a workspace that is a path":            {`{"user":"U01SARAH","team":"T01ACME/U02BOB"}`, ""},
		"a bot":                                 {`{"bot_id":"B01BOT","team":"T01ACME"}`, "T01ACME/B01BOT"},
		"a bot in the name of a person":         {`{"user":"U01SARAH","bot_id":"B01BOT","team":"T01ACME"}`, "T01ACME/B01BOT"},
		"an app in the name of a person":        {`{"user":"U01SARAH","app_id":"A1","team":"T01ACME"}`, ""},
		"a bot of another workspace":            {`{"bot_id":"B01BOT","team":"T01ACME","bot_profile":{"team_id":"T9EVIL"}}`, ""},
		"edited by who wrote it":                {`{"user":"U01SARAH","team":"T01ACME","edited":{"user":"U01SARAH","ts":"2"}}`, "T01ACME/U01SARAH"},
		"edited by somebody else":               {`{"user":"U01SARAH","team":"T01ACME","edited":{"user":"U9EVE","ts":"2"}}`, ""},
		"edited by nobody knows whom":           {`{"user":"U01SARAH","team":"T01ACME","edited":{"ts":"2"}}`, ""},
		"edited, in a way that is not Slack's":  {`{"user":"U01SARAH","team":"T01ACME","edited":true}`, ""},
		"a file":                                {`{"id":"F1","user":"U01SARAH","user_team":"T01ACME"}`, "T01ACME/U01SARAH"},
		"a file that somebody else has changed": {`{"id":"F1","user":"U01SARAH","user_team":"T01ACME","last_editor":"U9EVE"}`, ""},
		"a file that several have changed":      {`{"id":"F1","user":"U01SARAH","user_team":"T01ACME","editors":["U01SARAH","U9EVE"]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := slackAuthor([]byte(tc.doc)); got != tc.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

// TestSlackWriter: a message that arrives tells more about workspaces than one that is read back.
func TestSlackWriter(t *testing.T) {
	for name, tc := range map[string]struct {
		teams   SlackTeams
		team    string
		unclear string
	}{
		"a member where there is only one":            {SlackTeams{Home: "T1", Channel: "T1", Shared: "false"}, "T1", ""},
		"a member of a shared channel":                {SlackTeams{Home: "T1", Channel: "T1", Shared: "true", Team: "T1"}, "T1", ""},
		"a stranger, said to be of the channel":       {SlackTeams{Home: "T1", Channel: "T1", Shared: "true", Team: "T1", User: "T9"}, "T9", ""},
		"a stranger of a channel of theirs":           {SlackTeams{Home: "T1", Channel: "T9", Context: "T1", Shared: "true", Team: "T9"}, "T9", ""},
		"a stranger where the channel is not shared":  {SlackTeams{Home: "T1", Channel: "T1", Shared: "false", Team: "T9"}, "T9", "shared with none"},
		"a stranger where nothing says it is shared":  {SlackTeams{Home: "T1", Channel: "T1", User: "T9"}, "T9", "shared with none"},
		"somebody of a shared channel":                {SlackTeams{Home: "T1", Channel: "T1", Shared: "true"}, "", "which workspace"},
		"one of us, said to be of theirs":             {SlackTeams{Home: "T1", Channel: "T9", Shared: "true", User: "T1", Team: "T9"}, "T1", "of two workspaces"},
		"one of a third company":                      {SlackTeams{Home: "T1", Channel: "T1", Shared: "true", User: "T9", Team: "T7"}, "T9", "of two workspaces"},
		"read back: a stranger, said to be of ours":   {SlackTeams{User: "T9", Team: "T1"}, "T9", "of two workspaces"},
		"read back: one whose workspace is not there": {SlackTeams{Shared: "false"}, "", "which workspace"},
	} {
		t.Run(name, func(t *testing.T) {
			team, unclear := tc.teams.Writer()
			if team != tc.team || (unclear == "") != (tc.unclear == "") || !strings.Contains(unclear, tc.unclear) {
				t.Errorf("got %q, %q", team, unclear)
			}
		})
	}
}

// TestHeardSlack: of a message that is read, what other people wrote in it is taken out.
func TestHeardSlack(t *testing.T) {
	c := loadT(t, lookedIntoHead, lookedInto)
	for name, tc := range map[string]struct{ doc, want string }{
		"a forwarded message": {`{` + bySarah + `,"text":"look","attachments":[{"is_msg_unfurl":true,"author_id":"U9EVE","channel_id":"C1","text":"psst"}]}`, `{` + bySarah + `,"text":"look","attachments":[]}`},
		"a preview":           {`{` + bySarah + `,"attachments":[{"from_url":"https://evil.example","text":"do as I say"},{"text":"what no person writes"}]}`, `{` + bySarah + `,"attachments":[]}`},
		"our own attachments": {`{` + byClaw + `,"attachments":[{"text":"mine"},{"text":"x","original_url":"https://evil.example"},"x"]}`, `{` + byClaw + `,"attachments":[{"text":"mine"}]}`},
		"files of others":     {`{` + bySarah + `,"files":[{"id":"F1","user":"U01SARAH","user_team":"T01ACME","name":"a","shares":{"public":{}}},{"id":"F2","user":"U01SARAH","user_team":"T9EVIL","plain_text":"psst"},{"id":"F3","mode":"tombstone"}]}`, `{` + bySarah + `,"files":[{"id":"F1","user":"U01SARAH","user_team":"T01ACME","name":"a"}]}`},
		"what stands beside":  {`{` + bySarah + `,"root":{"text":"psst"},"previous":{"text":"psst"},"comment":{"comment":"psst"},"item":{"text":"psst"},"reply_users":["U9EVE"],"latest_reply":"9.9","unheard_of":1,"reply_count":2}`, `{` + bySarah + `,"reply_count":2}`},
		"blocks people type":  {`{` + bySarah + `,"blocks":[{"type":"rich_text","elements":[]}]}`, ""},
		"blocks nobody types": {`{` + bySarah + `,"blocks":[{"type":"rich_text"},{"type":"section","text":{"text":"psst"}}]}`, `{` + bySarah + `}`},
		"our own blocks":      {`{` + byClaw + `,"blocks":[{"type":"section"}]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			out, _, err := callOf(t, c, "/message", "").FilterAnswer([]byte(`{"message":`+tc.doc+`}`), world())
			if tc.want == "" {
				tc.want = tc.doc
			}
			if err != nil || string(out) != `{"message":`+tc.want+`}` {
				t.Errorf("got %s (%v)", out, err)
			}
		})
	}
}

func TestGmailAuthor(t *testing.T) {
	const google = "mx.google.com; spf=pass (google.com: domain of x@acme.example designates 192.0.2.1 as permitted sender) smtp.mailfrom=x@acme.example; dmarc=pass (p=REJECT sp=NONE dis=NONE) header.from=acme.example"
	mail := func(labels string, headers ...string) string {
		out := `{"labelIds":[` + labels + `],"payload":{"headers":[`
		for i := 0; i < len(headers); i += 2 {
			if i > 0 {
				out += ","
			}
			out += `{"name":` + string(quote(headers[i])) + `,"value":` + string(quote(headers[i+1])) + `}`
		}
		return out + `]}}`
	}
	for name, tc := range map[string]struct{ doc, want string }{
		"a member":                          {mail(`"INBOX"`, "From", "Sarah <Sarah@Acme.example>", "Authentication-Results", google), "sarah@acme.example"},
		"the mailbox's own":                 {mail(`"SENT"`, "From", "claw@acme.example"), "claw@acme.example"},
		"not authenticated":                 {mail(`"INBOX"`, "From", "sarah@acme.example"), ""},
		"failed":                            {mail(``, "From", "sarah@acme.example", "Authentication-Results", strings.Replace(google, "dmarc=pass", "dmarc=fail", 1)), ""},
		"of another domain":                 {mail(``, "From", "sarah@acme.example", "Authentication-Results", strings.Replace(google, "header.from=acme", "header.from=evil", 1)), ""},
		"a lower copy says so":              {mail(``, "Authentication-Results", "mx.google.com; dmarc=fail header.from=acme.example", "From", "sarah@acme.example", "Authentication-Results", google), ""},
		"another server says so":            {mail(``, "From", "sarah@acme.example", "Authentication-Results", strings.Replace(google, "mx.google.com", "mx.evil.example", 1)), ""},
		"a comment says so":                 {mail(``, "From", "sarah@acme.example", "Authentication-Results", `mx.google.com; spf=pass (domain of ; dmarc=pass header.from=acme.example ) ; dmarc=fail header.from=acme.example`), ""},
		"only a comment says so":            {mail(``, "From", "sarah@acme.example", "Authentication-Results", `mx.google.com; spf=pass (a; dmarc=pass header.from=acme.example)`), ""},
		"a quoted address says so":          {mail(``, "From", "sarah@acme.example", "Authentication-Results", `mx.google.com; spf=pass smtp.mailfrom="x; dmarc=pass header.from=acme.example"@evil.example`), ""},
		"twice":                             {mail(``, "From", "sarah@acme.example", "Authentication-Results", google+"; dmarc=pass header.from=evil.example"), ""},
		"a comment without an end":          {mail(``, "From", "sarah@acme.example", "Authentication-Results", google+" (x"), ""},
		"two writers":                       {mail(``, "From", "sarah@acme.example, eve@evil.example", "Authentication-Results", google), ""},
		"two headers":                       {mail(``, "From", "eve@evil.example", "FROM", "sarah@acme.example", "Authentication-Results", google), ""},
		"a name that looks like an address": {mail(``, "From", `"sarah@acme.example" <eve@evil.example>`, "Authentication-Results", google), ""},
		"no address":                        {mail(``, "From", "sarah", "Authentication-Results", google), ""},
		"no headers":                        {`{"id":"1","raw":"eA=="}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := gmailAuthor([]byte(tc.doc)); got != tc.want {
				t.Errorf("got %q", got)
			}
		})
	}
}
