package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// coverage is how many operations of a description were decided about.
type coverage struct {
	Source     string
	Published  int
	Classified int
	Aliases    int
}

var errDecided = errors.New("the rules and the description differ")

// decider applies a book of rules, and gathers what is wrong.
type decider struct {
	book    *ruleBook
	groups  patterns // paths
	ids     patterns
	classes patterns
	denials patterns
	details patterns
	keep    patterns
	wrong   []string
}

// decide returns an operation for everything that is published, in that order, and the others. All that is undecided, and
// all rules that are about nothing, are said at once.
func decide(all []published, book *ruleBook) ([]operation, coverage, error) {
	byID := func() patterns { return patterns{match: matchID, used: map[string]bool{}} }
	d := &decider{book: book, groups: patterns{match: matchPath, used: map[string]bool{}},
		ids: byID(), classes: byID(), denials: byID(), details: byID(), keep: byID()}
	if len(all) != book.Source.Operations {
		d.complain("%s has %d operations, not %d: read what changed, then correct source.operations", book.Source.Name, len(all), book.Source.Operations)
	}
	seen := coverage{Source: book.Source.Name, Published: len(all)}
	var out []operation
	known := map[string]bool{}
	for _, p := range all {
		known[p.ID] = true
		if book.Aliases[p.ID] != "" {
			seen.Classified++
			seen.Aliases++
			continue
		}
		if ops := d.operation(p); len(ops) > 0 {
			seen.Classified++
			out = append(out, ops...)
		}
	}
	for id, other := range book.Aliases {
		if !known[id] || !known[other] {
			d.complain("aliases: %s is %s: one of them is not published", id, other)
		}
	}
	d.unused()
	if len(d.wrong) > 0 {
		slices.Sort(d.wrong)
		return nil, seen, fmt.Errorf("%w:\n  %s", errDecided, strings.Join(d.wrong, "\n  "))
	}
	return append(out, book.Others...), seen, nil
}

func (d *decider) complain(format string, args ...any) {
	d.wrong = append(d.wrong, fmt.Sprintf(format, args...))
}

// unused complains about rules that are about nothing.
func (d *decider) unused() {
	say := func(list string, p *patterns, names []string) {
		for _, name := range p.unused(names) {
			d.complain("%s: %s is about no operation, or others before it are", list, name)
		}
	}
	for _, g := range d.book.Groups {
		say("groups", &d.groups, g.Paths)
		say("groups", &d.ids, g.IDs)
	}
	for _, c := range slices.Concat(d.book.Overrides, d.book.Names) {
		say("classes", &d.classes, c.IDs)
	}
	for _, r := range d.book.Deny {
		say("deny", &d.denials, r.IDs)
	}
	for _, r := range d.book.Details {
		say("details", &d.details, r.IDs)
	}
	say("texts.keep", &d.keep, d.book.Texts.Keep)
}

// operation decides about one that is published. It may become several: one more for each way to upload.
func (d *decider) operation(p published) []operation {
	op := operation{ID: p.ID, Host: d.book.Host, Methods: []string{p.Method}, Path: p.Path, Action: d.action(p)}
	i := slices.IndexFunc(d.book.Groups, func(g group) bool { return d.groups.any(g.Paths, p.Path) || d.ids.any(g.IDs, p.ID) })
	if i < 0 {
		d.complain("%s (%s %s) is in no group", p.ID, p.Method, p.Path)
		return nil
	}
	g := d.book.Groups[i]
	op.Deny = g.Deny
	for _, rule := range d.book.Deny {
		if d.denials.any(rule.IDs, p.ID) {
			op.Deny = rule.Why
		}
	}
	var details []detail
	for _, rule := range d.book.Details {
		if d.details.any(rule.IDs, p.ID) {
			details = append(details, rule)
		}
	}
	if op.Deny != "" {
		for _, rule := range details {
			op.Path, op.Host = orElse(rule.Path, op.Path), orElse(rule.Host, op.Host)
		}
		return d.denied(op, p)
	}
	op.Authority, op.Resources = g.Authority, slices.Clone(g.Resources)
	op.Query = append(slices.Clone(d.book.Query), p.Query...)
	if op.Params = p.Params; p.Body != "" {
		op.Bodies = []string{p.Body}
	}
	d.limit(&op, p)
	d.texts(&op, p)
	for _, rule := range details {
		rule.apply(&op)
	}
	drop := func(name string) bool { return slices.Contains(d.book.Drop, name) }
	op.Query, op.Params = slices.DeleteFunc(op.Query, drop), slices.DeleteFunc(op.Params, drop)
	return d.uploads(op, p)
}

// action is the class of an operation: the overrides', else by its name, else by its method.
func (d *decider) action(p published) string {
	for _, c := range slices.Concat(d.book.Overrides, d.book.Names) {
		if d.classes.any(c.IDs, p.ID) {
			return c.Action
		}
	}
	switch p.Method {
	case "GET", "HEAD":
		return "Read"
	case "POST", "PUT", "PATCH":
		return "Write"
	case "DELETE":
		return "Delete"
	}
	d.complain("%s: method %s says nothing", p.ID, p.Method)
	return ""
}

// limit limits values of query parameters.
func (d *decider) limit(op *operation, p published) {
	values := d.book.Values
	if p.Media {
		values = d.book.Media
	}
	for _, v := range values {
		if name, ok := strings.CutPrefix(v.At, "query."); ok && slices.Contains(op.Query, name) {
			op.Values = append(op.Values, v)
		}
	}
}

// texts has what people wrote filtered by who did.
func (d *decider) texts(op *operation, p published) {
	if len(p.Texts) == 0 || d.keep.any(d.book.Texts.Keep, p.ID) {
		return
	}
	op.Response = &response{}
	for _, t := range p.Texts {
		if t.At != "" && !strings.HasSuffix(t.At, "[]") {
			op.Response.Remove = append(op.Response.Remove, t.At)
			continue
		}
		filter := map[string]any{"author": map[string]any{"from": t.Author, "ignoreCase": true}}
		if t.At != "" {
			filter["at"] = t.At
		}
		if strings.Trim(t.At, "[]") != "" {
			filter["optional"] = true
		}
		op.Response.Filters = append(op.Response.Filters, filter)
	}
}

func orElse(s, other string) string {
	if s != "" {
		return s
	}
	return other
}

func (r detail) apply(op *operation) {
	op.Path, op.Host = orElse(r.Path, op.Path), orElse(r.Host, op.Host)
	op.Mail, op.Authority = orElse(r.Mail, op.Mail), orElse(r.Authority, op.Authority)
	drop := func(name string) bool { return slices.Contains(r.Drop, name) }
	op.Query = append(slices.DeleteFunc(slices.Clone(op.Query), drop), r.Query...)
	op.Params = append(slices.DeleteFunc(slices.Clone(op.Params), drop), r.Params...)
	if r.Bodies != nil {
		op.Bodies = r.Bodies
	}
	if r.Instead != nil {
		op.Resources = slices.Clone(r.Instead)
	}
	op.Resources = append(op.Resources, r.Resources...)
	op.Forbid = append(op.Forbid, r.Forbid...)
	op.Fields = append(op.Fields, r.Fields...)
	op.Nested = append(op.Nested, r.Nested...)
	for _, v := range r.Values {
		op.Values = append(op.Values, v)
	}
	if r.Response != nil {
		if op.Response == nil {
			op.Response = &response{}
		}
		op.Response.Filters = append(op.Response.Filters, r.Response.Filters...)
		op.Response.Remove = append(op.Response.Remove, r.Response.Remove...)
	}
}
