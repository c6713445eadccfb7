package connector

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// param is one parameter of a query or a form, decoded.
type param struct{ name, value string }

const (
	maxParams    = 256
	maxParamName = 256
)

// readParams reads a query or a form. Whatever servers disagree about is refused: semicolons, broken escapes, and text
// that is not UTF-8 or has a NUL.
func readParams(raw string) ([]param, error) {
	if raw == "" {
		return nil, nil
	}
	params := make([]param, 0, min(strings.Count(raw, "&")+1, maxParams))
	for pair := range strings.SplitSeq(raw, "&") {
		if len(params) == maxParams {
			return nil, errors.New("there are too many parameters")
		}
		p, err := readParam(pair)
		if err != nil {
			return nil, err
		}
		params = append(params, p)
	}
	return params, nil
}

// checkTwice refuses names that are there twice: some servers take the first, some the last, and some both.
func checkTwice(params []param, may func(name string) bool) error {
	for i, p := range params {
		for _, other := range params[:i] {
			if other.name == p.name && !may(p.name) {
				return fmt.Errorf("parameter %q is there twice", p.name)
			}
		}
	}
	return nil
}

func never(string) bool { return false }

func readParam(pair string) (param, error) {
	for i := range len(pair) {
		if c := pair[i]; c <= ' ' || c >= 0x7f || c == ';' || c == '#' {
			return param{}, errors.New("a parameter has a character that must be encoded")
		}
	}
	rawName, rawValue, _ := strings.Cut(pair, "=")
	name, err := url.QueryUnescape(rawName)
	if err != nil {
		return param{}, errors.New("a parameter has a broken escape")
	}
	value, err := url.QueryUnescape(rawValue)
	if err != nil {
		return param{}, errors.New("a parameter has a broken escape")
	}
	switch {
	case name == "" || len(name) > maxParamName:
		return param{}, errors.New("a parameter's name is empty or too long")
	case !utf8.ValidString(name) || !utf8.ValidString(value) || strings.ContainsRune(pair, 0) || strings.Contains(name, "\x00"):
		return param{}, errors.New("a parameter is not proper text")
	}
	return param{name: name, value: value}, nil
}

// writeParams writes parameters in one way only.
func writeParams(params []param) string {
	var b strings.Builder
	for i, p := range params {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(p.name))
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(p.value))
	}
	return b.String()
}

// disguised returns an error for a name that is not, but that some server may read as, one that means something to
// us: other case, white space around it, or the brackets by which PHP makes a list of it.
func (b *book) disguised(name string) error {
	plain, _, _ := strings.Cut(strings.TrimSpace(name), "[")
	known := b.guarded[strings.ToLower(strings.TrimSpace(plain))]
	if len(known) > 0 && !slices.Contains(known, name) {
		return fmt.Errorf("parameter %q could be taken for %q", name, known[0])
	}
	return nil
}
