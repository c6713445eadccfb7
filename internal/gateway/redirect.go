package gateway

import (
	"net/url"
	"slices"
	"strings"
)

// The gateway follows no redirect: an agent that does asks for what it leads to like for anything else. Where it leads
// is judged all the same, and nobody is told of places the grant knows nothing of: somebody else may have put them there.

// mayLead reports whether a header of an answer may be passed on, as far as where it leads is concerned. What may not is
// noted for the record.
func (ex *exchange) mayLead(name, value string) bool {
	ok := true
	switch name {
	case "Location", "Content-Location":
		ok = ex.known(value)
	case "Refresh":
		_, target, found := strings.Cut(value, "=")
		ok = found && ex.known(strings.Trim(strings.TrimSpace(target), `"'`))
	case "Link":
		targets, read := linkTargets(value)
		ok = read && !slices.ContainsFunc(targets, func(t string) bool { return !ex.known(t) })
	}
	if !ok && !slices.Contains(ex.removed, name) {
		ex.removed = append(ex.removed, name)
	}
	return ok
}

// known reports whether a target is at the host that was asked, or at another of a connector that the grant has.
func (ex *exchange) known(target string) bool {
	u, err := url.Parse(target)
	if err != nil || u.Opaque != "" || u.User != nil || strings.ContainsAny(target, "\\\t ") {
		return false
	}
	if u.Host == "" {
		return u.Scheme == "" && !strings.HasPrefix(target, "//")
	}
	host, port, _ := strings.Cut(strings.ToLower(u.Host), ":")
	if u.Scheme != "https" && u.Scheme != "" || port != "" && port != "443" {
		return false
	}
	return host == ex.host || len(ex.s.p.granted(ex.s.p.cfg.Source.Current(), host)) > 0
}

// linkTargets returns where a Link header leads (RFC 8288, 3). It reports false if that cannot be told.
func linkTargets(value string) (targets []string, ok bool) {
	for rest := strings.TrimLeft(value, ", \t"); rest != ""; rest = strings.TrimLeft(rest, ", \t") {
		if rest[0] != '<' {
			return nil, false
		}
		target, params, found := strings.Cut(rest[1:], ">")
		if !found {
			return nil, false
		}
		targets = append(targets, target)
		if rest, ok = afterParams(params); !ok {
			return nil, false
		}
	}
	return targets, true
}

// afterParams skips the parameters of a link, up to the comma that ends it. A text in quotes may have one, too.
func afterParams(s string) (rest string, ok bool) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			return s[i+1:], true
		}
	}
	return "", !quoted
}
