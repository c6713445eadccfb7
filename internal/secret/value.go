// Package secret holds secret values so that they cannot be printed by accident.
package secret

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Value is a secret. Every way of printing it, logs and JSON included, shows
// "[redacted]"; only Reveal gives the bytes.
type Value struct{ bytes []byte }

// New keeps a copy of b.
func New(b []byte) Value { return Value{bytes: append([]byte(nil), b...)} }

// Reveal returns the secret's bytes. The caller must not keep, change or print them.
func (v Value) Reveal() []byte { return v.bytes }

// Empty reports whether there is nothing in it.
func (v Value) Empty() bool { return len(v.bytes) == 0 }

// Equal compares in constant time for equal lengths.
func (v Value) Equal(other []byte) bool { return subtle.ConstantTimeCompare(v.bytes, other) == 1 }

// Forget overwrites the secret. Copies made by New elsewhere are not reached.
func (v Value) Forget() { clear(v.bytes) }

// String implements fmt.Stringer.
func (v Value) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (v Value) GoString() string { return redacted }

// Format implements fmt.Formatter, so that no verb prints the bytes.
func (v Value) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue implements slog.LogValuer.
func (v Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON implements json.Marshaler.
func (v Value) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }

var _ fmt.Formatter = Value{}
