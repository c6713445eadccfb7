package connector

import (
	"errors"
	"fmt"
	"maps"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"
)

// file is a part of a body into which nothing looks.
type file struct {
	name     string // of its parameter
	filename string
	media    string // its content type
	params   map[string]string
	data     []byte
}

// contentType is the line of the header that says what a file is.
func (f *file) contentType() string {
	return "Content-Type: " + mime.FormatMediaType(f.media, f.params)
}

// readMultipart reads a form in parts (RFC 7578): texts are parameters like those of other forms, files stay as they are.
func (call *Call) readMultipart(b *book, params map[string]string, body []byte) error {
	boundary, err := onlyBoundary(params)
	if err != nil {
		return err
	}
	parts, err := readParts(body, boundary)
	if err != nil {
		return fmt.Errorf("multipart: %w", err)
	}
	for i := range parts {
		if err := call.readFormPart(&parts[i]); err != nil {
			return fmt.Errorf("multipart: %w", err)
		}
	}
	if err := checkTwice(call.form, never); err != nil {
		return fmt.Errorf("multipart: %w", err)
	}
	if err := call.checkFiles(b); err != nil {
		return fmt.Errorf("multipart: %w", err)
	}
	if call.form, err = call.clean(b, call.form); err != nil {
		return fmt.Errorf("multipart: %w", err)
	}
	return call.writeMultipart()
}

// onlyBoundary returns the boundary of a content type that has no other parameter.
func onlyBoundary(params map[string]string) (string, error) {
	if len(params) != 1 {
		return "", errors.New("the content type has a parameter other than the boundary")
	}
	return params["boundary"], nil
}

func (call *Call) readFormPart(p *part) error {
	name, filename, isFile, err := readDisposition(p.header["content-disposition"])
	if err != nil {
		return err
	}
	media, params, err := p.media()
	switch {
	case err != nil:
		return err
	case isFile:
		call.files = append(call.files, file{name: name, filename: filename, media: media, params: params, data: p.data})
		return nil
	case media != "" && media != "text/plain" && media != jsonMedia:
		return fmt.Errorf("part %q is neither text nor a file: a file has a filename", name)
	case onlyUTF8(params) != nil:
		return fmt.Errorf("part %q is not in UTF-8", name)
	case len(p.data) > maxForm || !utf8.Valid(p.data) || strings.Contains(string(p.data), "\x00"):
		return fmt.Errorf("part %q is too large for a text, or is none", name)
	}
	call.form = append(call.form, param{name: name, value: string(p.data)})
	return nil
}

// checkFiles refuses files of a name that is judged as a text: services take either.
func (call *Call) checkFiles(b *book) error {
	op := call.Operation
	for i, f := range call.files {
		twice := slices.ContainsFunc(call.files[:i], func(other file) bool { return other.name == f.name })
		text := slices.ContainsFunc(call.form, func(p param) bool { return p.name == f.name })
		switch {
		case twice && !op.Files || text:
			return fmt.Errorf("parameter %q is there twice", f.name)
		case op.isText(f.name) || slices.Contains(call.connector.Strip, f.name):
			return fmt.Errorf("parameter %q is a text, and no file", f.name)
		}
		if err := b.disguised(f.name); err != nil {
			return err
		}
	}
	return nil
}

// isText reports whether a parameter is judged by what it says.
func (op *Operation) isText(name string) bool {
	at := func(p place) bool { return p.kind == inBody && p.steps[0].key == name }
	for _, r := range op.Resources {
		for _, parts := range r.places {
			if slices.ContainsFunc(parts, at) {
				return true
			}
		}
	}
	return slices.ContainsFunc(op.judged.forbid, at) ||
		slices.ContainsFunc(op.Keys, func(k KeyRule) bool { return at(k.place) }) ||
		slices.ContainsFunc(op.Nested, func(n NestedRule) bool { return slices.Contains(n.In, name) }) ||
		slices.ContainsFunc(op.judged.set, func(s setting) bool { return s.name == name })
}

func (call *Call) writeMultipart() error {
	var contents [][]byte
	size := 0
	for _, p := range call.form {
		contents = append(contents, []byte(p.value))
		size += len(p.name) + len(p.value)
	}
	for _, f := range call.files {
		contents = append(contents, f.data)
		size += len(f.name) + len(f.filename) + len(f.data)
	}
	w, err := newPartWriter(size, contents...)
	if err != nil {
		return err
	}
	for _, p := range call.form {
		w.part([]byte(p.value), fmt.Sprintf(`Content-Disposition: form-data; name="%s"`, p.name))
	}
	for _, f := range call.files {
		header := []string{fmt.Sprintf(`Content-Disposition: form-data; name="%s"; filename="%s"`, f.name, f.filename)}
		if f.media != "" {
			header = append(header, f.contentType())
		}
		w.part(f.data, header...)
	}
	call.Body, call.ContentType = w.end(), multipartMedia+"; boundary="+w.boundary
	return nil
}

// readRelated reads an upload of a file and of what is known of it, a JSON object (RFC 2387, as Google has it).
func (call *Call) readRelated(b *book, params map[string]string, body []byte) error {
	params = maps.Clone(params)
	if strings.EqualFold(params["type"], jsonMedia) {
		delete(params, "type")
	}
	boundary, err := onlyBoundary(params)
	if err != nil {
		return err
	}
	parts, err := readParts(body, boundary)
	if err != nil {
		return fmt.Errorf("related: %w", err)
	}
	if len(parts) != 2 || parts[0].header["content-disposition"]+parts[1].header["content-disposition"] != "" {
		return errors.New("related: there must be two parts, a JSON object and a file")
	}
	media, params, err := parts[0].media()
	if err != nil || media != jsonMedia || onlyUTF8(params) != nil {
		return errors.New("related: the first part is not JSON in UTF-8")
	}
	if err := call.readMembers(b, parts[0].data); err != nil {
		return fmt.Errorf("related: %w", err)
	}
	if media, params, err = parts[1].media(); err != nil || media == "" {
		return errors.New("related: the second part has no content type, or a wrong one")
	}
	call.media = &file{media: media, params: params, data: parts[1].data}
	if call.Operation.Mail != "" {
		if media != mailMedia || len(params) > 0 {
			return errors.New("related: the second part is not message/rfc822")
		}
		if call.mail, err = readMessage(call.media.data); err != nil {
			return err
		}
	}
	return call.writeRelated()
}

func (call *Call) writeRelated() error {
	doc := writeObject(call.members)
	w, err := newPartWriter(len(doc)+len(call.media.data), doc, call.media.data)
	if err != nil {
		return err
	}
	w.part(doc, "Content-Type: "+jsonMedia+"; charset=UTF-8")
	w.part(call.media.data, call.media.contentType())
	call.Body, call.ContentType = w.end(), relatedMedia+"; boundary="+w.boundary
	return nil
}
