package journey

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/clawstaff/clawstaff/internal/audit"
)

// Records reads a Claw's history from the ledger, as anybody does who may.
func (j *Journey) Records(ctx context.Context, claw string) ([]audit.Record, error) {
	out, err := j.Kubectl(ctx, "-n", SystemNS, "exec", "clawstaff-ledger-0", "--", "/ledger", "read", "--claw", Namespace+"/"+claw)
	if err != nil {
		return nil, err
	}
	var records []audit.Record
	for decoder := json.NewDecoder(strings.NewReader(out)); ; {
		var record audit.Record
		err := decoder.Decode(&record)
		if errors.Is(err, io.EOF) {
			return j.ofThisClaw(ctx, claw, records), nil
		}
		if err != nil {
			return nil, fmt.Errorf("what the ledger printed is no record: %w", err)
		}
		records = append(records, record)
	}
}

// ofThisClaw leaves out the history of former Claws of the same name.
func (j *Journey) ofThisClaw(ctx context.Context, claw string, records []audit.Record) []audit.Record {
	uid := j.uid(ctx, claw)
	return slices.DeleteFunc(records, func(r audit.Record) bool { return uid != "" && r.Claw.UID != uid })
}

// Await waits for a record that matches, among those after a number.
func (j *Journey) Await(ctx context.Context, claw string, after uint64, what string, match func(audit.Record) bool) (audit.Record, error) {
	var found audit.Record
	err := j.Eventually(ctx, 30*time.Second, "a record of "+what, func(ctx context.Context) error {
		records, err := j.Records(ctx, claw)
		if err != nil {
			return err
		}
		for _, record := range records {
			if record.Seq > after && match(record) {
				found = record
				return nil
			}
		}
		return errors.New("it is not there")
	})
	return found, err
}

// last is the number of the Claw's latest record.
func (j *Journey) last(ctx context.Context, claw string) (uint64, error) {
	records, err := j.Records(ctx, claw)
	if err != nil || len(records) == 0 {
		return 0, err
	}
	return records[len(records)-1].Seq, nil
}

// Verify checks that a Claw's whole history is one gap-free chain: here, and by the ledger's own command.
func (j *Journey) Verify(ctx context.Context, claw string) (string, error) {
	return j.Kubectl(ctx, "-n", SystemNS, "exec", "clawstaff-ledger-0", "--", "/ledger", "verify", "--claw", Namespace+"/"+claw)
}

// table prints records for people.
func table(records []audit.Record) string {
	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SEQ\tTIME\tWAY\tKIND\tWHAT\tWHO/WHERE\tDECISION\tWHY\tHASH")
	for _, r := range records {
		what := strings.Trim(r.Connector+" "+r.Operation, " ")
		where := strings.Trim(r.Actor+" "+strings.Join(r.Resources, " "), " ")
		if r.Phase == audit.PhaseOutcome {
			what = "  ↳ outcome"
			if r.Upstream != nil {
				where = fmt.Sprintf("%s %d", r.Upstream.Host, r.Upstream.Status)
			}
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.8s\n", r.Seq, r.Time.Format("15:04:05.000"), r.Direction, r.Kind, what,
			where, r.Decision, shorten(r.Reason, 70), r.Hash)
	}
	_ = w.Flush() // into memory
	return out.String()
}

func shorten(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}
