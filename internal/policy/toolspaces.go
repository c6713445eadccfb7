package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// toolAsk is one entry of tools, with the names of all its resources in one list.
type toolAsk struct {
	v1alpha1.ToolRequest
	path   string
	names  []resourceName
	region region
}

// resourceName is one name, or one domain of mail addresses, of one scope of an entry, and where it stands there.
type resourceName struct {
	kind        string
	pattern     v1alpha1.Pattern // as it is judged; a domain is one without "*"
	written     string
	domain      bool
	scope, item int
}

func (a *toolAsk) namePath(i int) string {
	list := "names"
	if a.names[i].domain {
		list = "domains"
	}
	return fmt.Sprintf("%s.resources[%d].%s[%d]", a.path, a.names[i].scope, list, a.names[i].item)
}

// String is the name in a sentence, after its type.
func (r resourceName) String() string {
	if r.domain {
		return fmt.Sprintf("domain %q", r.written)
	}
	return fmt.Sprintf("%q", r.written)
}

// placeTools gives each entry its place.
func (n *narrowing) placeTools() {
	n.toolSpaces = map[v1alpha1.ConnectorName]*space{}
	for i, ask := range n.Claw.Spec.Tools {
		s := n.toolSpaces[ask.Connector]
		if s == nil {
			s = &space{}
			n.toolSpaces[ask.Connector] = s
		}
		e := toolAsk{ToolRequest: ask, path: fmt.Sprintf("spec.tools[%d]", i)}
		for k, scope := range ask.Resources {
			e.names = append(e.names, n.namesOf(&e, k, &scope)...)
		}
		e.region = s.take(len(e.names))
		for j := range e.names {
			placeName(s, e.region, &e.names[j], n.kindOf(ask.Connector, e.names[j].kind), j)
		}
		n.toolAsks = append(n.toolAsks, e)
	}
}

// namesOf lists what a scope of an entry asks for, as it is judged, and reports what nobody can be given.
func (n *narrowing) namesOf(ask *toolAsk, k int, scope *v1alpha1.ResourceScope) []resourceName {
	kind := n.kindOf(ask.Connector, scope.Type)
	path := fmt.Sprintf("%s.resources[%d]", ask.path, k)
	switch {
	case !kind.known:
		if n.has(ask.Connector) {
			n.report(path+".type", v1alpha1.WithheldUnknownType, "", n.unknownType(ask.Connector, scope.Type))
		}
		return nil
	case len(scope.Domains) > 0 && !kind.Address:
		n.report(path+".domains", v1alpha1.WithheldUnknownType, "", fmt.Sprintf(
			"asked for %s %s by domain; they are no mail addresses, and are in no domain: list them in names", ask.Connector, scope.Type))
	case kind.Identity != "" && n.Claw.Spec.Visibility == v1alpha1.VisibilityPrivate:
		return n.ownNames(ask.Connector, path, k, scope, kind)
	}
	var out []resourceName
	for j, p := range scope.Names {
		out = append(out, resourceName{kind: scope.Type, pattern: kind.fold(p), written: string(p), scope: k, item: j})
	}
	if kind.Address {
		for j, d := range scope.Domains {
			out = append(out, resourceName{kind: scope.Type, pattern: v1alpha1.Pattern(d), written: string(d), domain: true, scope: k, item: j})
		}
	}
	return out
}

// ownNames is namesOf where ids are those of people and the Claw is Private: it reaches its owner only. "*" is
// everybody the visibility admits, and so becomes what the directory says of the owner.
func (n *narrowing) ownNames(connector v1alpha1.ConnectorName, path string, k int, scope *v1alpha1.ResourceScope, kind resourceKind) []resourceName {
	own := n.dir.identitiesOf(n.Claw.Spec.Owner, v1alpha1.ConnectorName(kind.Identity), kind.folded())
	var out []resourceName
	for j, p := range scope.Names {
		pattern := kind.fold(p)
		switch {
		case p == v1alpha1.Wildcard && len(own) > 0:
			for _, id := range own {
				out = append(out, resourceName{kind: scope.Type, pattern: v1alpha1.Pattern(id), written: string(p), scope: k, item: j})
			}
		case slices.Contains(own, string(pattern)):
			out = append(out, resourceName{kind: scope.Type, pattern: pattern, written: string(p), scope: k, item: j})
		case !n.full():
			n.report(at(path, "names", j), v1alpha1.WithheldVisibility, "", beyondIdentities(connector, scope.Type, fmt.Sprintf("%q", p), kind.Identity, own))
		}
	}
	for j, d := range scope.Domains {
		if !n.full() {
			n.report(at(path, "domains", j), v1alpha1.WithheldVisibility, "", beyondIdentities(connector, scope.Type, fmt.Sprintf("domain %q", d), kind.Identity, own))
		}
	}
	return out
}

func beyondIdentities(connector v1alpha1.ConnectorName, kind, asked, identity string, own []string) string {
	remedy := fmt.Sprintf("ask for one of %s, for \"*\", which stands for them", list(own))
	if len(own) == 0 {
		remedy = fmt.Sprintf("have the platform add the owner's %s identity to the directory of the ClawOrganization", identity)
	}
	return fmt.Sprintf("asked for %s %s %s; a Private Claw reaches its owner only: %s, or ask for visibility Team", connector, kind, asked, remedy)
}

