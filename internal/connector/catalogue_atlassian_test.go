package connector

import "testing"

const (
	jiraSite       = "connector: jira\nfrom: jira\nhosts: [{host: acme.atlassian.net, base: /rest}, {host: api.atlassian.com, base: /ex/jira/11-22/rest}]"
	confluenceSite = "connector: confluence\nfrom: confluence\nhosts: [{host: acme.atlassian.net, base: /wiki}]"
	jiraAPI        = "acme.atlassian.net/rest/api/3/"
	wikiAPI        = "acme.atlassian.net/wiki/api/v2/"
)

// What jira.js sends.
func TestJiraRequests(t *testing.T) {
	checkAsked(t, instance(t, jiraSite, confluenceSite), map[string]asked{
		"who am I":   {url: jiraAPI + "myself", request: method("GET"), operation: "myself", action: "Read"},
		"an issue":   {url: jiraAPI + "issue/SUP-12?fields=summary,comment&expand=changelog", request: method("GET"), operation: "issues.get", action: "Read", resources: "project:sup"},
		"by the API": {url: "api.atlassian.com/ex/jira/11-22/rest/api/3/issue/SUP-12", request: method("GET"), operation: "issues.get", action: "Read", resources: "project:sup"},
		"small letters": {url: "acme.atlassian.net/rest/api/2/issue/sup-12", request: method("GET"), operation: "issues.get", action: "Read",
			resources: "project:sup"},
		"a new issue": {url: jiraAPI + "issue", request: sendJSON("POST", `{"fields":{"project":{"key":"SUP"},"summary":"x","issuetype":{"name":"Bug"}}}`),
			operation: "issues.create", action: "Write", resources: "project:sup"},
		"below another": {url: jiraAPI + "issue", request: sendJSON("POST", `{"fields":{"project":{"key":"SUP"},"parent":{"key":"OPS-1"},"issuetype":{"name":"Task"}}}`),
			operation: "issues.create", action: "Write", resources: "project:sup project:ops"},
		"a change": {url: jiraAPI + "issue/SUP-12?notifyUsers=false", request: sendJSON("PUT", `{"update":{"labels":[{"add":"x"}]}}`), operation: "issues.edit", action: "Write", resources: "project:sup"},
		"a comment": {url: jiraAPI + "issue/SUP-12/comment", request: sendJSON("POST", `{"body":{"type":"doc","version":1,"content":[]}}`),
			operation: "comments.create", action: "Write", resources: "project:sup"},
		"a transition":  {url: jiraAPI + "issue/SUP-12/transitions", request: sendJSON("POST", `{"transition":{"id":"31"}}`), operation: "issues.transition", action: "Write", resources: "project:sup"},
		"a deletion":    {url: jiraAPI + "issue/SUP-12?deleteSubtasks=true", request: method("DELETE"), operation: "issues.delete", action: "Delete", resources: "project:sup"},
		"a link of two": {url: jiraAPI + "issueLink", request: sendJSON("POST", `{"type":{"name":"Blocks"},"inwardIssue":{"key":"SUP-1"},"outwardIssue":{"key":"OPS-2"}}`), operation: "issueLinks.create", action: "Write", resources: "project:sup project:ops"},
		"a search with GET": {url: jiraAPI + "search/jql?jql=project+%3D+SUP+AND+status+%3D+%22In+Progress%22+ORDER+BY+created+DESC&maxResults=50", request: method("GET"),
			operation: "issues.search", action: "Read", resources: "project:sup"},
		"a search with POST reads": {url: jiraAPI + "search/jql",
			request:   sendJSON("POST", `{"jql":"project = \"SUP\" and (text ~ \"printer\" or labels = urgent) and assignee = currentUser() and created >= -7d and resolution is empty","fields":["summary"]}`),
			operation: "issues.search", action: "Read", resources: "project:sup"},
		"a search in a list": {url: jiraAPI + "search/jql", request: sendJSON("POST", `{"jql":"project=SUP AND status NOT IN (Done, \"Won't do\")"}`), operation: "issues.search", action: "Read", resources: "project:sup"},
		"projects":           {url: jiraAPI + "project/search?maxResults=50", request: method("GET"), operation: "projects.search", action: "Read"},
		"a project":          {url: jiraAPI + "project/SUP", request: method("GET"), operation: "projects.get", action: "Read", resources: "project:sup"},
		"who may be assigned": {url: jiraAPI + "user/assignable/search?project=SUP&query=sa", request: method("GET"), operation: "users.assignable", action: "Read",
			resources: "project:sup"},
	})
}

