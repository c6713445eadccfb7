package connector

import (
	"net/mail"
	"slices"
	"strings"
)

// gmailAuthor returns who wrote a message of Gmail: the address of its only From, in lower case. What comes from outside
// of the mailbox counts only where Google found that the domain stands for it (DMARC, RFC 7489), since anybody can write
// any From. It is empty otherwise, and where the answer does not have the headers.
func gmailAuthor(value []byte) string {
	var from, results []string
	for h := range elementsOf(memberOf(memberOf(value, "payload"), "headers")) {
		switch text := textOfMember(h, "value"); strings.ToLower(textOfMember(h, "name")) {
		case "from":
			from = append(from, text)
		case "authentication-results":
			results = append(results, text)
		}
	}
	if len(from) != 1 {
		return ""
	}
	list, err := mail.ParseAddressList(from[0])
	if err != nil || len(list) != 1 {
		return ""
	}
	address := strings.ToLower(list[0].Address)
	at := strings.LastIndexByte(address, '@')
	if at <= 0 {
		return ""
	}
	if isOwnMail(value) || len(results) > 0 && isAligned(results[0], address[at+1:]) {
		return address
	}
	return ""
}

// isOwnMail reports whether the mailbox itself wrote a message. Nobody else can set these labels.
func isOwnMail(value []byte) bool {
	for label := range elementsOf(memberOf(value, "labelIds")) {
		if text, _ := textOf(label); text == "SENT" || text == "DRAFT" {
			return true
		}
	}
	return false
}

// isAligned reports whether the results of authentication (RFC 8601) are Google's own and say that a domain stands for
// the message. Only the topmost are the receiver's; those below can be of anybody.
func isAligned(results, domain string) bool {
	plain, ok := withoutComments(strings.ToLower(results))
	if !ok {
		return false
	}
	parts := strings.Split(plain, ";")
	if strings.TrimSpace(parts[0]) != "mx.google.com" {
		return false
	}
	found := slices.DeleteFunc(parts[1:], func(p string) bool { return !strings.HasPrefix(strings.TrimSpace(p), "dmarc") })
	if len(found) != 1 {
		return false
	}
	words := strings.Fields(found[0])
	return words[0] == "dmarc=pass" && slices.Contains(words, "header.from="+domain)
}

// withoutComments takes comments and quoted strings out of a header field: they quote what strangers wrote.
func withoutComments(text string) (string, bool) {
	var out strings.Builder
	depth, quoted, escaped := 0, false, false
	for _, r := range text {
		switch {
		case escaped:
			escaped = false
		case r == '\\':
			escaped = true
		case quoted:
			quoted = r != '"'
		case r == '"':
			quoted = true
		case r == '(':
			depth++
		case r == ')':
			if depth--; depth < 0 {
				return "", false
			}
		case depth == 0:
			out.WriteRune(r)
		}
	}
	return out.String(), depth == 0 && !quoted && !escaped
}
