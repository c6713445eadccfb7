package connector

import (
	"errors"
	"mime"
	"strings"
)

// maxAddresses is how many a header may have.
const maxAddresses = maxResources

var (
	errAddress = errors.New("it is not a list of plain addresses: Name <name@host.example>, with no comments, groups, routes or quoted names of mailboxes")
	errName    = errors.New("a name beside an address could be read as an address")
)

// readAddresses reads a list of addresses (RFC 5322, 3.4) without what readers do not agree on: comments, groups, routes,
// quoted local parts, address literals, empty elements, and names that could be taken for addresses.
func readAddresses(list string) ([]string, error) {
	r := addressReader{text: list}
	if r.space(); r.text == "" {
		return nil, nil
	}
	var addresses []string
	for {
		a, err := r.mailbox()
		if err != nil {
			return nil, err
		}
		addresses = append(addresses, a)
		r.space()
		switch {
		case r.text == "":
			return addresses, nil
		case r.text[0] != ',' || len(addresses) == maxAddresses:
			return nil, errAddress
		}
		r.text = r.text[1:]
		r.space()
	}
}

// addressReader goes through a list of addresses.
type addressReader struct{ text string }

func (r *addressReader) space() { r.text = strings.TrimLeft(r.text, " \t") }

// mailbox reads one address, with or without a name before it.
func (r *addressReader) mailbox() (string, error) {
	named := false
	for {
		if strings.HasPrefix(r.text, "<") {
			inside, rest, ok := strings.Cut(r.text[1:], ">")
			if !ok {
				return "", errAddress
			}
			r.text = rest
			local, domain, ok := strings.Cut(inside, "@")
			if !ok {
				return "", errAddress
			}
			return address(local, domain)
		}
		if strings.HasPrefix(r.text, `"`) {
			if err := r.quoted(); err != nil {
				return "", err
			}
		} else {
			word := r.word()
			switch {
			case word == "":
				return "", errAddress
			case strings.HasPrefix(r.text, "@"):
				if named {
					return "", errAddress
				}
				r.text = r.text[1:]
				return address(word, r.word())
			}
			if err := checkWord(word); err != nil {
				return "", err
			}
		}
		named = true
		if rest := strings.TrimLeft(r.text, " \t"); rest == r.text && !strings.HasPrefix(rest, "<") {
			return "", errAddress // words with nothing between them
		}
		r.space()
	}
}

// word reads an atom, with dots.
func (r *addressReader) word() string {
	end := 0
	for end < len(r.text) && (isAtom(r.text[end]) || r.text[end] == '.') {
		end++
	}
	word := r.text[:end]
	r.text = r.text[end:]
	return word
}

// quoted reads a name in quotes. It may have a comma, but nothing of which an address could be made.
func (r *addressReader) quoted() error {
	inside, rest, ok := strings.Cut(r.text[1:], `"`)
	if !ok {
		return errAddress
	}
	r.text = rest
	if strings.ContainsAny(inside, "@<>\\:;") || strings.Contains(inside, "=?") || !isASCII(inside) {
		return errName
	}
	return nil
}

// checkWord refuses a word of a name that, decoded (RFC 2047), has what makes an address.
func checkWord(word string) error {
	if !strings.Contains(word, "=?") {
		return nil
	}
	if !strings.HasPrefix(word, "=?") || !strings.HasSuffix(word, "?=") || strings.Count(word, "?") != 4 {
		return errName
	}
	text, err := new(mime.WordDecoder).Decode(word)
	if err != nil || strings.ContainsAny(text, "@<>\\:;,\"()[]") || strings.Contains(text, "=?") ||
		strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == '�' }) {
		return errName
	}
	return nil
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f })
}

// isAtom reports whether a character is of an atom (RFC 5322, 3.2.3).
func isAtom(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

// address checks the two parts of an address, and returns it in lower case. The percent and the exclamation mark route
// mail on from a host for some; an international domain must be in ASCII already (RFC 5890).
func address(local, domain string) (string, error) {
	local, domain = strings.ToLower(local), strings.ToLower(domain)
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool { return r > 0x7e || !isAtom(byte(r)) || r == '%' || r == '!' }) {
			return "", errAddress
		}
	}
	if len(local) > 64 || len(domain) > 253 || strings.Contains(local, "=?") || !hostShape.MatchString(domain) {
		return "", errAddress
	}
	return local + "@" + domain, nil
}
