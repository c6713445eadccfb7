package main

import (
	"maps"
	"slices"
	"strings"
)

// A file is uploaded to another host or base than the rest, in one of the ways that uploadType names: alone (media), with
// what is known of it (multipart), or in parts (resumable), to an address that the answer gives and that says nothing.

// denied returns an operation that nobody may ask for, wherever it can be asked.
func (d *decider) denied(op operation, p published) []operation {
	out := []operation{op}
	if p.Upload && d.book.Upload != nil {
		op.ID, op.Host = op.ID+":upload", d.book.Upload.Host
		out = append(out, op)
	}
	return out
}

// uploads returns an operation and, where it takes a file, its other ways.
func (d *decider) uploads(op operation, p published) []operation {
	rule := d.book.Upload
	if !p.Upload || rule == nil {
		return []operation{op}
	}
	variant := func(kind string) operation {
		v := op
		v.ID, v.Host, v.When = op.ID+":"+kind, rule.Host, map[string]string{"uploadType": kind}
		return v
	}
	multipart, media := variant("multipart"), variant("media")
	multipart.Bodies = []string{"Related"}
	media.Bodies, media.Params, media.Nested, media.Fields, media.Forbid = []string{rule.Media}, nil, nil, nil, nil
	media.Resources, media.Values = noBody(op.Resources), noBody(op.Values)
	if rule.Mail {
		name, _, _ := strings.Cut(strings.TrimPrefix(op.Mail, "body."), ".") // raw, or message of message.raw
		multipart.Mail, media.Mail = "body", "body"
		if op.Mail == "body."+name {
			multipart.Params = slices.DeleteFunc(slices.Clone(op.Params), func(param string) bool { return param == name })
		} else {
			multipart.Nested = append(slices.Clone(op.Nested), map[string]any{"in": []string{name}, "key": strings.TrimPrefix(op.Mail, "body."+name+".")})
		}
	}
	resumable := operation{ID: op.ID + ":resumable", Host: rule.Host, Methods: op.Methods, Path: op.Path, Action: op.Action,
		When: map[string]string{"uploadType": "resumable"}, Deny: rule.Deny}
	return []operation{op, multipart, media, resumable}
}

// noBody returns rules without the places that are in a JSON body; those about such places only are left out.
func noBody(rules []any) []any {
	var out []any
	for _, rule := range rules {
		switch rule := rule.(type) {
		case value:
			if !strings.HasPrefix(rule.At, "body.") {
				out = append(out, rule)
			}
		case map[string]any:
			from, _ := rule["from"].([]any)
			kept := slices.DeleteFunc(slices.Clone(from), func(place any) bool {
				text, _ := place.(string)
				return strings.HasPrefix(text, "body.")
			})
			if len(kept) == 0 && rule["value"] == nil {
				continue
			}
			rule = maps.Clone(rule)
			if delete(rule, "from"); len(kept) > 0 {
				rule["from"] = kept
			}
			out = append(out, rule)
		}
	}
	return out
}