func TestJiraTraps(t *testing.T) {
	search := func(jql string) Request { return sendJSON("POST", `{"jql":"`+jql+`"}`) }
	create := func(fields string) Request { return sendJSON("POST", `{"fields":{"project":{"key":"SUP"}`+fields+`}}`) }
	checkTraps(t, instance(t, jiraSite), map[string]trap{
		"a number hides the project":      {jiraAPI + "issue/10010", method("GET"), "project"},
		"a project by number":             {jiraAPI + "project/10010", method("GET"), "project"},
		"a new issue's project by number": {jiraAPI + "issue", sendJSON("POST", `{"fields":{"project":{"id":"10010"}}}`), "fields.project.id"},
		"by key and number":               {jiraAPI + "issue", sendJSON("POST", `{"fields":{"project":{"key":"SUP","id":"10010"}}}`), "fields.project.id"},
		"below a number":                  {jiraAPI + "issue", create(`,"parent":{"id":"10010"}`), "fields.parent.id"},
		"links made with the issue":       {jiraAPI + "issue", sendJSON("POST", `{"fields":{"project":{"key":"SUP"}},"update":{"issuelinks":[]}}`), "update"},
		"moved by a change":               {jiraAPI + "issue/SUP-12", sendJSON("PUT", `{"fields":{"project":{"key":"OPS"}}}`), "fields.project"},
		"linked by a change":              {jiraAPI + "issue/SUP-12", sendJSON("PUT", `{"update":{"issuelinks":[{"add":{}}]}}`), "update.issuelinks"},
		"a link by numbers":               {jiraAPI + "issueLink", sendJSON("POST", `{"type":{"name":"x"},"inwardIssue":{"key":"SUP-1"},"outwardIssue":{"id":"10010"}}`), "outwardIssue"},
		"a search of everything":          {jiraAPI + "search/jql", search(`text ~ secret`), "project"},
		"a search that begins well":       {jiraAPI + "search/jql", search(`project = SUP OR project = OPS`), "project"},
		"or in a value":                   {jiraAPI + "search/jql", search(`project = SUP AND status = Open OR text ~ secret`), "project"},
		"or behind a bracket":             {jiraAPI + "search/jql", search(`project = SUP AND (status = Open) OR (text ~ secret)`), "project"},
		"a bracket that closes early":     {jiraAPI + "search/jql", search(`project = SUP AND (status = Open) or text ~ (secret)`), "project"},
		"a quote that hides the end":      {jiraAPI + "search/jql", search(`project = SUP AND summary ~ \"a\\\" OR text ~ \"b\"`), "project"},
		"a field of several words":        {jiraAPI + "search/jql", search(`project = SUP AND a OR text ~ b`), "project"},
		"or as a symbol":                  {jiraAPI + "search/jql", search(`project = SUP | project = OPS`), "project"},
		"not this project":                {jiraAPI + "search/jql", search(`project != SUP`), "project"},
		"several projects":                {jiraAPI + "search/jql", search(`project in (SUP, OPS)`), "project"},
		"two searches":                    {jiraAPI + "search/jql?jql=project%3DOPS", search(`project = SUP`), "two different"},
		"the old search":                  {jiraAPI + "search?jql=project%3DSUP", method("GET"), "search/jql"},
		"many at once":                    {jiraAPI + "issue/bulk", sendJSON("POST", `{"issueUpdates":[]}`), "one by one"},
		"many deleted":                    {jiraAPI + "bulk/issues/delete", sendJSON("POST", `{}`), "many issues"},
		"comments, which name no project": {jiraAPI + "issue/SUP-12/comment", method("GET"), "fields=comment"},
		"an attachment by number":         {jiraAPI + "attachment/content/10000", method("GET"), "hides its project"},
		"mail to anybody":                 {jiraAPI + "issue/SUP-12/notify", sendJSON("POST", `{"to":{}}`), "mail"},
		"a board":                         {"acme.atlassian.net/rest/agile/1.0/board/1/issue", method("GET"), "number"},
		"a webhook":                       {jiraAPI + "webhook", sendJSON("POST", `{}`), "another address"},
		"a page of the site":              {"acme.atlassian.net/rest/api/3/dashboard", method("GET"), "not an operation"},
		"an issue's key, encoded":         {jiraAPI + "issue/SUP-12%2f..%2fOPS-1", method("GET"), ""},
		"overrides of an administrator":   {jiraAPI + "issue/SUP-12?overrideScreenSecurity=true", sendJSON("PUT", `{"fields":{}}`), "overrideScreenSecurity"},
		"as somebody else":                {jiraAPI + "issue/SUP-12/comment", sendJSON("POST", `{"body":"x","author":{"accountId":"1"}}`), "author"},
	})
}

