package ledger

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// wrap makes a field of bytes.
func wrap(number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
}

// What somebody with a gateway's token sends cannot take much more memory than it has bytes: the ledger is everybody's.
func TestDecodeTakesNoMoreMemoryThanItWasSent(t *testing.T) {
	empty := bytes.Repeat(wrap(2, nil), maxBody/2-16)
	for name, tc := range map[string]struct {
		contentType string
		body        []byte
	}{
		"empty records":             {"application/x-protobuf", wrap(1, wrap(2, empty))},
		"empty scopes":              {"application/x-protobuf", wrap(1, empty)},
		"empty resources":           {"application/x-protobuf", bytes.Repeat(wrap(1, nil), maxBody/2)},
		"attributes":                {"application/x-protobuf", wrap(1, wrap(2, wrap(2, bytes.Repeat(wrap(6, nil), maxBody/2-16))))},
		"many bodies of one record": {"application/x-protobuf", wrap(1, wrap(2, wrap(2, bytes.Repeat(wrap(5, wrap(1, nil)), maxBody/4-16))))},
		"empty records in JSON":     {"application/json", []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}` + strings.Repeat(",{}", maxJSON/3-64) + `]}]}]}`)},
		"more of them":              {"application/json", []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}` + strings.Repeat(",{}", maxBody/3-64) + `]}]}]}`)},
		"lists in JSON":             {"application/json", []byte(`{"resourceLogs":[{"scopeLogs":[{}` + strings.Repeat(",{}", maxJSON/3-64) + `]}]}`)},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := decode(tc.contentType, tc.body)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, errInvalid) {
				t.Errorf("got %v", err)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > 4*maxBody {
				t.Errorf("%d bytes took %d bytes of memory", len(tc.body), took)
			}
		})
	}
}
