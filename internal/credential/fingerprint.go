package credential

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"

	"github.com/clawstaff/clawstaff/internal/secret"
)

// KeySize is how long a Hasher's key is.
const KeySize = 32

// Hasher makes keyed hashes of secret values: equal values are found, and whoever sees a hash learns
// nothing, however few values there are to guess.
type Hasher struct{ key secret.Value }

// NewHasher takes a random key of KeySize bytes.
func NewHasher(key []byte) Hasher { return Hasher{key: secret.New(key)} }

// Fingerprint of one value, the same wherever the value is used.
func (h Hasher) Fingerprint(v secret.Value) string {
	return h.sum("fingerprint", v.Reveal())
}

// Fingerprints of all values, once each, in order.
func (h Hasher) Fingerprints(s Slots) []string {
	var out []string
	for _, v := range s {
		out = append(out, h.Fingerprint(v))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Version of a credential: it changes when a value or a slot does.
func (h Hasher) Version(s Slots) string {
	if len(s) == 0 {
		return ""
	}
	var parts [][]byte
	for _, name := range s.Names() {
		parts = append(parts, []byte(name), s[name].Reveal())
	}
	return h.sum("version", parts...)
}

// sum is cut to 128 bits, which is plenty to tell keys apart. Lengths keep parts from running into each other.
func (h Hasher) sum(domain string, parts ...[]byte) string {
	mac := hmac.New(sha256.New, h.key.Reveal())
	write := func(b []byte) {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		mac.Write(b)
	}
	write([]byte(domain))
	for _, p := range parts {
		write(p)
	}
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
