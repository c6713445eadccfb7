package websocket

import (
	"crypto/rand"
	"encoding/binary"
	"unicode/utf8"
)

// Append writes one frame, final and of the shortest form, to the end of dst. A client's frames are masked with a new
// key (RFC 6455, 5.3): data is copied and stays what it is.
func Append(dst []byte, client bool, o Opcode, data []byte) []byte {
	dst = append(dst, bitFinal|byte(o))
	masked := byte(0)
	if client {
		masked = bitMasked
	}
	switch n := len(data); {
	case n < 126:
		dst = append(dst, masked|byte(n))
	case n < 1<<16:
		dst = append(dst, masked|126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(n))
	default:
		dst = append(dst, masked|127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(n))
	}
	if !client {
		return append(dst, data...)
	}
	var key [4]byte
	_, _ = rand.Read(key[:]) // it never fails
	dst = append(dst, key[:]...)
	begin := len(dst)
	dst = append(dst, data...)
	Mask(dst[begin:], key)
	return dst
}

// AppendClose writes a close frame. The reason is cut to what fits.
func AppendClose(dst []byte, client bool, code Code, reason string) []byte {
	const room = MaxControl - 2
	if len(reason) > room {
		end := room
		for end > 0 && !utf8.RuneStart(reason[end]) {
			end--
		}
		reason = reason[:end]
	}
	return Append(dst, client, Close, append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...))
}

// Mask masks data, or takes the mask away.
func Mask(data []byte, key [4]byte) {
	long := uint64(binary.LittleEndian.Uint32(key[:]))
	long |= long << 32
	for len(data) >= 8 {
		binary.LittleEndian.PutUint64(data, binary.LittleEndian.Uint64(data)^long)
		data = data[8:]
	}
	for i := range data {
		data[i] ^= key[i&3]
	}
}

// CodeOf returns the code and the reason a valid close frame carries.
func CodeOf(data []byte) (Code, string) {
	if len(data) < 2 {
		return NoStatus, ""
	}
	return Code(binary.BigEndian.Uint16(data)), string(data[2:])
}
