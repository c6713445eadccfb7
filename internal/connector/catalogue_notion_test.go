package connector

import "testing"

const (
	notionAPI = "api.notion.com/v1/"
	pageA     = "59833787-2cf9-4fdf-8782-e53db20768a5"
	pageB     = "b55c9c91-384d-452b-81db-d1ef79372b75"
)

// What @notionhq/client sends.
func TestNotionRequests(t *testing.T) {
	checkAsked(t, builtinT(t), map[string]asked{
		"who am I":         {url: notionAPI + "users/me", request: method("GET"), operation: "users.me", action: "Read"},
		"a page":           {url: notionAPI + "pages/" + pageA, request: method("GET"), operation: "pages.retrieve", action: "Read", resources: "page:" + pageA},
		"what is in it":    {url: notionAPI + "blocks/" + pageA + "/children?page_size=100", request: method("GET"), operation: "blocks.children.list", action: "Read", resources: "page:" + pageA},
		"a query is POST":  {url: notionAPI + "databases/" + pageA + "/query", request: sendJSON("POST", `{"filter":{"property":"Done","checkbox":{"equals":true}}}`), operation: "databases.query", action: "Read", resources: "page:" + pageA},
		"of a data source": {url: notionAPI + "data_sources/" + pageA + "/query", request: sendJSON("POST", `{"page_size":10}`), operation: "dataSources.query", action: "Read", resources: "page:" + pageA},
		"a new page":       {url: notionAPI + "pages", request: sendJSON("POST", `{"parent":{"page_id":"`+pageA+`"},"properties":{"title":[{"text":{"content":"x"}}]}}`), operation: "pages.create", action: "Write", resources: "page:" + pageA},
		"a new row":        {url: notionAPI + "pages", request: sendJSON("POST", `{"parent":{"type":"data_source_id","data_source_id":"`+pageA+`"},"properties":{},"children":[{"paragraph":{"rich_text":[]}}]}`), operation: "pages.create", action: "Write", resources: "page:" + pageA},
		"a change":         {url: notionAPI + "pages/" + pageA, request: sendJSON("PATCH", `{"properties":{"Status":{"status":{"name":"Done"}}}}`), operation: "pages.update", action: "Write", resources: "page:" + pageA},
		"restored":         {url: notionAPI + "pages/" + pageA, request: sendJSON("PATCH", `{"in_trash":false}`), operation: "pages.update", action: "Write", resources: "page:" + pageA},
		"more text":        {url: notionAPI + "blocks/" + pageA + "/children", request: sendJSON("PATCH", `{"children":[{"paragraph":{"rich_text":[{"text":{"content":"x"}}]}}]}`), operation: "blocks.children.append", action: "Write", resources: "page:" + pageA},
		"a deletion":       {url: notionAPI + "blocks/" + pageA, request: method("DELETE"), operation: "blocks.delete", action: "Delete", resources: "page:" + pageA},
		"moved":            {url: notionAPI + "pages/" + pageA + "/move", request: sendJSON("POST", `{"parent":{"type":"page_id","page_id":"`+pageB+`"}}`), operation: "pages.move", action: "Write", resources: "page:" + pageA + " page:" + pageB},
		"a comment":        {url: notionAPI + "comments", request: sendJSON("POST", `{"parent":{"page_id":"`+pageA+`"},"rich_text":[{"text":{"content":"x"}}]}`), operation: "comments.create", action: "Write", resources: "page:" + pageA},
		"comments":         {url: notionAPI + "comments?block_id=" + pageA, request: method("GET"), operation: "comments.list", action: "Read", resources: "page:" + pageA},
		"a search is POST": {url: notionAPI + "search", request: sendJSON("POST", `{"query":"plan","filter":{"property":"object","value":"page"}}`), operation: "search", action: "Read"},
	})
}

func TestNotionTraps(t *testing.T) {
	append_ := func(child string) Request { return sendJSON("PATCH", `{"children":[`+child+`]}`) }
	children := notionAPI + "blocks/" + pageA + "/children"
	checkTraps(t, builtinT(t), map[string]trap{
		"deleted by a change":       {notionAPI + "pages/" + pageA, sendJSON("PATCH", `{"archived":true}`), "archived"},
		"put into the trash":        {notionAPI + "pages/" + pageA, sendJSON("PATCH", `{"in_trash":true}`), "in_trash"},
		"a database, too":           {notionAPI + "databases/" + pageA, sendJSON("PATCH", `{"in_trash":true}`), "in_trash"},
		"a block, too":              {notionAPI + "blocks/" + pageA, sendJSON("PATCH", `{"archived":true}`), "archived"},
		"emptied":                   {notionAPI + "pages/" + pageA, sendJSON("PATCH", `{"erase_content":true}`), "erase_content"},
		"an id in another spelling": {notionAPI + "pages/598337872cf94fdf8782e53db20768a5", method("GET"), "page"},
		"two parents":               {notionAPI + "pages", sendJSON("POST", `{"parent":{"page_id":"`+pageA+`","database_id":"`+pageB+`"},"properties":{}}`), "two different"},
		"no parent":                 {notionAPI + "pages", sendJSON("POST", `{"properties":{}}`), "names no page"},
		"the workspace as parent":   {notionAPI + "pages", sendJSON("POST", `{"parent":{"workspace":true},"properties":{}}`), "parent.workspace"},
		"a picture by its URL":      {children, append_(`{"image":{"external":{"url":"https://evil.example/?s"}}}`), "external"},
		"a bookmark":                {children, append_(`{"bookmark":{"url":"https://evil.example/?s"}}`), "bookmark"},
		"an embed":                  {children, append_(`{"embed":{"url":"https://evil.example/?s"}}`), "embed"},
		"a copy of another block":   {children, append_(`{"synced_block":{"synced_from":{"block_id":"` + pageB + `"}}}`), "synced"},
		"the title of another page": {children, append_(`{"paragraph":{"rich_text":[{"mention":{"page":{"id":"` + pageB + `"}}}]}}`), "mention"},
		"a relation":                {notionAPI + "pages/" + pageA, sendJSON("PATCH", `{"properties":{"Of":{"relation":[{"id":"`+pageB+`"}]}}}`), "relation"},
		"a template":                {notionAPI + "pages", sendJSON("POST", `{"parent":{"page_id":"`+pageA+`"},"template":{"template_id":"`+pageB+`"}}`), "template"},
		"an answer to a discussion": {notionAPI + "comments", sendJSON("POST", `{"discussion_id":"`+pageB+`","rich_text":[]}`), "discussion_id"},
		"a page as markdown":        {notionAPI + "pages/" + pageA + "/markdown", sendJSON("PATCH", `{"type":"replace_content"}`), "embed"},
		"everybody":                 {notionAPI + "users", method("GET"), "everybody"},
		"another agent":             {notionAPI + "agents/x/chat", sendJSON("POST", `{}`), "rights of their own"},
		"a file by its URL":         {notionAPI + "file_uploads", sendJSON("POST", `{"mode":"external_url"}`), "by their URL"},
		"a key":                     {notionAPI + "oauth/token", sendJSON("POST", `{}`), "token"},
	})
}
