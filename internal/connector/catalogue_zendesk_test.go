package connector

import "testing"

const (
	zendeskSite = "connector: zendesk\nfrom: zendesk\nhosts: [{host: acme.zendesk.com, base: /api/v2}]"
	zendeskAPI  = "acme.zendesk.com/api/v2/"
)

// What node-zendesk and Python's clients send: paths with .json at the end, and without.
func TestZendeskRequests(t *testing.T) {
	checkAsked(t, instance(t, zendeskSite), map[string]asked{
		"who am I":         {url: zendeskAPI + "users/me.json", request: method("GET"), operation: "users.me.json", action: "Read"},
		"tickets":          {url: zendeskAPI + "tickets.json?per_page=100&page=2", request: method("GET"), operation: "tickets.list.json", action: "Read"},
		"a ticket":         {url: zendeskAPI + "tickets/35436.json", request: method("GET"), operation: "tickets.get", action: "Read", resources: "ticket:35436"},
		"without .json":    {url: zendeskAPI + "tickets/35436", request: method("GET"), operation: "tickets.get", action: "Read", resources: "ticket:35436"},
		"its comments":     {url: zendeskAPI + "tickets/35436/comments.json", request: method("GET"), operation: "tickets.comments.json", action: "Read", resources: "ticket:35436"},
		"a comment is PUT": {url: zendeskAPI + "tickets/35436.json", request: sendJSON("PUT", `{"ticket":{"comment":{"body":"Thanks","public":false}}}`), operation: "tickets.update", action: "Write", resources: "ticket:35436"},
		"a status":         {url: zendeskAPI + "tickets/35436", request: sendJSON("PUT", `{"ticket":{"id":35436,"status":"solved","tags":["a"]}}`), operation: "tickets.update", action: "Write", resources: "ticket:35436"},
		"of a problem":     {url: zendeskAPI + "tickets/35436", request: sendJSON("PUT", `{"ticket":{"problem_id":33}}`), operation: "tickets.update", action: "Write", resources: "ticket:35436 ticket:33"},
		"a new ticket":     {url: zendeskAPI + "tickets.json", request: sendJSON("POST", `{"ticket":{"subject":"x","comment":{"body":"y"}}}`), operation: "tickets.create.json", action: "Write", resources: "ticket:new"},
		"for a customer":   {url: zendeskAPI + "tickets", request: sendJSON("POST", `{"ticket":{"comment":{"body":"y"},"requester":{"name":"Bob","email":"Bob@Customers.example"}}}`), operation: "tickets.create", action: "Write", resources: "ticket:new recipient:bob@customers.example"},
		"for a known one":  {url: zendeskAPI + "tickets", request: sendJSON("POST", `{"ticket":{"comment":{"body":"y"},"requester_id":77}}`), operation: "tickets.create", action: "Write", resources: "ticket:new user:77"},
		"a merge of two":   {url: zendeskAPI + "tickets/1/merge.json", request: sendJSON("POST", `{"ids":[2,3],"target_comment":"x"}`), operation: "tickets.merge.json", action: "Write", resources: "ticket:1 ticket:2 ticket:3"},
		"a deletion":       {url: zendeskAPI + "tickets/35436.json", request: method("DELETE"), operation: "tickets.delete", action: "Delete", resources: "ticket:35436"},
		"a search":         {url: zendeskAPI + "search.json?query=type%3Aticket+printer", request: method("GET"), operation: "search.json", action: "Read"},
		"who asked":        {url: zendeskAPI + "users/77.json", request: method("GET"), operation: "users.get", action: "Read", resources: "user:77"},
	})
}

func TestZendeskTraps(t *testing.T) {
	put := func(ticket string) Request { return sendJSON("PUT", `{"ticket":{`+ticket+`}}`) }
	checkTraps(t, instance(t, zendeskSite), map[string]trap{
		"many tickets":           {zendeskAPI + "tickets/update_many.json?ids=1,2", sendJSON("PUT", `{"ticket":{}}`), "one by one"},
		"many deleted":           {zendeskAPI + "tickets/destroy_many?ids=1,2", method("DELETE"), "one by one"},
		"several in one":         {zendeskAPI + "tickets/1", sendJSON("PUT", `{"tickets":[{"id":2}]}`), "tickets"},
		"somebody copied in":     {zendeskAPI + "tickets/1", put(`"email_ccs":[{"user_email":"evil@evil.example"}]`), "email_ccs"},
		"a collaborator":         {zendeskAPI + "tickets/1", put(`"additional_collaborators":["evil@evil.example"]`), "additional_collaborators"},
		"another asks":           {zendeskAPI + "tickets/1", put(`"requester_id":9`), "requester_id"},
		"another asks, by mail":  {zendeskAPI + "tickets/1.json", put(`"requester":{"email":"evil@evil.example"}`), "requester"},
		"a comment of another":   {zendeskAPI + "tickets/1", put(`"comment":{"body":"x","author_id":9}`), "author_id"},
		"a file of nobody's":     {zendeskAPI + "tickets/1", put(`"comment":{"body":"x","uploads":["t"]}`), "uploads"},
		"shared with others":     {zendeskAPI + "tickets/1", put(`"sharing_agreement_ids":[1]`), "sharing_agreement_ids"},
		"deleted by a change":    {zendeskAPI + "tickets/1", put(`"status":"deleted"`), "status"},
		"another ticket inside":  {zendeskAPI + "tickets/1", put(`"id":2,"status":"open"`), "two different"},
		"no number":              {zendeskAPI + "tickets/recent", method("GET"), "ticket"},
		"people":                 {zendeskAPI + "users.json", method("GET"), "everybody"},
		"a search for people":    {zendeskAPI + "users/search?query=a", method("GET"), "nothing to do with"},
		"everything at once":     {zendeskAPI + "incremental/tickets.json?start_time=1", method("GET"), "at once"},
		"a webhook":              {zendeskAPI + "webhooks", sendJSON("POST", `{}`), "another address"},
		"more than was asked":    {zendeskAPI + "tickets?include=users", method("GET"), "include"},
		"a ticket of a new name": {zendeskAPI + "tickets/new", method("GET"), "ticket"},
		"a mail that is two":     {zendeskAPI + "tickets", sendJSON("POST", `{"ticket":{"requester":{"email":"a@customers.example, b@evil.example"}}}`), "recipient"},
		"two keys of one ticket": {zendeskAPI + "tickets/1", sendJSON("PUT", `{"ticket":{},"ticket":{"status":"open"}}`), ""},
	})
}
