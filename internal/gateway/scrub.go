package gateway

import (
	"bytes"

	"github.com/clawstaff/clawstaff/internal/gateway/state"
)

// minSecret is the length from which a key is looked for in answers: anything shorter would be found by chance.
const minSecret = 8

// maxSecret is how much of a long key is looked for.
const maxSecret = 4 << 10

// secrets are the values an agent must never see. A found one is overwritten by as many asterisks, so that
// lengths stay what they were.
type secrets struct {
	values  [][]byte
	spelled needles // and as requests may have them, see spellings
}

// secretsOf collects every key of a snapshot.
func secretsOf(snap *state.Snapshot) *secrets {
	s := &secrets{}
	for _, slots := range snap.Keys {
		for _, key := range slots {
			if v := key.Reveal(); len(v) >= minSecret {
				v = bytes.Clone(v[:min(len(v), maxSecret)])
				s.values = append(s.values, v)
				for _, spelling := range spellings(v) {
					s.spelled.add(spelling)
				}
			}
		}
	}
	return s
}

// scrub overwrites secrets in data. It returns how many bytes at its end may be the start of one: they are to be
// kept until more is known, or the data ends.
func (s *secrets) scrub(data []byte) (keep int) {
	for _, v := range s.values {
		for rest := data; ; {
			i := bytes.Index(rest, v)
			if i < 0 {
				break
			}
			mask(rest[i : i+len(v)])
			rest = rest[i+len(v):]
		}
		keep = max(keep, begun(data, v))
	}
	return keep
}

// scrubText is scrub for a text that is complete.
func (s *secrets) scrubText(text string) string {
	for _, v := range s.values {
		if bytes.Contains([]byte(text), v) {
			data := []byte(text)
			s.scrub(data)
			return string(data)
		}
	}
	return text
}

// begun returns the length of the longest end of data that is a start of v, v itself excepted.
func begun(data, v []byte) int {
	start := max(0, len(data)-len(v)+1)
	for {
		i := bytes.IndexByte(data[start:], v[0])
		if i < 0 {
			return 0
		}
		start += i
		if bytes.HasPrefix(v, data[start:]) {
			return len(data) - start
		}
		start++
	}
}

func mask(b []byte) {
	for i := range b {
		b[i] = '*'
	}
}