func TestConfluenceRequests(t *testing.T) {
	checkAsked(t, instance(t, jiraSite, confluenceSite), map[string]asked{
		"spaces":             {url: wikiAPI + "spaces?keys=DOCS&limit=25", request: method("GET"), operation: "spaces.list", action: "Read"},
		"a space":            {url: wikiAPI + "spaces/98306", request: method("GET"), operation: "spaces.get", action: "Read", resources: "space:98306"},
		"pages of a space":   {url: wikiAPI + "spaces/98306/pages?body-format=storage", request: method("GET"), operation: "spaces.pages", action: "Read", resources: "space:98306"},
		"pages of two":       {url: wikiAPI + "pages?space-id=98306,98307&title=Home", request: method("GET"), operation: "pages.list", action: "Read", resources: "space:98306 space:98307"},
		"a page":             {url: wikiAPI + "pages/123?body-format=storage", request: method("GET"), operation: "pages.get", action: "Read"},
		"its children":       {url: wikiAPI + "pages/123/children", request: method("GET"), operation: "pages.children", action: "Read"},
		"its comments":       {url: wikiAPI + "pages/123/footer-comments", request: method("GET"), operation: "pages.footerComments", action: "Read", resources: "page:123"},
		"a new page":         {url: wikiAPI + "pages", request: sendJSON("POST", `{"spaceId":"98306","status":"current","title":"x","body":{"representation":"storage","value":"<p>x</p>"}}`), operation: "pages.create", action: "Write", resources: "space:98306"},
		"below another":      {url: wikiAPI + "pages", request: sendJSON("POST", `{"spaceId":"98306","parentId":"123","title":"x"}`), operation: "pages.create", action: "Write", resources: "space:98306 page:123"},
		"a change":           {url: wikiAPI + "pages/123", request: sendJSON("PUT", `{"id":"123","status":"current","title":"x","version":{"number":2},"body":{}}`), operation: "pages.update", action: "Write", resources: "page:123"},
		"a change by number": {url: wikiAPI + "pages/123", request: sendJSON("PUT", `{"id":123,"status":"draft","title":"x"}`), operation: "pages.update", action: "Write", resources: "page:123"},
		"a comment":          {url: wikiAPI + "footer-comments", request: sendJSON("POST", `{"pageId":"123","body":{"representation":"storage","value":"x"}}`), operation: "footerComments.create", action: "Write", resources: "page:123"},
		"a deletion":         {url: wikiAPI + "pages/123", request: method("DELETE"), operation: "pages.delete", action: "Delete", resources: "page:123"},
	})
}

func TestConfluenceTraps(t *testing.T) {
	checkTraps(t, instance(t, confluenceSite), map[string]trap{
		"pages of every space":       {wikiAPI + "pages?title=x", method("GET"), "space"},
		"a search":                   {"acme.atlassian.net/wiki/rest/api/search?cql=type%3Dpage", method("GET"), "every space"},
		"the old version":            {"acme.atlassian.net/wiki/rest/api/content/123", method("GET"), "version 1"},
		"another page in the body":   {wikiAPI + "pages/123", sendJSON("PUT", `{"id":"124","status":"current","title":"x"}`), "two different"},
		"a deletion by a change":     {wikiAPI + "pages/123", sendJSON("PUT", `{"id":"123","status":"trashed","title":"x"}`), "status"},
		"deleted for good":           {wikiAPI + "pages/123?purge=true", method("DELETE"), "purge"},
		"an owner given":             {wikiAPI + "pages/123", sendJSON("PUT", `{"id":"123","ownerId":"1"}`), "ownerId"},
		"an answer to a comment":     {wikiAPI + "footer-comments", sendJSON("POST", `{"parentCommentId":"9","body":{}}`), "parentCommentId"},
		"a comment by its number":    {wikiAPI + "footer-comments/9", method("DELETE"), "hides its page"},
		"a space by its key":         {wikiAPI + "spaces/DOCS", method("GET"), "space"},
		"an attachment by its id":    {wikiAPI + "attachments/att1", method("GET"), "hides its page"},
		"the bytes of an attachment": {"acme.atlassian.net/wiki/download/attachments/123/a.png", method("GET"), "cannot be told"},
		"people of the site":         {wikiAPI + "users-bulk", sendJSON("POST", `{"accountIds":[]}`), "people"},
		"a blog":                     {wikiAPI + "blogposts", sendJSON("POST", `{}`), "everybody"},
	})
}
