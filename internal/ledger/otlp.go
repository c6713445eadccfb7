package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// A body is read for the lines in it and nothing else. Decoding it into the types of OTLP would make a hundred bytes of
// every two that somebody sends to do harm: an empty log record is that short.

const (
	// maxRecords is how many records a batch may have. A gateway sends at most 512.
	maxRecords = 4096
	// maxJSON is the largest batch taken as JSON, whose reader cannot be stopped half way.
	maxJSON = 512 << 10
)

var errTooMany = fmt.Errorf("it has more than %d records", maxRecords)

// The fields on the way to a line: ExportLogsServiceRequest.resource_logs, .scope_logs, .log_records, and then
// LogRecord.body, AnyValue.string_value.
var (
	pathToRecord = []protowire.Number{1, 2, 2}
	pathToLine   = []protowire.Number{5, 1}
)

// protobufLines returns the body of each log record.
func protobufLines(body []byte) ([]string, error) {
	var lines []string
	err := visit(body, pathToRecord, func(record []byte) error {
		if len(lines) == maxRecords {
			return errTooMany
		}
		line, err := lineOf(record)
		lines = append(lines, line)
		return err
	})
	return lines, err
}

func lineOf(record []byte) (line string, err error) {
	found := 0
	err = visit(record, pathToLine, func(text []byte) error {
		found++
		line = string(text)
		return nil
	})
	if err == nil && (found != 1 || !utf8.ValidString(line)) {
		err = errors.New("a log record's body is not one string")
	}
	return line, err
}

// visit calls found with each field of a message that a path of field numbers leads to.
func visit(message []byte, path []protowire.Number, found func([]byte) error) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		size := protowire.ConsumeFieldValue(number, kind, message)
		if size < 0 {
			return protowire.ParseError(size)
		}
		if number == path[0] && kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(message)
			err := error(nil)
			if len(path) == 1 {
				err = found(value)
			} else {
				err = visit(value, path[1:], found)
			}
			if err != nil {
				return err
			}
		}
		message = message[size:]
	}
	return nil
}

// jsonLines is protobufLines of JSON.
func jsonLines(body []byte) ([]string, error) {
	if len(body) > maxJSON {
		return nil, fmt.Errorf("it has more than %d bytes of JSON; send application/x-protobuf", maxJSON)
	}
	var data struct {
		ResourceLogs []struct {
			ScopeLogs []struct {
				LogRecords []struct {
					Body struct {
						StringValue string `json:"stringValue"`
					} `json:"body"`
				} `json:"logRecords"`
			} `json:"scopeLogs"`
		} `json:"resourceLogs"`
	}
	if err := json.Unmarshal(body, &data); err != nil {
		return nil, err
	}
	var lines []string
	for _, resource := range data.ResourceLogs {
		for _, scope := range resource.ScopeLogs {
			for _, record := range scope.LogRecords {
				if len(lines) == maxRecords {
					return nil, errTooMany
				}
				lines = append(lines, record.Body.StringValue)
			}
		}
	}
	return lines, nil
}
