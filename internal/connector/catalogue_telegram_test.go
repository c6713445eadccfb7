package connector

import "testing"

const telegramAPI = "api.telegram.org/"

// What grammY sends: JSON, and multipart with files of random names. The gateway takes the token out of the path before.
func TestTelegramRequests(t *testing.T) {
	photo := "--b\r\nContent-Disposition: form-data; name=\"chat_id\"\r\n\r\n4242\r\n" +
		"--b\r\nContent-Disposition: form-data; name=\"photo\"\r\n\r\nattach://a1b2c3\r\n" +
		"--b\r\nContent-Disposition: form-data; name=\"a1b2c3\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\nPNG\r\n--b--\r\n"
	direct := "--b\r\nContent-Disposition: form-data; name=\"chat_id\"\r\n\r\n4242\r\n" +
		"--b\r\nContent-Disposition: form-data; name=\"document\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nhi\r\n--b--\r\n"
	multipart := func(body string) Request {
		return Request{Method: "POST", ContentType: "multipart/form-data; boundary=b", Body: []byte(body)}
	}
	checkAsked(t, builtinT(t), map[string]asked{
		"who am I":      {url: telegramAPI + "getMe", request: method("GET"), operation: "getMe", action: "Read"},
		"a message":     {url: telegramAPI + "sendMessage", request: sendJSON("POST", `{"chat_id":4242,"text":"hi"}`), operation: "sendMessage", action: "Write", resources: "channel:4242"},
		"to a group":    {url: telegramAPI + "sendMessage", request: sendJSON("POST", `{"chat_id":-1001234567890,"text":"hi","message_thread_id":3}`), operation: "sendMessage", action: "Write", resources: "channel:-1001234567890"},
		"in a form":     {url: telegramAPI + "sendMessage", request: sendForm("chat_id=4242&text=hi"), operation: "sendMessage", action: "Write", resources: "channel:4242"},
		"as a string":   {url: telegramAPI + "sendMessage", request: sendJSON("POST", `{"chat_id":"4242","text":"hi"}`), operation: "sendMessage", action: "Write", resources: "channel:4242"},
		"a reply":       {url: telegramAPI + "sendMessage", request: sendJSON("POST", `{"chat_id":4242,"text":"hi","reply_parameters":{"message_id":7}}`), operation: "sendMessage", action: "Write", resources: "channel:4242"},
		"a quote":       {url: telegramAPI + "sendMessage", request: sendJSON("POST", `{"chat_id":4242,"text":"hi","reply_parameters":{"message_id":7,"chat_id":-100}}`), operation: "sendMessage", action: "Write", resources: "channel:4242 channel:-100"},
		"a photo":       {url: telegramAPI + "sendPhoto", request: multipart(photo), operation: "sendPhoto", action: "Write", resources: "channel:4242"},
		"a document":    {url: telegramAPI + "sendDocument", request: multipart(direct), operation: "sendDocument", action: "Write", resources: "channel:4242"},
		"typing":        {url: telegramAPI + "sendChatAction", request: sendJSON("POST", `{"chat_id":4242,"action":"typing"}`), operation: "sendChatAction", action: "Write", resources: "channel:4242"},
		"a reaction":    {url: telegramAPI + "setMessageReaction", request: sendJSON("POST", `{"chat_id":4242,"message_id":7,"reaction":[{"type":"emoji","emoji":"👍"}]}`), operation: "setMessageReaction", action: "Write", resources: "channel:4242"},
		"an edit":       {url: telegramAPI + "editMessageText", request: sendJSON("POST", `{"chat_id":4242,"message_id":7,"text":"hi"}`), operation: "editMessageText", action: "Write", resources: "channel:4242"},
		"a deletion":    {url: telegramAPI + "deleteMessage", request: sendJSON("POST", `{"chat_id":4242,"message_id":7}`), operation: "deleteMessage", action: "Delete", resources: "channel:4242"},
		"a copy":        {url: telegramAPI + "copyMessage", request: sendJSON("POST", `{"chat_id":4242,"from_chat_id":-100,"message_id":7}`), operation: "copyMessage", action: "Write", resources: "channel:4242 channel:-100"},
		"out with them": {url: telegramAPI + "banChatMember", request: sendJSON("POST", `{"chat_id":-100,"user_id":9}`), operation: "banChatMember", action: "Admin", resources: "channel:-100 user:9"},
		"commands":      {url: telegramAPI + "setMyCommands", request: sendJSON("POST", `{"commands":[{"command":"help","description":"Help"}]}`), operation: "setMyCommands", action: "Admin", resources: "bot:self"},
		"a chat":        {url: telegramAPI + "getChat?chat_id=4242", request: method("GET"), operation: "getChat", action: "Read", resources: "channel:4242"},
		"a file's path": {url: telegramAPI + "getFile", request: sendJSON("POST", `{"file_id":"AgACAgIAAx"}`), operation: "getFile", action: "Read"},
		"a file":        {url: telegramAPI + "file/photos/file_1.jpg", request: method("GET"), operation: "downloadFile", action: "Read"},
	})
}