// The kinds of name in a space of tools are these, each before the type of resource. No type makes two of them one.
const (
	kindName    = "name:"
	kindMailbox = "in domain:" // by the domain of names that are mail addresses
	kindAnyMail = "open end:"  // of mail addresses those with a "*"
	kindMail    = "domain:"
)

// placeName gives a name its places: by its text, and by what it has to do with domains.
func placeName(s *space, r region, named *resourceName, kind resourceKind, i int) {
	if named.domain {
		s.put(r, kindMail+named.kind, name{text: string(named.pattern), place: i}, isDomain(v1alpha1.Domain(named.pattern)))
		return
	}
	s.add(r, kindName+named.kind, named.pattern, i)
	if !kind.Address {
		return
	}
	text, prefix, ok := split(named.pattern)
	if domain, address := mailDomain(text); prefix {
		s.put(r, kindAnyMail+named.kind, name{place: i}, ok)
	} else if address {
		s.put(r, kindMailbox+named.kind, name{text: domain, place: i}, ok)
	}
}

// toolCover is what a rule covers, or a denial touches, of all entries at its connector.
type toolCover struct {
	from[v1alpha1.ToolRule]
	names set
}

func toolConnector(r *v1alpha1.ToolRule) v1alpha1.ConnectorName { return r.Connector }

// toolAllows looks up what the rules cover at a connector.
func (n *narrowing) toolAllows(connector v1alpha1.ConnectorName) []toolCover {
	s := n.toolSpaces[connector]
	return lookUp(&n.toolAllow, connector, n.ceiling.allow.tools, toolConnector, func(r from[v1alpha1.ToolRule]) toolCover {
		var names set
		for i := range r.rule.Resources {
			names = n.coveredNames(s, names, connector, &r.rule.Resources[i])
		}
		return toolCover{r, names}
	})
}

// coveredNames finds what a scope of a rule allows. A domain holds the addresses in it, and "*" holds every domain.
func (n *narrowing) coveredNames(s *space, out set, connector v1alpha1.ConnectorName, scope *v1alpha1.ResourceScope) set {
	kind := n.kindOf(connector, scope.Type)
	out = s.covered(out, kindName+scope.Type, kind.foldAll(scope.Names))
	if !kind.Address {
		return out
	}
	if slices.Contains(scope.Names, v1alpha1.Wildcard) {
		out = s.covered(out, kindMail+scope.Type, []v1alpha1.Pattern{v1alpha1.Wildcard})
	}
	for _, d := range scope.Domains {
		if !isDomain(d) {
			continue
		}
		exact := []v1alpha1.Pattern{v1alpha1.Pattern(d)}
		out = s.covered(out, kindMail+scope.Type, exact)
		out = s.covered(out, kindMailbox+scope.Type, exact)
	}
	return out
}

// toolDenials looks up what the denials touch at a connector.
func (n *narrowing) toolDenials(connector v1alpha1.ConnectorName) []toolCover {
	s := n.toolSpaces[connector]
	return lookUp(&n.toolDeny, connector, n.ceiling.deny.tools, toolConnector, func(r from[v1alpha1.ToolRule]) toolCover {
		var names set
		for i := range r.rule.Resources {
			names = n.deniedNamesOf(s, names, connector, &r.rule.Resources[i])
		}
		return toolCover{r, names}
	})
}

// deniedNamesOf finds what a scope of a denial is about: one without names and domains, all of its type. One of a type
// that the connector does not have, or of domains where there are none, was meant for something, and nobody can
// say what: it is about all there is.
func (n *narrowing) deniedNamesOf(s *space, out set, connector v1alpha1.ConnectorName, scope *v1alpha1.ResourceScope) set {
	kind := n.kindOf(connector, scope.Type)
	switch {
	case !kind.known && scope.Type == ResourceChannel:
		return out // it is about the entries of channels, whatever resources tools are about
	case !kind.known:
		return s.everything(out)
	case len(scope.Names)+len(scope.Domains) == 0, len(scope.Domains) > 0 && !kind.Address:
		return s.all(s.all(out, kindName+scope.Type), kindMail+scope.Type)
	}
	out = s.overlapped(out, kindName+scope.Type, kind.foldAll(scope.Names))
	if !kind.Address {
		return out
	}
	for _, p := range scope.Names {
		out = s.domainsOf(out, kindMail+scope.Type, kind.fold(p))
	}
	for _, d := range scope.Domains {
		out = s.all(out, kindAnyMail+scope.Type) // before an "@" anything can stand, so each reaches into each domain
		if !isDomain(d) {
			out = s.all(s.all(out, kindName+scope.Type), kindMail+scope.Type)
			continue
		}
		exact := []v1alpha1.Pattern{v1alpha1.Pattern(d)}
		out = s.overlapped(out, kindMail+scope.Type, exact)
		out = s.overlapped(out, kindMailbox+scope.Type, append(exact, v1alpha1.Pattern(d)+".")) // the same domain, in full
	}
	return out
}

// domainsOf adds the domains of a kind in which a denied address is.
func (s *space) domainsOf(out set, kind string, denied v1alpha1.Pattern) set {
	text, prefix, ok := split(denied)
	if prefix || !ok {
		return s.all(out, kind)
	}
	if domain, address := mailDomain(text); address {
		return s.overlapped(out, kind, []v1alpha1.Pattern{v1alpha1.Pattern(strings.TrimSuffix(domain, "."))})
	}
	return out
}
