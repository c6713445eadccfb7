package websocket

import (
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6455, 1.3 demands it, and nothing depends on its strength
	"encoding/base64"
)

// Version is the only version of the protocol.
const Version = "13"

const keyLength = 16

// NewKey returns a key for a handshake.
func NewKey() string {
	var b [keyLength]byte
	_, _ = rand.Read(b[:]) // it never fails
	return base64.StdEncoding.EncodeToString(b[:])
}

// IsKey reports whether a client's Sec-WebSocket-Key is one (RFC 6455, 4.1).
func IsKey(key string) bool {
	b, err := base64.StdEncoding.Strict().DecodeString(key)
	return err == nil && len(b) == keyLength
}

// Accept returns the answer to a key (RFC 6455, 4.2.2).
func Accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // see above
	return base64.StdEncoding.EncodeToString(sum[:])
}
