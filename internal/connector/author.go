package connector

import (
	"errors"
	"fmt"
	"strings"

	"github.com/clawstaff/clawstaff/internal/policy"
)

// prepare checks where an answer says who wrote something.
func (a *Author) prepare() (err error) {
	if a.from, err = readHops(a.From); err != nil {
		return fmt.Errorf("from: %w", err)
	}
	if a.channel, err = readHops(a.Channel); err != nil {
		return fmt.Errorf("channel: %w", err)
	}
	switch a.As {
	case AuthorSlack, AuthorGmail:
		if a.From != "" {
			return fmt.Errorf("as %s says where the writer is: there is no from", a.As)
		}
	case "":
		if len(a.from) == 0 {
			return errors.New("from or as is needed: the place of the writer's id")
		}
	default:
		return fmt.Errorf("as: %q is unknown: it is %s or %s", a.As, AuthorSlack, AuthorGmail)
	}
	return nil
}

// heard returns what the Claw may read of what somebody wrote; nil where it is nobody it would hear.
func (f *filtering) heard(a *Author, value []byte) ([]byte, error) {
	if value[0] != '{' {
		return nil, errShape
	}
	channel := f.channel(a, value)
	switch a.As {
	case AuthorSlack:
		return f.heardSlack(value, channel), nil
	case AuthorGmail:
		if actor := gmailAuthor(value); !f.sight.author(actor, channel) {
			return nil, nil
		}
		return value, nil
	}
	actor := textAt(value, a.from)
	if a.IgnoreCase {
		actor = strings.ToLower(actor)
	}
	if !f.sight.author(actor, channel) {
		return nil, nil
	}
	return value, nil
}

// channel is where something was written: what the answer says, or else what was asked for.
func (f *filtering) channel(a *Author, value []byte) string {
	if len(a.channel) > 0 {
		return textAt(value, a.channel)
	}
	for _, r := range f.call.Resources {
		if r.Type == policy.ResourceChannel {
			return r.Name
		}
	}
	return ""
}

// SelfIDs reads, out of the answer of the operation of Self, who the key belongs to, spelled as authors of answers are.
// An error is an answer that does not say it.
func (c *Connector) SelfIDs(answer []byte) ([]string, error) {
	if c.Self == nil {
		return nil, fmt.Errorf("connector %s does not say how to ask whom a key belongs to", c.Name)
	}
	value, err := wholeValue(answer)
	if err != nil {
		return nil, fmt.Errorf("the answer: %w", err)
	}
	var ids []string
	for _, place := range c.Self.IDs {
		var parts []string
		for part := range strings.SplitSeq(place, "/") {
			hops, err := readHops(part)
			if err != nil {
				return nil, fmt.Errorf("self.ids: %w", err)
			}
			if text := textAt(value, hops); text != "" {
				parts = append(parts, text)
			}
		}
		if len(parts) == strings.Count(place, "/")+1 {
			ids = append(ids, strings.Join(parts, "/"))
		}
	}
	if len(ids) == 0 {
		return nil, errors.New("the answer does not say whom the key belongs to")
	}
	return ids, nil
}
