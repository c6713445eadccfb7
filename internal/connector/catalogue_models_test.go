package connector

import "testing"

const (
	compatibleSite = "connector: in-house\nfrom: openai-compatible\nhosts: [{host: models.acme.example, base: /v1, privateCIDRs: [10.20.0.0/16]}]"
	geminiAPI      = "generativelanguage.googleapis.com/v1beta/"
	compatibleAPI  = "models.acme.example/v1/"
)

// What @google/genai sends.
func TestGeminiRequests(t *testing.T) {
	checkAsked(t, builtinT(t), map[string]asked{
		"a question": {url: geminiAPI + "models/gemini-3-pro:generateContent", request: sendJSON("POST", `{"contents":[{"role":"user","parts":[{"text":"hi"}]}],"generationConfig":{"temperature":1}}`),
			operation: "models.generateContent", action: "Write", resources: "model:gemini-3-pro"},
		"a stream": {url: geminiAPI + "models/gemini-3-pro:streamGenerateContent?alt=sse", request: sendJSON("POST", `{"contents":[{"parts":[{"text":"hi"}]}]}`),
			operation: "models.streamGenerateContent", action: "Write", resources: "model:gemini-3-pro"},
		"a key as a parameter is taken out": {url: geminiAPI + "models/gemini-3-pro:generateContent?key=AIza-mine", request: sendJSON("POST", `{"contents":[]}`),
			operation: "models.generateContent", action: "Write", resources: "model:gemini-3-pro"},
		"functions of the agent's": {url: geminiAPI + "models/gemini-3-pro:generateContent", request: sendJSON("POST", `{"contents":[],"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"object"}}]}],"toolConfig":{"functionCallingConfig":{"mode":"AUTO"}}}`),
			operation: "models.generateContent", action: "Write", resources: "model:gemini-3-pro"},
		"a picture in the request": {url: geminiAPI + "models/gemini-3-pro:generateContent", request: sendJSON("POST", `{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"AA"}}]}]}`),
			operation: "models.generateContent", action: "Write", resources: "model:gemini-3-pro"},
		"a function's argument of that name": {url: geminiAPI + "models/gemini-3-pro:generateContent", request: sendJSON("POST", `{"contents":[{"parts":[{"functionCall":{"name":"f","args":{"fileData":"x"}}}]}]}`),
			operation: "models.generateContent", action: "Write", resources: "model:gemini-3-pro"},
		"the stable version": {url: "generativelanguage.googleapis.com/v1/models/gemini-3-pro:generateContent", request: sendJSON("POST", `{"contents":[]}`),
			operation: "models.generateContent", action: "Write", resources: "model:gemini-3-pro"},
		"counting": {url: geminiAPI + "models/gemini-3-pro:countTokens", request: sendJSON("POST", `{"contents":[]}`), operation: "models.countTokens", action: "Read", resources: "model:gemini-3-pro"},
		"embedding": {url: geminiAPI + "models/gemini-embedding-001:batchEmbedContents", request: sendJSON("POST", `{"requests":[{"model":"models/gemini-embedding-001","content":{"parts":[{"text":"x"}]}}]}`),
			operation: "models.batchEmbedContents", action: "Read", resources: "model:gemini-embedding-001"},
		"models":  {url: geminiAPI + "models?pageSize=50", request: method("GET"), operation: "models.list", action: "Read"},
		"a model": {url: geminiAPI + "models/gemini-3-pro", request: method("GET"), operation: "models.get", action: "Read", resources: "model:gemini-3-pro"},
	})
}

func TestGeminiTraps(t *testing.T) {
	const generate = geminiAPI + "models/gemini-3-pro:generateContent"
	with := func(more string) Request { return sendJSON("POST", `{"contents":[],`+more+`}`) }
	part := func(p string) Request { return sendJSON("POST", `{"contents":[{"parts":[`+p+`]}]}`) }
	checkTraps(t, builtinT(t), map[string]trap{
		"a search at Google":         {generate, with(`"tools":[{"googleSearch":{}}]`), "googleSearch"},
		"in the other spelling":      {generate, with(`"tools":[{"google_search":{}}]`), "google_search"},
		"pages by their URL":         {generate, with(`"tools":[{"functionDeclarations":[]},{"urlContext":{}}]`), "urlContext"},
		"code at Google":             {generate, with(`"tools":[{"code_execution":{}}]`), "code_execution"},
		"servers":                    {generate, with(`"tools":[{"mcpServers":[{}]}]`), "mcpServers"},
		"a tool nobody knows yet":    {generate, with(`"tools":[{"anythingNew":{}}]`), "anythingNew"},
		"tools in other case":        {generate, with(`"Tools":[{"googleSearch":{}}]`), "Tools"},
		"tools that are no list":     {generate, with(`"tools":{"googleSearch":{}}`), "tools"},
		"a file by its URI":          {generate, part(`{"fileData":{"fileUri":"https://evil.example/?s"}}`), "fileData"},
		"in the other spelling, too": {generate, part(`{"file_data":{"file_uri":"https://youtu.be/x"}}`), "file_data"},
		"a file in the instruction":  {generate, with(`"systemInstruction":{"parts":[{"fileData":{"fileUri":"x"}}]}`), "fileData"},
		"a file in an answer's part": {generate, part(`{"functionResponse":{"name":"f","response":{},"parts":[{"fileData":{"fileUri":"x"}}]}}`), "fileData"},
		"what somebody stored":       {generate, with(`"cachedContent":"cachedContents/x"`), "cachedContent"},
		"another model in the body":  {geminiAPI + "models/a:batchEmbedContents", sendJSON("POST", `{"requests":[{"model":"models/../x"}]}`), "model"},
		"a model that researches":    {geminiAPI + "models/deep-research-pro:generateContent", with(`"x":1`), "parameter"},
		"a model of the project's":   {geminiAPI + "tunedModels/x:generateContent", with(`"a":1`), "trains"},
		"a stream that is no stream": {geminiAPI + "models/gemini-3-pro:streamGenerateContent", sendJSON("POST", `{"contents":[]}`), ""},
		"files":                      {geminiAPI + "files", method("GET"), "stores files"},
		"later":                      {geminiAPI + "models/gemini-3-pro:batchGenerateContent", sendJSON("POST", `{}`), "later"},
		"agents at Google":           {geminiAPI + "interactions", sendJSON("POST", `{}`), "run there"},
		"keys":                       {geminiAPI + "auth_tokens", sendJSON("POST", `{}`), "keys"},
		"a callback":                 {generate + "?callback=x", sendJSON("POST", `{"contents":[]}`), "callback"},
	})
}

