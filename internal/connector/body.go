package connector

import (
	"errors"
	"fmt"
	"mime"
	"slices"
	"strings"
)

// readBody reads a body of one of the kinds the operation takes.
func (call *Call) readBody(b *book, r Request) error {
	if len(r.Body) == 0 {
		if call.Operation.Mail == "body" || slices.Contains(call.Operation.Bodies, BodyMCP) || slices.Contains(call.Operation.Bodies, BodyGraphQL) {
			if r.Method != "GET" && r.Method != "DELETE" {
				return errors.New("the request has no body")
			}
		}
		return nil
	}
	if r.Method == "GET" || r.Method == "HEAD" {
		return errors.New("a request to read has no body")
	}
	media, params, err := readContentType(r.ContentType)
	if err != nil {
		return err
	}
	call.kind = call.Operation.kindOf(media)
	if !slices.Contains(call.Operation.Bodies, call.kind) {
		return fmt.Errorf("%s does not take a body of this content type", call.Operation.ID)
	}
	switch call.kind {
	case BodyForm:
		return call.readForm(b, params, r.Body)
	case BodyMultipart:
		return call.readMultipart(b, params, r.Body)
	case BodyRelated:
		return call.readRelated(b, params, r.Body)
	case BodyMail:
		return call.readMail(params, r.Body)
	case BodyRaw:
		call.Body = r.Body
		call.ContentType, err = formatContentType(media, params)
		return err
	default:
		return call.readJSON(b, params, r.Body)
	}
}

// readContentType reads a content type. Parameters in pieces and in other character sets (RFC 2231) are refused: not
// everybody knows them.
func readContentType(contentType string) (media string, params map[string]string, err error) {
	if contentType == jsonMedia || contentType == formMedia {
		return contentType, nil, nil
	}
	media, params, err = mime.ParseMediaType(contentType)
	if err != nil || !strings.Contains(media, "/") || !isASCII(contentType) || strings.ContainsAny(contentType, `*\`) {
		return "", nil, errors.New("the body has no content type, or a wrong one")
	}
	return media, params, nil
}

// formatContentType writes a content type in one way.
func formatContentType(media string, params map[string]string) (string, error) {
	text := mime.FormatMediaType(media, params)
	if text == "" || !isASCII(text) || strings.Contains(text, "*") {
		return "", errors.New("the content type is a wrong one")
	}
	return text, nil
}

const (
	formMedia      = "application/x-www-form-urlencoded"
	jsonMedia      = "application/json"
	multipartMedia = "multipart/form-data"
	relatedMedia   = "multipart/related"
	mailMedia      = "message/rfc822"
)

// kindOf returns the kind of a body by its media type. What is not of a kind by its type is Raw, and that is all
// that is known of it.
func (op *Operation) kindOf(media string) BodyKind {
	switch media {
	case formMedia:
		return BodyForm
	case jsonMedia:
		for _, kind := range []BodyKind{BodyGraphQL, BodyMCP} {
			if slices.Contains(op.Bodies, kind) {
				return kind
			}
		}
		return BodyJSON
	case multipartMedia:
		return BodyMultipart
	case relatedMedia:
		return BodyRelated
	case mailMedia:
		return BodyMail
	}
	if strings.HasPrefix(media, "multipart/") || strings.HasPrefix(media, "message/") || strings.HasSuffix(media, "+json") {
		return ""
	}
	return BodyRaw
}

// onlyUTF8 refuses parameters of a content type other than the character set everybody takes.
func onlyUTF8(params map[string]string) error {
	for name, value := range params {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return errors.New("the content type has a parameter other than charset=utf-8")
		}
	}
	return nil
}

// maxForm is how large a form may be: it is written anew, and may grow threefold by that.
const maxForm = 1 << 20

func (call *Call) readForm(b *book, params map[string]string, body []byte) error {
	if err := onlyUTF8(params); err != nil {
		return err
	}
	if len(body) > maxForm {
		return errors.New("form: it is too large; send JSON")
	}
	form, err := readParams(string(body))
	if err == nil {
		err = checkTwice(form, never)
	}
	if err == nil {
		call.form, err = call.clean(b, form)
	}
	if err != nil {
		return fmt.Errorf("form: %w", err)
	}
	call.writeForm()
	return nil
}

func (call *Call) readJSON(b *book, params map[string]string, body []byte) error {
	if err := onlyUTF8(params); err != nil {
		return err
	}
	if call.Operation.takesList() && isList(body) {
		call.Body, call.ContentType = body, jsonMedia+"; charset=utf-8"
		return checkValue(body)
	}
	if err := call.readMembers(b, body); err != nil {
		return err
	}
	switch call.kind {
	case BodyGraphQL:
		return call.readGraphQL(call.Body)
	case BodyMCP:
		return call.readMCP(call.Body)
	}
	return nil
}

// readMembers reads a JSON object, and takes the members out that could carry a key.
func (call *Call) readMembers(b *book, body []byte) error {
	members, err := readObject(body)
	if err != nil {
		return err
	}
	strip := false
	for _, m := range members {
		if err := b.disguised(m.key); err != nil {
			return fmt.Errorf("body: %w", err)
		}
		strip = strip || slices.Contains(call.connector.Strip, m.key)
	}
	call.ContentType = jsonMedia + "; charset=utf-8"
	if !strip {
		call.members, call.Body = members, body
		return nil
	}
	call.members = slices.DeleteFunc(members, func(m member) bool { return slices.Contains(call.connector.Strip, m.key) })
	call.Body = writeObject(call.members)
	return nil
}

// takesList reports whether a list can be the body: where any parameter may be given, and nothing is looked for in them.
func (op *Operation) takesList() bool {
	return op.judged.any && len(op.judged.takes)+len(op.judged.forbid)+len(op.Nested)+len(op.Set) == 0 && slices.Contains(op.Bodies, BodyJSON)
}

func isList(body []byte) bool {
	for _, c := range body {
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			return c == '['
		}
	}
	return false
}
