package audit

import "google.golang.org/protobuf/encoding/protowire"

// eventName tells our log records from any other.
const eventName = "clawstaff.record"

// The numbers of the fields of OTLP that are written: ExportLogsServiceRequest > ResourceLogs > ScopeLogs > LogRecord.
const (
	fieldResourceLogs = 1 // of the request
	fieldResource     = 1 // of ResourceLogs
	fieldAttributes   = 1 // of Resource
	fieldKey          = 1 // of KeyValue
	fieldValue        = 2
	fieldScopeLogs    = 2 // of ResourceLogs
	fieldLogRecords   = 2 // of ScopeLogs
	fieldTime         = 1 // of LogRecord
	fieldSeverity     = 2
	fieldBody         = 5
	fieldObservedTime = 11
	fieldEventName    = 12
	fieldString       = 1 // of AnyValue
)

// severityInfo is SEVERITY_NUMBER_INFO.
const severityInfo = 9

// appendOTLP wraps sealed records for OTLP/HTTP: one log record each, whose body is the line. It is written straight into
// one piece: messages of their own for each would cost as much as the records themselves.
func appendOTLP(b, resource []byte, s *shipment) []byte {
	records := 0
	for i := range s.batch {
		records += protowire.SizeTag(fieldLogRecords) + protowire.SizeBytes(recordSize(s.batch[i].size()))
	}
	b = protowire.AppendTag(b, fieldResourceLogs, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(len(resource)+protowire.SizeTag(fieldScopeLogs)+protowire.SizeBytes(records)))
	b = append(b, resource...)
	b = protowire.AppendTag(b, fieldScopeLogs, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(records))
	for i := range s.batch {
		b = appendLogRecord(b, &s.batch[i], s.line(i))
	}
	return b
}

// recordSize is that of a log record with a line so long.
func recordSize(line int) int {
	return protowire.SizeTag(fieldTime) + protowire.SizeTag(fieldObservedTime) + 2*protowire.SizeFixed64() +
		protowire.SizeTag(fieldSeverity) + protowire.SizeVarint(uint64(severityInfo)) +
		protowire.SizeTag(fieldBody) + protowire.SizeBytes(stringSize(line)) +
		protowire.SizeTag(fieldEventName) + protowire.SizeBytes(len(eventName))
}

// stringSize is that of an AnyValue with a string so long.
func stringSize(n int) int { return protowire.SizeTag(fieldString) + protowire.SizeBytes(n) }

func appendLogRecord(b []byte, r *sealed, line []byte) []byte {
	nanos := uint64(max(r.record.Time.UnixNano(), 0))
	b = protowire.AppendTag(b, fieldLogRecords, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(recordSize(len(line))))
	b = protowire.AppendTag(b, fieldTime, protowire.Fixed64Type)
	b = protowire.AppendFixed64(b, nanos)
	b = protowire.AppendTag(b, fieldSeverity, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(severityInfo))
	b = protowire.AppendTag(b, fieldBody, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(stringSize(len(line))))
	b = protowire.AppendTag(b, fieldString, protowire.BytesType)
	b = protowire.AppendBytes(b, line)
	b = protowire.AppendTag(b, fieldObservedTime, protowire.Fixed64Type)
	b = protowire.AppendFixed64(b, nanos)
	b = protowire.AppendTag(b, fieldEventName, protowire.BytesType)
	return protowire.AppendString(b, eventName)
}

// resourceOf is the field of ResourceLogs that says whose records they are.
func resourceOf(claw ClawRef) []byte {
	var attributes []byte
	for _, a := range [][2]string{
		{"service.name", "clawstaff-gateway"}, {"k8s.namespace.name", claw.Namespace}, {"clawstaff.claw.name", claw.Name}, {"clawstaff.claw.uid", claw.UID},
	} {
		value := protowire.AppendString(protowire.AppendTag(nil, fieldString, protowire.BytesType), a[1])
		pair := protowire.AppendString(protowire.AppendTag(nil, fieldKey, protowire.BytesType), a[0])
		pair = protowire.AppendBytes(protowire.AppendTag(pair, fieldValue, protowire.BytesType), value)
		attributes = protowire.AppendBytes(protowire.AppendTag(attributes, fieldAttributes, protowire.BytesType), pair)
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, fieldResource, protowire.BytesType), attributes)
}