func TestCompatibleRequests(t *testing.T) {
	c := instance(t, compatibleSite)
	checkAsked(t, c, map[string]asked{
		"a question":        {url: compatibleAPI + "chat/completions", request: sendJSON("POST", `{"model":"meta-llama/Llama-4","messages":[{"role":"user","content":"hi"}]}`), operation: "chat.completions.create", action: "Write", resources: "model:meta-llama/Llama-4"},
		"a stream":          {url: compatibleAPI + "chat/completions", request: sendJSON("POST", `{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}`), operation: "chat.completions.create", action: "Write", resources: "model:m"},
		"tools":             {url: compatibleAPI + "chat/completions", request: sendJSON("POST", `{"model":"m","messages":[],"tools":[{"type":"function","function":{"name":"f"}}]}`), operation: "chat.completions.create", action: "Write", resources: "model:m"},
		"a picture":         {url: compatibleAPI + "chat/completions", request: sendJSON("POST", `{"model":"m","messages":[{"content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]}]}`), operation: "chat.completions.create", action: "Write", resources: "model:m"},
		"a completion":      {url: compatibleAPI + "completions", request: sendJSON("POST", `{"model":"m","prompt":"x"}`), operation: "completions.create", action: "Write", resources: "model:m"},
		"an embedding":      {url: compatibleAPI + "embeddings", request: sendJSON("POST", `{"model":"m","input":["x"]}`), operation: "embeddings.create", action: "Read", resources: "model:m"},
		"models":            {url: compatibleAPI + "models", request: method("GET"), operation: "models.list", action: "Read"},
		"a model":           {url: compatibleAPI + "models/meta-llama/Llama-4", request: method("GET"), operation: "models.retrieve", action: "Read", resources: "model:meta-llama/Llama-4"},
		"of llama.cpp":      {url: compatibleAPI + "chat/completions", request: sendJSON("POST", `{"model":"qwen3:8b","messages":[],"min_p":0.1,"repetition_penalty":1.1}`), operation: "chat.completions.create", action: "Write", resources: "model:qwen3:8b"},
		"a reasoning model": {url: compatibleAPI + "chat/completions", request: sendJSON("POST", `{"model":"gpt-oss-120b","messages":[],"reasoning_effort":"low","max_completion_tokens":9}`), operation: "chat.completions.create", action: "Write", resources: "model:gpt-oss-120b"},
	})
	checkTraps(t, c, map[string]trap{
		"a picture by its URL":  {compatibleAPI + "chat/completions", sendJSON("POST", `{"model":"m","messages":[{"content":[{"image_url":{"url":"https://evil.example"}}]}]}`), "image_url"},
		"a video by its URL":    {compatibleAPI + "chat/completions", sendJSON("POST", `{"model":"m","messages":[{"content":[{"video_url":{"url":"https://evil.example"}}]}]}`), "video_url"},
		"a tool at the server":  {compatibleAPI + "chat/completions", sendJSON("POST", `{"model":"m","messages":[],"tools":[{"type":"mcp","server_url":"https://evil.example"}]}`), "tools"},
		"a plugin":              {compatibleAPI + "chat/completions", sendJSON("POST", `{"model":"m","messages":[],"plugins":[{"id":"web"}]}`), "plugins"},
		"no model":              {compatibleAPI + "chat/completions", sendJSON("POST", `{"messages":[]}`), "names no model"},
		"models beside a model": {compatibleAPI + "chat/completions", sendJSON("POST", `{"model":"m","models":["other"],"messages":[]}`), "models"},
		"kept conversations":    {compatibleAPI + "responses", sendJSON("POST", `{"model":"m"}`), "keeps"},
		"a way out of the base": {compatibleAPI + "models/../../admin", method("GET"), ""},
	})
}
