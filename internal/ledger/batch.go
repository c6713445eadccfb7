package ledger

import (
	"errors"
	"fmt"
	"mime"
	"regexp"
	"strings"

	"github.com/clawstaff/clawstaff/internal/audit"
)

// errInvalid means that what was sent is not a batch of records.
var errInvalid = errors.New("not a batch of records")

// batch is some records of one history, one after the other.
type batch struct {
	claw  audit.ClawRef
	links []audit.Link
	lines [][]byte // each with its newline
}

func (b *batch) first() audit.Link { return b.links[0] }
func (b *batch) last() audit.Link  { return b.links[len(b.links)-1] }

// decode reads an OTLP/HTTP body.
func decode(contentType string, body []byte) (*batch, error) {
	var lines []string
	media, _, err := mime.ParseMediaType(contentType)
	switch {
	case err == nil && media == "application/x-protobuf":
		lines, err = protobufLines(body)
	case err == nil && media == "application/json":
		lines, err = jsonLines(body)
	default:
		return nil, fmt.Errorf("%w: content type %q; send application/x-protobuf or application/json", errInvalid, contentType)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errInvalid, err)
	}
	return newBatch(lines)
}

// newBatch checks that lines are records of one Claw, each following the one before.
func newBatch(lines []string) (*batch, error) {
	if len(lines) == 0 {
		return nil, fmt.Errorf("%w: it is empty", errInvalid)
	}
	b := &batch{}
	var order audit.Verifier
	for i, text := range lines {
		if strings.ContainsAny(text, "\n\r") {
			return nil, fmt.Errorf("%w: record %d of it holds a line break", errInvalid, i+1)
		}
		line := append([]byte(text), '\n')
		link, err := audit.ParseLink(line[:len(text)])
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errInvalid, err)
		}
		if i == 0 {
			order.Head = audit.Head{Seq: link.Seq - 1, Hash: link.Prev}
		}
		if err := order.Follow(link); err != nil {
			return nil, fmt.Errorf("%w: %w", errInvalid, err)
		}
		b.links, b.lines = append(b.links, link), append(b.lines, line)
	}
	b.claw = b.first().Claw
	return b, checkClaw(b.claw)
}

var (
	nameFormat = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	uidFormat  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,62}$`)
)

// checkClaw makes sure that a Claw's names can be names of directories.
func checkClaw(claw audit.ClawRef) error {
	if !nameFormat.MatchString(claw.Namespace) || !nameFormat.MatchString(claw.Name) || !uidFormat.MatchString(claw.UID) {
		return fmt.Errorf("%w: %q/%q (%q) is no Claw's namespace, name and UID", errInvalid, claw.Namespace, claw.Name, claw.UID)
	}
	return nil
}