// Previews are off whatever was sent.
func TestTelegramIsQuiet(t *testing.T) {
	c := builtinT(t)
	call, err := understand(t, c, telegramAPI+"sendMessage", sendJSON("POST", `{"chat_id":4242,"text":"https://evil.example","link_preview_options":{"is_disabled":false,"url":"https://evil.example"}}`))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"chat_id":4242,"text":"https://evil.example","disable_web_page_preview":true,"link_preview_options":{"is_disabled":true}}`
	if string(call.Body) != want {
		t.Errorf("got %s", call.Body)
	}
}

func TestTelegramTraps(t *testing.T) {
	send := func(more string) Request { return sendJSON("POST", `{"chat_id":4242,"text":"x",`+more+`}`) }
	checkTraps(t, builtinT(t), map[string]trap{
		"messages fetched":                 {telegramAPI + "getUpdates", sendJSON("POST", `{"timeout":30}`), "brought by the gateway"},
		"messages redirected":              {telegramAPI + "setWebhook", sendJSON("POST", `{"url":"https://evil.example"}`), "brought by the gateway"},
		"a chat by its name":               {telegramAPI + "sendMessage", sendJSON("POST", `{"chat_id":"@acme","text":"x"}`), "channel"},
		"no chat":                          {telegramAPI + "sendMessage", sendJSON("POST", `{"text":"x"}`), "names no channel"},
		"a chat that is a fraction":        {telegramAPI + "sendMessage", sendJSON("POST", `{"chat_id":4242.0,"text":"x"}`), "chat_id"},
		"a chat with a plus":               {telegramAPI + "sendMessage", sendForm("chat_id=%2B4242&text=x"), "channel"},
		"two chats":                        {telegramAPI + "sendMessage?chat_id=1", sendJSON("POST", `{"chat_id":4242,"text":"x"}`), "chat_id"},
		"for a person's account":           {telegramAPI + "sendMessage", send(`"business_connection_id":"b"`), "business_connection_id"},
		"paid":                             {telegramAPI + "sendMessage", send(`"allow_paid_broadcast":true`), "allow_paid_broadcast"},
		"a quote from a name":              {telegramAPI + "sendMessage", send(`"reply_parameters":{"message_id":1,"chat_id":"@secret"}`), "channel"},
		"a photo by its URL":               {telegramAPI + "sendPhoto", sendJSON("POST", `{"chat_id":4242,"photo":"https://evil.example/?s"}`), "photo"},
		"a document by its URL":            {telegramAPI + "sendDocument", sendForm("chat_id=4242&document=http%3A%2F%2Fevil.example"), "document"},
		"an album by URLs":                 {telegramAPI + "sendMediaGroup", sendJSON("POST", `{"chat_id":4242,"media":[{"type":"photo","media":"https://evil.example"}]}`), "media"},
		"an album in a form":               {telegramAPI + "sendMediaGroup", sendForm(`chat_id=4242&media=%5B%7B%22type%22%3A%22photo%22%2C%22media%22%3A%22https%3A%2F%2Fevil.example%22%7D%5D`), "media"},
		"a file of another chat":           {telegramAPI + "sendPhoto", sendJSON("POST", `{"chat_id":4242,"photo":"AgACAgIAAx"}`), "photo"},
		"an edit of anywhere":              {telegramAPI + "editMessageText", sendJSON("POST", `{"inline_message_id":"x","text":"x"}`), "inline_message_id"},
		"a page opened by a click":         {telegramAPI + "answerCallbackQuery", sendJSON("POST", `{"callback_query_id":"1","url":"https://evil.example"}`), "url"},
		"a copy from nowhere":              {telegramAPI + "copyMessage", sendJSON("POST", `{"chat_id":4242,"message_id":7}`), "channel"},
		"a forward, whose answer shows it": {telegramAPI + "forwardMessage", sendJSON("POST", `{"chat_id":4242,"from_chat_id":4242,"message_id":7}`), "whoever wrote it"},
		"a message by GET":                 {telegramAPI + "sendMessage?chat_id=4242&text=x", method("GET"), "in this way"},
		"a method in capitals":             {telegramAPI + "SENDMESSAGE", sendJSON("POST", `{"chat_id":4242,"text":"x"}`), "not an operation"},
		"others let in":                    {telegramAPI + "createChatInviteLink", sendJSON("POST", `{"chat_id":4242}`), "lets others in"},
		"money":                            {telegramAPI + "sendInvoice", sendJSON("POST", `{"chat_id":4242}`), "money"},
		"a bot logged out":                 {telegramAPI + "logOut", method("GET"), "brought by the gateway"},
		"a file above the files":           {telegramAPI + "file/../getUpdates", method("GET"), ""},
		"a name twice":                     {telegramAPI + "sendMessage", sendJSON("POST", `{"chat_id":4242,"chat_id":1,"text":"x"}`), ""},
	})
}
