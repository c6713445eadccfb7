package policy

import (
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// mailDomain returns the domain of a mail address, in lower case; ok is false where there is none. What stands
// before the last "@" is the mailbox. Letters of other alphabets are in no domain: some become others in lower case.
func mailDomain(address string) (domain string, ok bool) {
	i := strings.LastIndexByte(address, '@')
	if i <= 0 {
		return "", false
	}
	domain = address[i+1:]
	for _, c := range []byte(domain) {
		if c >= 0x80 {
			return "", false
		}
	}
	return strings.ToLower(domain), domain != ""
}

// isDomain reports whether a domain is written so that an address can be in it.
func isDomain(d v1alpha1.Domain) bool {
	domain, ok := mailDomain("x@" + string(d))
	return ok && domain == string(d) && !strings.ContainsAny(domain, "@*")
}

// corresponds reports whether somebody is one of the correspondents.
func corresponds(c *v1alpha1.Correspondents, actor string) bool {
	return matchesAny(c.Users, actor) || inDomains(c.Domains, actor)
}

// inDomains reports whether an address is in one of the domains.
func inDomains(domains []v1alpha1.Domain, address string) bool {
	if len(domains) == 0 {
		return false
	}
	domain, ok := mailDomain(address)
	return ok && slices.ContainsFunc(domains, func(d v1alpha1.Domain) bool { return isDomain(d) && string(d) == domain })
}
