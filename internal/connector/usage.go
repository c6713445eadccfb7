package connector

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Usage is where an answer, or any event of a stream, says how many tokens were taken. Of a place that is there several
// times the greatest counts, since streams tell totals as they go on.
type Usage struct {
	// Tokens lists the places whose numbers are added up: usage.input_tokens. Where the same number is at one place or
	// at another they are written with a bar between, and the greatest counts: message.usage.input_tokens|usage.input_tokens.
	Tokens []string `json:"tokens"`

	places [][][]hop // of each number, of each place of it
}

// prepare checks the places.
func (u *Usage) prepare() error {
	if len(u.Tokens) == 0 {
		return errors.New("tokens: there must be one place")
	}
	for _, text := range u.Tokens {
		var places [][]hop
		for one := range strings.SplitSeq(text, "|") {
			p, err := readInnerHops(one)
			if err != nil {
				return fmt.Errorf("tokens: %w", err)
			}
			places = append(places, p)
		}
		u.places = append(u.places, places)
	}
	return nil
}

// Counter returns a counter for one answer. For a stream it is shown every event; over a WebSocket each message of the
// service is an answer of its own.
func (u *Usage) Counter() *TokenCounter {
	return &TokenCounter{usage: u, most: make([]int64, len(u.Tokens))}
}

// TokenCounter adds up what one answer says it took.
type TokenCounter struct {
	usage *Usage
	most  []int64
}

// maxTokens is more than any answer can take: what is said to be more is no number of tokens.
const maxTokens = 1 << 40

// Add reads an answer, the data of one event of it, or a list of such. What is no JSON says nothing of tokens.
func (c *TokenCounter) Add(doc []byte) {
	value, err := wholeValue(doc)
	if err != nil {
		return
	}
	if value[0] != '[' {
		c.read(value)
		return
	}
	for chunk := range elementsOf(value) {
		c.read(chunk)
	}
}

func (c *TokenCounter) read(value []byte) {
	for i, places := range c.usage.places {
		for _, p := range places {
			_ = eachAt(value, p, func(number []byte) error {
				if n, err := strconv.ParseInt(string(number), 10, 64); err == nil && n <= maxTokens {
					c.most[i] = max(c.most[i], n)
				}
				return nil
			})
		}
	}
}

// Total is how many tokens were taken, as far as it was said.
func (c *TokenCounter) Total() (total int64) {
	for _, n := range c.most {
		total += n
	}
	return total
}
