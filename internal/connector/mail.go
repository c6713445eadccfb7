package connector

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The places in a mail.
const (
	mailFrom       = "from"
	mailRecipients = "recipients"
)

// message is who a mail says it is from, and whom it reaches. Addresses are in lower case.
type message struct {
	from       []string // one, or none where the service fills it in
	recipients []string
}

// visit shows the addresses at a place.
func (m *message) visit(name string, show func(found) error) error {
	if m == nil {
		return nil
	}
	addresses := m.recipients
	if name == mailFrom {
		addresses = m.from
	}
	for _, a := range addresses {
		if err := show(found{text: a}); err != nil {
			return err
		}
	}
	return nil
}

// readMail reads a body that is a message.
func (call *Call) readMail(params map[string]string, body []byte) (err error) {
	if len(params) > 0 {
		return errors.New("the content type of a mail has a parameter")
	}
	call.Body, call.ContentType = body, mailMedia
	call.mail, err = readMessage(body)
	return err
}

// readMailMember reads a message that is base64url in a JSON body, with or without padding (RFC 4648, 5).
func (call *Call) readMailMember() error {
	p := call.Operation.judged.mail
	if p == nil {
		return nil
	}
	err := call.visit(p, func(f found) error {
		if f.missing {
			return nil
		}
		text, ok := f.name(false)
		if !ok {
			return errors.New("it is not base64url")
		}
		raw, err := decodeBase64URL(text)
		if err == nil {
			call.mail, err = readMessage(raw)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", p.text, err)
	}
	return nil
}

func decodeBase64URL(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") { // which the decoder skips
		return nil, errors.New("it is not base64url: it has a line break")
	}
	encoding := base64.RawURLEncoding
	if strings.HasSuffix(text, "=") {
		encoding = base64.URLEncoding
	}
	raw, err := encoding.Strict().DecodeString(text)
	if err != nil {
		return nil, errors.New("it is not base64url")
	}
	return raw, nil
}

// What a header that has addresses does with them.
type addressing int

const (
	reaches  addressing = iota + 1 // the mail is sent there
	answered                       // something that follows the mail is, where it is not who sends it
	sends                          // must be who sends it
	servers                        // is written by servers only
)

var addressHeaders = map[string]addressing{
	"from": sends, "sender": sends, "resent-from": sends, "resent-sender": sends,
	"to": reaches, "cc": reaches, "bcc": reaches, "resent-to": reaches, "resent-cc": reaches, "resent-bcc": reaches,
	"reply-to": answered, "resent-reply-to": answered, "mail-reply-to": answered, "mail-followup-to": answered,
	"disposition-notification-to": answered, "return-receipt-to": answered, "x-confirm-reading-to": answered,
	"return-path": servers, "errors-to": servers, "apparently-to": servers, "delivered-to": servers, "envelope-to": servers,
	"x-original-to": servers, "x-envelope-to": servers,
}

// readMessage finds who a message is from and whom it reaches. What two readers of mail could understand differently is
// refused; its text and its attachments are nobody's address and are not looked into.
func readMessage(raw []byte) (*message, error) {
	fields, err := readMailHeader(raw)
	if err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	m := &message{}
	var senders, answers []string
	for _, f := range fields {
		kind := addressHeaders[f.name]
		if kind == 0 {
			continue
		}
		addresses, err := readAddresses(f.value)
		if err != nil {
			return nil, fmt.Errorf("mail: header %s: %w", f.name, err)
		}
		switch {
		case kind == servers:
			return nil, fmt.Errorf("mail: header %s is not for those who send", f.name)
		case f.name == mailFrom:
			m.from = addresses
		case kind == sends:
			senders = append(senders, addresses...)
		case kind == reaches:
			m.recipients = append(m.recipients, addresses...)
		default:
			answers = append(answers, addresses...)
		}
	}
	if len(m.from) > 1 {
		return nil, errors.New("mail: it is from more than one address")
	}
	for _, a := range senders {
		if !slices.Contains(m.from, a) {
			return nil, errors.New("mail: who sends it is another than it is from")
		}
	}
	for _, a := range answers {
		if !slices.Contains(m.from, a) {
			m.recipients = append(m.recipients, a)
		}
	}
	return m, nil
}
