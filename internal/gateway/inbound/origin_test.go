package inbound

import (
	"strings"
	"testing"
)

// TestActor: in a channel shared with another company, everybody is a user of his own workspace, and
// whoever could be of another is nobody.
func TestActor(t *testing.T) {
	const unclear, two, elsewhere = "does not say which workspace", "of two workspaces", "the channel is shared with none"
	ours, theirs := []any{object{"team_id": "T1ACME", "user_id": "U0CLAW", "is_bot": true}}, []any{object{"team_id": "T9EVIL"}}
	shared := object{"is_ext_shared_channel": true, "authorizations": ours}
	hosted := object{"is_ext_shared_channel": true, "authorizations": ours, "team_id": "T9EVIL", "context_team_id": "T1ACME"} // they have made the channel
	alone := object{"is_ext_shared_channel": false, "authorizations": ours}
	for name, tt := range map[string]struct {
		top   object
		event object // nil values are left out
		actor string
		drop  string
	}{
		"a member":                                        {alone, nil, "T1ACME/U1SARAH", ""},
		"a member, fields left out":                       {alone, object{"team": nil}, "T1ACME/U1SARAH", ""},
		"a member, in a shared channel":                   {shared, nil, "T1ACME/U1SARAH", ""},
		"a member, in a channel of theirs":                {hosted, nil, "T1ACME/U1SARAH", ""},
		"a member, in all fields":                         {hosted, object{"user_team": "T1ACME", "source_team": "T1ACME"}, "T1ACME/U1SARAH", ""},
		"a stranger with a member's number":               {shared, object{"team": "T9EVIL"}, "T9EVIL/U1SARAH", ""},
		"the same, in a channel of theirs":                {hosted, object{"team": "T9EVIL"}, "T9EVIL/U1SARAH", ""},
		"the same, by user_team":                          {shared, object{"user_team": "T9EVIL"}, "T9EVIL/U1SARAH", ""},
		"the same, by source_team":                        {shared, object{"source_team": "T9EVIL"}, "T9EVIL/U1SARAH", ""},
		"the same, by all of them":                        {hosted, object{"team": "T9EVIL", "user_team": "T9EVIL", "source_team": "T9EVIL"}, "T9EVIL/U1SARAH", ""},
		"a stranger of a third company":                   {hosted, object{"team": "T7OTHER"}, "T7OTHER/U1SARAH", ""},
		"a stranger of an Enterprise Grid":                {shared, object{"user_team": "E9EVIL"}, "E9EVIL/U1SARAH", ""},
		"somebody, fields left out, in a shared channel":  {shared, object{"team": nil}, "", unclear},
		"somebody, fields left out, in a channel of them": {hosted, object{"team": nil}, "", unclear},
		"somebody, fields left out, of nobody's channel":  {object{"authorizations": ours}, object{"team": nil}, "", unclear},
		"ours by user_team, not by source_team":           {shared, object{"user_team": "T1ACME", "source_team": "T9EVIL"}, "T1ACME/U1SARAH", two},
		"theirs by user_team, ours by source_team":        {shared, object{"user_team": "T9EVIL", "source_team": "T1ACME"}, "T9EVIL/U1SARAH", two},
		"ours by user_team, not by team":                  {hosted, object{"user_team": "T1ACME", "team": "T9EVIL"}, "T1ACME/U1SARAH", two},
		"of two companies":                                {shared, object{"user_team": "T9EVIL", "team": "T7OTHER"}, "T9EVIL/U1SARAH", two},
		"a stranger, in a channel of ours":                {alone, object{"team": "T9EVIL"}, "T9EVIL/U1SARAH", elsewhere},
		"a member, installed elsewhere":                   {object{"is_ext_shared_channel": false, "authorizations": theirs}, nil, "T1ACME/U1SARAH", elsewhere},
		"shared, as it is not said":                       {object{"authorizations": ours}, object{"user_team": "T9EVIL"}, "T9EVIL/U1SARAH", elsewhere},
		"shared, as is not a word of Slack's":             {object{"is_ext_shared_channel": "true", "authorizations": ours}, object{"user_team": "T9EVIL"}, "T9EVIL/U1SARAH", elsewhere},
		"a workspace that is none":                        {shared, object{"team": "T1ACME/U1SARAH"}, "", "names no person"},
	} {
		t.Run(name, func(t *testing.T) {
			e := event("Ev1", tt.event)
			for k, v := range tt.top {
				e[k] = v
			}
			inner := e["event"].(object)
			for k, v := range tt.event {
				if v == nil {
					delete(inner, k)
				}
			}
			got, err := parseSlack(encode(t, e))
			if err != nil {
				t.Fatal(err)
			}
			if got.actor != tt.actor || (got.drop == "") != (tt.drop == "") || !strings.Contains(got.drop, tt.drop) || (got.toAgent == nil) != (tt.drop != "") {
				t.Errorf("actor %q, drop %q", got.actor, got.drop)
			}
		})
	}
}

// TestOutsiderForAgent: the agent's own software sees that it is an outsider, and by which
// installation the message has come.
func TestOutsiderForAgent(t *testing.T) {
	e := event("Ev1", object{"user": "U9EVE", "team": "T9EVIL"})
	e["team_id"], e["is_ext_shared_channel"] = "T9EVIL", true
	e["authorizations"] = []any{object{"team_id": "T1ACME", "user_id": "U0CLAW", "is_bot": true}}
	got, err := parseSlack(encode(t, e))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"team_id":"T1ACME","api_app_id"`, `"authorizations":[{"enterprise_id":null,"team_id":"T1ACME","user_id":"U0CLAW"`,
		`"is_ext_shared_channel":true`, `"team":"T9EVIL","user_team":"T9EVIL","source_team":"T9EVIL"`,
	} {
		if !strings.Contains(string(got.toAgent), want) {
			t.Errorf("%s is not in %s", want, got.toAgent)
		}
	}
}
