package connector

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clawstaff/clawstaff/internal/policy"
)

const uploads = `
- {id: upload, host: api, methods: [POST], path: /upload, bodies: [Multipart], params: [text, file, photo], set: {quiet: true}, action: Write, resources: [{type: thing, from: [body.thing]}],
   forbid: [acl], values: [{at: body.photo, shape: "attach://.*"}], nested: [{in: [text], key: url}]}
- {id: send, host: api, methods: [POST], path: /send, bodies: [Multipart, Form, JSON], params: [text, photo], files: true, action: Write, resources: [{type: thing, from: [body.thing]}]}
- {id: create, host: api, methods: [POST], path: /create, when: {uploadType: multipart}, bodies: [Related], params: [name], action: Write, set: {shared: false}, resources: [{type: thing, value: root, from: ["body.parents[]"]}]}
- {id: media, host: api, methods: [POST], path: /create, when: {uploadType: media}, bodies: [Raw], action: Write}
`

// parts joins lines with CRLF, as a body in parts with the boundary "b".
func parts(lines ...string) string { return strings.Join(lines, "\r\n") }

const multipartB = "multipart/form-data; boundary=b"

var (
	thingPart = []string{"--b", `Content-Disposition: form-data; name="thing"`, "", "a"}
	filePart  = []string{"--b", `Content-Disposition: form-data; name="file"; filename="x.txt"`, "Content-Type: text/plain", "", "--a\r\n--\r\n"}
)

func bodyOf(groups ...[]string) string {
	var lines []string
	for _, g := range groups {
		lines = append(lines, g...)
	}
	return parts(append(lines, "--b--", "")...)
}

func field(name, value string, header ...string) []string {
	return append(append([]string{"--b", `Content-Disposition: form-data; name="` + name + `"`}, header...), "", value)
}

