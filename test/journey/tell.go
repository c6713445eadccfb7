package journey

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Teller is who the story is told to.
type Teller interface {
	// Say says a sentence.
	Say(format string, args ...any)
	// Show shows real output, under the command or question it came from.
	Show(what, output string)
}

// Terminal tells the story to a person.
type Terminal struct {
	Out   io.Writer
	start time.Time
	color bool
}

// NewTerminal writes to a file, in colour if it is a terminal.
func NewTerminal(out *os.File) *Terminal {
	info, err := out.Stat()
	return &Terminal{Out: out, start: time.Now(), color: err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == ""}
}

// Heading begins an act.
func (t *Terminal) Heading(title, story string) {
	fmt.Fprintf(t.Out, "\n%s\n%s\n\n", t.paint("1;36", fmt.Sprintf("━━ %s  (%.0fs)", title, time.Since(t.start).Seconds())), wrap(story, 100))
}

// Say implements Teller.
func (t *Terminal) Say(format string, args ...any) {
	fmt.Fprintln(t.Out, t.paint("32", "  ✓ ")+fmt.Sprintf(format, args...))
}

// Show implements Teller.
func (t *Terminal) Show(what, output string) {
	fmt.Fprintln(t.Out, t.paint("1", "  "+what))
	for line := range strings.Lines(strings.TrimRight(output, "\n") + "\n") {
		fmt.Fprint(t.Out, t.paint("2", "  │ "), line)
	}
}

// Fail says what was not as promised.
func (t *Terminal) Fail(err error) {
	fmt.Fprintln(t.Out, t.paint("1;31", "  ✗ ")+err.Error())
}

func (t *Terminal) paint(code, text string) string {
	if !t.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func wrap(text string, width int) string {
	var out strings.Builder
	length := 0
	for _, word := range strings.Fields(text) {
		if length > 0 && length+1+len(word) > width {
			out.WriteByte('\n')
			length = 0
		} else if length > 0 {
			out.WriteByte(' ')
			length++
		}
		out.WriteString(word)
		length += len(word)
	}
	return out.String()
}
