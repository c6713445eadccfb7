package audit

import (
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	logsv1 "go.opentelemetry.io/proto/otlp/logs/v1"
	resourcev1 "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/proto"
)

// eventName tells our log records from any other.
const eventName = "clawstaff.record"

// otlp wraps sealed records for OTLP/HTTP: one log record each, whose body is the line.
// LogsData has the wire format of ExportLogsServiceRequest, without the gRPC code beside that.
func otlp(claw ClawRef, batch []sealed) ([]byte, error) {
	records := make([]*logsv1.LogRecord, len(batch))
	for i, b := range batch {
		nanos := uint64(max(b.record.Time.UnixNano(), 0))
		records[i] = &logsv1.LogRecord{
			TimeUnixNano:         nanos,
			ObservedTimeUnixNano: nanos,
			SeverityNumber:       logsv1.SeverityNumber_SEVERITY_NUMBER_INFO,
			EventName:            eventName,
			Body:                 text(string(b.line)),
		}
	}
	return proto.Marshal(&logsv1.LogsData{ResourceLogs: []*logsv1.ResourceLogs{{
		Resource: &resourcev1.Resource{Attributes: []*commonv1.KeyValue{
			{Key: "service.name", Value: text("clawstaff-gateway")},
			{Key: "k8s.namespace.name", Value: text(claw.Namespace)},
			{Key: "clawstaff.claw.name", Value: text(claw.Name)},
			{Key: "clawstaff.claw.uid", Value: text(claw.UID)},
		}},
		ScopeLogs: []*logsv1.ScopeLogs{{LogRecords: records}},
	}}})
}

func text(s string) *commonv1.AnyValue {
	return &commonv1.AnyValue{Value: &commonv1.AnyValue_StringValue{StringValue: s}}
}