func TestMultipart(t *testing.T) {
	c := loadT(t, aloneHead, uploads)
	for name, tc := range map[string]struct {
		path, contentType, body string
		want                    []string // name=value, or name:filename:type=value
	}{
		"a text":            {"/upload", multipartB, bodyOf(thingPart), []string{"thing=a", "quiet=true"}},
		"a text and a file": {"/upload", multipartB, bodyOf(thingPart, filePart), []string{"thing=a", "quiet=true", "file:x.txt:text/plain=--a\r\n--\r\n"}},
		"a quoted boundary": {"/upload", `multipart/form-data; boundary="b"`, bodyOf(thingPart), []string{"thing=a", "quiet=true"}},
		"bare line ends":    {"/upload", multipartB, strings.ReplaceAll(bodyOf(thingPart, field("text", "b")), "\r\n", "\n"), []string{"thing=a", "text=b", "quiet=true"}},
		"no last line end":  {"/upload", multipartB, strings.TrimSuffix(bodyOf(thingPart), "\r\n"), []string{"thing=a", "quiet=true"}},
		"a key is left out": {"/upload", multipartB, bodyOf(thingPart, field("access_token", "t")), []string{"thing=a", "quiet=true"}},
		"types of texts":    {"/upload", multipartB, bodyOf(thingPart, field("text", "ü", "Content-Type: text/plain; charset=UTF-8", "Content-Length: 2", "content-transfer-encoding: 8bit")), []string{"thing=a", "text=ü", "quiet=true"}},
		"an empty text":     {"/upload", multipartB, bodyOf(thingPart, field("text", "")), []string{"thing=a", "text=", "quiet=true"}},
		"a text that is attached": {"/send", multipartB, bodyOf(thingPart, field("photo", "attach://q8"), []string{"--b", `Content-Disposition: form-data; name=q8; filename=p.png`, "Content-Type: image/png", "", "\x89PNG\x00"}),
			[]string{"thing=a", "photo=attach://q8", "q8:p.png:image/png=\x89PNG\x00"}},
		"several files of a name": {"/send", multipartB, bodyOf(thingPart, filePart, filePart), []string{"thing=a", "file:x.txt:text/plain=--a\r\n--\r\n", "file:x.txt:text/plain=--a\r\n--\r\n"}},
		"a file for a text":       {"/upload", multipartB, bodyOf(thingPart, []string{"--b", `Content-Disposition: form-data; name="photo"; filename="p"`, "", "x"}), []string{"thing=a", "quiet=true", "photo:p:=x"}},
	} {
		t.Run(name, func(t *testing.T) {
			call, err := c.Match(ask(tc.path, tc.contentType, tc.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, readForm(t, call)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]policy.Resource{{Type: "thing", Name: "a"}}, call.Resources); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// readForm reads a call's body as mime/multipart does.
func readForm(t testing.TB, call *Call) (out []string) {
	t.Helper()
	_, params, err := mime.ParseMediaType(call.ContentType)
	if err != nil {
		t.Fatal(err)
	}
	r := multipart.NewReader(bytes.NewReader(call.Body), params["boundary"])
	for {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%v: %q", err, call.Body)
		}
		data, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		name := p.FormName()
		_, disposition, _ := mime.ParseMediaType(p.Header.Get("Content-Disposition"))
		if filename, ok := disposition["filename"]; ok {
			name += ":" + filename + ":" + p.Header.Get("Content-Type")
		}
		out = append(out, name+"="+string(data))
	}
}

func TestMultipartRefuses(t *testing.T) {
	c := loadT(t, aloneHead, uploads)
	for name, tc := range map[string]struct{ contentType, body string }{
		"no boundary":            {"multipart/form-data", bodyOf(thingPart)},
		"an empty boundary":      {`multipart/form-data; boundary=""`, bodyOf(thingPart)},
		"two boundaries":         {"multipart/form-data; boundary=b; boundary=c", bodyOf(thingPart)},
		"boundary in pieces":     {"multipart/form-data; boundary*0=b", bodyOf(thingPart)},
		"boundary, encoded":      {"multipart/form-data; boundary*=utf-8''b", bodyOf(thingPart)},
		"boundary with a space":  {`multipart/form-data; boundary="b "`, strings.ReplaceAll(bodyOf(thingPart), "--b", "--b ")},
		"boundary with escapes":  {`multipart/form-data; boundary="\b"`, bodyOf(thingPart)},
		"a long boundary":        {"multipart/form-data; boundary=" + strings.Repeat("b", 71), strings.ReplaceAll(bodyOf(thingPart), "--b", "--"+strings.Repeat("b", 71))},
		"another parameter":      {"multipart/form-data; boundary=b; charset=utf-16", bodyOf(thingPart)},
		"mixed":                  {"multipart/mixed; boundary=b", bodyOf(thingPart)},
		"another boundary":       {"multipart/form-data; boundary=c", bodyOf(thingPart)},
		"something before":       {multipartB, "x\r\n" + bodyOf(thingPart)},
		"an empty line before":   {multipartB, "\r\n" + bodyOf(thingPart)},
		"something after":        {multipartB, bodyOf(thingPart) + "x"},
		"a part after the end":   {multipartB, bodyOf(thingPart) + bodyOf(field("text", "x"))},
		"no end":                 {multipartB, strings.TrimSuffix(bodyOf(thingPart), "--b--\r\n")},
		"half an end":            {multipartB, strings.TrimSuffix(bodyOf(thingPart), "--\r\n")},
		"no parts":               {multipartB, "--b--\r\n"},
		"space after a boundary": {multipartB, strings.Replace(bodyOf(thingPart), "--b\r\n", "--b \r\n", 1)},
		"a longer boundary":      {multipartB, bodyOf(field("thing", "a\r\n--bc\r\nx"))},
		"a bare line feed":       {multipartB, bodyOf(field("thing", "a\n--b\r\n\r\nx"))},
		"bare ends, one not":     {multipartB, strings.Replace(strings.ReplaceAll(bodyOf(thingPart), "\r\n", "\n"), "a\n", "a\r\n", 1)},
		"no header":              {multipartB, bodyOf([]string{"--b", "", "a"}, thingPart)},
		"no empty line":          {multipartB, bodyOf([]string{"--b", `Content-Disposition: form-data; name="thing"`})},
		"header twice":           {multipartB, bodyOf(field("thing", "a", `Content-Disposition: form-data; name="text"`))},
		"an unknown header":      {multipartB, bodyOf(field("thing", "a", "X-Other: 1"))},
		"a folded header":        {multipartB, bodyOf([]string{"--b", "Content-Disposition: form-data;", ` name="thing"`, "", "a"})},
		"space before the colon": {multipartB, bodyOf([]string{"--b", `Content-Disposition : form-data; name="thing"`, "", "a"})},
		"base64":                 {multipartB, bodyOf(field("thing", "YQ", "Content-Transfer-Encoding: base64"))},
		"parts in a part":        {multipartB, bodyOf(thingPart, field("text", "--c", "Content-Type: multipart/mixed; boundary=c"))},
		"parts in a file":        {multipartB, bodyOf(thingPart, []string{"--b", `Content-Disposition: form-data; name="file"; filename="x"`, "Content-Type: multipart/mixed; boundary=c", "", "--c"})},
		"another disposition":    {multipartB, bodyOf([]string{"--b", `Content-Disposition: attachment; name="thing"`, "", "a"})},
		"no disposition":         {multipartB, bodyOf([]string{"--b", "Content-Type: text/plain", "", "a"})},
		"no name":                {multipartB, bodyOf([]string{"--b", "Content-Disposition: form-data", "", "a"}, thingPart)},
		"an empty name":          {multipartB, bodyOf(field("", "a"), thingPart)},
		"a name twice in one":    {multipartB, bodyOf([]string{"--b", `Content-Disposition: form-data; name="text"; name="thing"`, "", "a"})},
		"a name, encoded":        {multipartB, bodyOf(thingPart, []string{"--b", `Content-Disposition: form-data; name="text"; name*=utf-8''thing`, "", "b"})},
		"a filename, encoded":    {multipartB, bodyOf(thingPart, []string{"--b", `Content-Disposition: form-data; name="file"; filename*=utf-8''x`, "", "b"})},
		"a filename in pieces":   {multipartB, bodyOf(thingPart, []string{"--b", `Content-Disposition: form-data; name="file"; filename*0="x"`, "", "b"})},
		"an escape in a name":    {multipartB, bodyOf(thingPart, []string{"--b", `Content-Disposition: form-data; name="te\"xt"`, "", "b"})},
		"a backslash":            {multipartB, bodyOf(thingPart, []string{"--b", `Content-Disposition: form-data; name="file"; filename="..\x"`, "", "b"})},
		"percent in a name":      {multipartB, bodyOf(thingPart, field("th%69ng", "b"))},
		"an open quote":          {multipartB, bodyOf(thingPart, []string{"--b", `Content-Disposition: form-data; name="text`, "", "b"})},
		"after the name":         {multipartB, bodyOf(thingPart, []string{"--b", `Content-Disposition: form-data; name="text" x`, "", "b"})},
		"semicolon at the end":   {multipartB, bodyOf(thingPart, []string{"--b", `Content-Disposition: form-data; name="text";`, "", "b"})},
		"a name twice":           {multipartB, bodyOf(thingPart, thingPart)},
		"a name in other case":   {multipartB, bodyOf(thingPart, field("Thing", "b"))},
		"a name as a list":       {multipartB, bodyOf(thingPart, field("thing[]", "b"))},
		"a key as a list":        {multipartB, bodyOf(thingPart, field("access_token[]", "b"))},
		"a key as a file":        {multipartB, bodyOf(thingPart, []string{"--b", `Content-Disposition: form-data; name="access_token"; filename="x"`, "", "t"})},
		"the thing as a file":    {multipartB, bodyOf([]string{"--b", `Content-Disposition: form-data; name="thing"; filename="x"`, "", "a"})},
		"the thing as both":      {multipartB, bodyOf(thingPart, []string{"--b", `Content-Disposition: form-data; name="thing"; filename="x"`, "", "b"})},
		"what is set as a file":  {multipartB, bodyOf(thingPart, []string{"--b", `Content-Disposition: form-data; name="quiet"; filename="x"`, "", "b"})},
		"what is looked into":    {multipartB, bodyOf(thingPart, []string{"--b", `Content-Disposition: form-data; name="text"; filename="x"`, "", `[{"url":"x"}]`})},
		"forbidden":              {multipartB, bodyOf(thingPart, field("acl", "x"))},
		"forbidden, as a file":   {multipartB, bodyOf(thingPart, []string{"--b", `Content-Disposition: form-data; name="acl"; filename="x"`, "", "b"})},
		"not known":              {multipartB, bodyOf(thingPart, field("other", "x"))},
		"a file not known":       {multipartB, bodyOf(thingPart, []string{"--b", `Content-Disposition: form-data; name="other"; filename="x"`, "", "b"})},
		"a file twice":           {multipartB, bodyOf(thingPart, filePart, filePart)},
		"a value not allowed":    {multipartB, bodyOf(thingPart, field("photo", "https://evil.example"))},
		"within text":            {multipartB, bodyOf(thingPart, field("text", `{"url":"https://evil.example"}`))},
		"a text of bytes":        {multipartB, bodyOf(thingPart, field("text", "\xff"))},
		"a text with NUL":        {multipartB, bodyOf(thingPart, field("text", "a\x00"))},
		"a text in UTF-16":       {multipartB, bodyOf(field("thing", "a", "Content-Type: text/plain; charset=utf-16"))},
		"a text that is none":    {multipartB, bodyOf(field("thing", "a", "Content-Type: application/octet-stream"))},
		"a large text":           {multipartB, bodyOf(thingPart, field("text", strings.Repeat("a", maxForm+1)))},
		"many parts":             {multipartB, bodyOf(append([][]string{thingPart}, repeat(filePart, 200)...)...)},
		"a large header":         {multipartB, bodyOf(field("thing", "a", "Content-Type: text/plain; x="+strings.Repeat("a", maxPartHeader)))},
	} {
		t.Run(name, func(t *testing.T) {
			if call, err := c.Match(ask("/upload", tc.contentType, tc.body)); err == nil {
				t.Errorf("it is sent as %q", call.Body)
			}
		})
	}
}

func repeat(group []string, n int) (out [][]string) {
	for range n {
		out = append(out, group)
	}
	return out
}

func TestRelated(t *testing.T) {
	c := loadT(t, aloneHead, uploads)
	request := func(contentType, body string) Request {
		return Request{Method: "POST", Path: "/v1/create", Query: "uploadType=multipart", ContentType: contentType, Body: []byte(body)}
	}
	first := []string{"--b", "Content-Type: application/json; charset=UTF-8", "", `{"name":"x","parents":["A"],"access_token":"t"}`}
	second := []string{"--b", "content-type: image/png", "", "\x89PNG"}
	const related = "multipart/related; boundary=b"
	for name, r := range map[string]Request{
		"as it should be":     request(related, bodyOf(first, second)),
		"as Python has it":    request(`multipart/related; boundary="b"`, strings.ReplaceAll(bodyOf(slicesOf(first, "MIME-Version: 1.0"), slicesOf(second, "Content-Transfer-Encoding: binary")), "\r\n", "\n")),
		"with the first type": request(`multipart/related; boundary=b; type="application/json"`, bodyOf(first, second)),
	} {
		t.Run(name, func(t *testing.T) {
			call, err := c.Match(r)
			if err != nil {
				t.Fatal(err)
			}
			_, params, _ := mime.ParseMediaType(call.ContentType)
			b := params["boundary"]
			want := parts("--"+b, "Content-Type: application/json; charset=UTF-8", "", `{"name":"x","parents":["A"],"shared":false}`, "--"+b, "Content-Type: image/png", "", "\x89PNG", "--"+b+"--", "")
			if diff := cmp.Diff(want, string(call.Body)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]policy.Resource{{Type: "thing", Name: "a"}}, call.Resources); diff != "" {
				t.Error(diff)
			}
			if got := string(call.Parameters(1024, asItIs)); !strings.Contains(got, "image/png (4 bytes)") || strings.Contains(got, "access_token") {
				t.Errorf("recorded: %s", got)
			}
		})
	}
	for name, r := range map[string]Request{
		"one part":              request(related, bodyOf(first)),
		"three parts":           request(related, bodyOf(first, second, second)),
		"the other way round":   request(related, bodyOf(second, first)),
		"JSON with a key twice": request(related, bodyOf([]string{"--b", "Content-Type: application/json", "", `{"name":"x","name":"y"}`}, second)),
		"JSON in UTF-16":        request(related, bodyOf([]string{"--b", "Content-Type: application/json; charset=utf-16", "", `{}`}, second)),
		"parts in the file":     request(related, bodyOf(first, []string{"--b", "Content-Type: multipart/mixed; boundary=c", "", "x"})),
		"a file without a type": request(related, bodyOf(first, []string{"--b", "Content-Disposition: attachment", "", "x"})),
		"encoded":               request(related, bodyOf(first, slicesOf(second, "Content-Transfer-Encoding: base64"))),
		"a start":               request(related+"; start=x", bodyOf(first, second)),
		"a form":                request(multipartB, bodyOf(first, second)),
		"only the file":         request("image/png", "x"),
		"media that is parts":   {Method: "POST", Path: "/v1/create", Query: "uploadType=media", ContentType: related, Body: []byte(bodyOf(first, second))},
		"media that is JSON":    {Method: "POST", Path: "/v1/create", Query: "uploadType=media", ContentType: jsonType, Body: []byte(`{}`)},
		"media that is a patch": {Method: "POST", Path: "/v1/create", Query: "uploadType=media", ContentType: "application/merge-patch+json", Body: []byte(`{}`)},
		"media of no type":      {Method: "POST", Path: "/v1/create", Query: "uploadType=media", ContentType: "image", Body: []byte(`{}`)},
	} {
		t.Run(name, func(t *testing.T) {
			if call, err := c.Match(r); err == nil {
				t.Errorf("it is sent as %q", call.Body)
			}
		})
	}
	call, err := c.Match(Request{Method: "POST", Path: "/v1/create", Query: "uploadType=media", ContentType: "Text/Plain; charset=utf-8", Body: []byte("x")})
	if err != nil || string(call.Body) != "x" || call.ContentType != "text/plain; charset=utf-8" {
		t.Errorf("media: %v, %+v", err, call)
	}
}

// slicesOf adds a header to a part.
func slicesOf(part []string, header string) []string {
	return append([]string{part[0], part[1], header}, part[2:]...)
}

// FuzzMultipart checks that mime/multipart finds in what is sent just what we know of it.
func FuzzMultipart(f *testing.F) {
	for _, body := range []string{bodyOf(thingPart), bodyOf(thingPart, filePart), bodyOf(thingPart, field("text", "a\r\n--bc")), bodyOf(field("thing[]", "b")), "--b--", strings.ReplaceAll(bodyOf(thingPart), "\r\n", "\n")} {
		f.Add("b", []byte(body))
	}
	c := loadT(f, aloneHead, uploads)
	f.Fuzz(func(t *testing.T, boundary string, body []byte) {
		call, err := c.Match(ask("/send", mime.FormatMediaType("multipart/form-data", map[string]string{"boundary": boundary}), string(body)))
		if err != nil {
			return
		}
		var want []string
		for _, p := range call.form {
			want = append(want, p.name+"="+p.value)
		}
		for _, file := range call.files {
			want = append(want, file.name+":"+file.filename+":"+mime.FormatMediaType(file.media, file.params)+"="+string(file.data))
		}
		if diff := cmp.Diff(want, readForm(t, call)); diff != "" {
			t.Errorf("%q\n%s", call.Body, diff)
		}
	})
}
