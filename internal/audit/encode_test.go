package audit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/clawstaff/clawstaff/internal/audit"
)

// sameAsStandard seals a record and compares the line with what encoding/json writes of the sealed record.
func sameAsStandard(t *testing.T, r audit.Record, at time.Time) {
	t.Helper()
	sealed, line, err := audit.NewChain(audit.Head{Seq: 41, Hash: strings.Repeat("ab", 32)}).Seal(r, at)
	r.Time = at.UTC()
	if _, standard := json.Marshal(r); (err == nil) != (standard == nil) {
		t.Fatalf("%+v: error %v, encoding/json's %v", r, err, standard)
	}
	if err != nil {
		return
	}
	want, err := json.Marshal(sealed)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(line, want) {
		t.Fatalf("written\n%q\nencoding/json writes\n%q", line, want)
	}
	if _, err := audit.ParseLink(line); err != nil && plainClaw(sealed.Claw) {
		t.Fatalf("%s: %v", line, err)
	}
}

// plainClaw reports whether a Claw's names need no escapes, as all that are names of objects do.
func plainClaw(c audit.ClawRef) bool {
	text, err := json.Marshal(c)
	return err == nil && !bytes.ContainsRune(text, '\\') && !strings.ContainsAny(c.Namespace+c.Name+c.UID, `"`)
}

// TestEveryFieldIsWritten: a field that is added to a record is written, or this fails.
func TestEveryFieldIsWritten(t *testing.T) {
	var fill func(v reflect.Value, n int)
	fill = func(v reflect.Value, n int) {
		switch v.Interface().(type) {
		case time.Time:
			return
		case json.RawMessage:
			v.SetBytes([]byte(`{"a":1}`))
			return
		}
		switch v.Kind() {
		case reflect.String:
			v.SetString(fmt.Sprint("text", n))
		case reflect.Int, reflect.Int64:
			v.SetInt(int64(n) + 1)
		case reflect.Uint64:
			v.SetUint(uint64(n) + 1)
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			fill(v.Index(0), n)
		case reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), n)
		case reflect.Struct:
			for i := range v.NumField() {
				fill(v.Field(i), n+i)
			}
		default:
			t.Fatalf("a field is a %s, which this test does not know", v.Kind())
		}
	}
	var whole audit.Record
	fill(reflect.ValueOf(&whole).Elem(), 0)
	sameAsStandard(t, whole, noon)
	// Each field alone, and each left out.
	for i := range reflect.TypeFor[audit.Record]().NumField() {
		var one audit.Record
		reflect.ValueOf(&one).Elem().Field(i).Set(reflect.ValueOf(whole).Field(i))
		sameAsStandard(t, one, noon)
		without := whole
		reflect.ValueOf(&without).Elem().Field(i).SetZero()
		sameAsStandard(t, without, noon)
	}
}

// hostile are texts that encoders have been wrong about.
var hostile = []string{
	"", " ", "plain", `"`, `\`, `\\"`, "<script>&amp;</script>", "a\x00b", "\b\f\n\r\t\v\x1b\x1f\x7f", "\u2028\u2029\u202a", "\xe2\x80", "\xe2\x80\xa8x", "\xff\xfe",
	"\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "é日本\U0001f600", "\ufffd", "\ufeff", strings.Repeat("\x01", 300), strings.Repeat("x", 5000) + "\"", "\xe2\x80\xa8\xe2\x80\xa9\xe2",
}

func TestTextsAreWrittenAlike(t *testing.T) {
	for _, s := range hostile {
		sameAsStandard(t, audit.Record{Reason: s, Resources: []string{s, s}, Upstream: &audit.Upstream{Host: s, Address: s}, Phase: audit.Phase(s)}, noon)
		sameAsStandard(t, audit.Record{Parameters: json.RawMessage(s)}, noon)
		text, err := json.Marshal(map[string]any{s: []any{s, 1, nil, map[string]string{s: s}}})
		if err != nil {
			t.Fatal(err)
		}
		sameAsStandard(t, audit.Record{Parameters: text}, noon)
	}
	for _, raw := range []string{" { \"a b\" :\t[ 1 ,\r\n2 ] } ", `"\" < \\"`, `"<>&"`, "\"\u2028\u2029\"", "\"\xff\xe2\x80\"", "null", "-0.0e+1", `{"a":1,"a":2}`, "{", "{}{}", "01", "nul", `"\x"`, "\"\n\""} {
		sameAsStandard(t, audit.Record{Parameters: json.RawMessage(raw)}, noon)
	}
	for _, at := range []time.Time{{}, noon.Add(1), noon.Add(100 * time.Millisecond), noon.In(time.FixedZone("x", 3600)), noon.AddDate(8000, 0, 0), noon.AddDate(-3000, 0, 0), time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)} {
		sameAsStandard(t, typical(), at)
	}
}

// TestSealAppends: lines can be written one behind the other, each as if it were alone.
func TestSealAppends(t *testing.T) {
	one, other := audit.NewChain(audit.Head{}), audit.NewChain(audit.Head{})
	var all, want []byte
	for i := range 20 {
		r := typical()
		r.Reason = strings.Repeat("x", i*211)
		var err error
		if i%5 == 4 { // what fails leaves no trace
			bad := r
			bad.Parameters = json.RawMessage("{")
			if _, _, err = one.AppendSeal(all, bad, noon); err == nil {
				t.Fatal("it is taken")
			}
		}
		_, all, err = one.AppendSeal(all, r, noon)
		if err != nil {
			t.Fatal(err)
		}
		_, line, err := other.Seal(r, noon)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, line...)
	}
	if !bytes.Equal(all, want) || one.Head() != other.Head() {
		t.Error("the lines are others")
	}
}

// FuzzSeal: whatever is in a record, encoding/json writes the same.
func FuzzSeal(f *testing.F) {
	for _, s := range hostile {
		f.Add(s, s, []byte(`{"a":"`+s+`"}`), int64(len(s)), int64(len(s))*1e15)
	}
	f.Fuzz(func(t *testing.T, a, b string, raw []byte, n, at int64) {
		sameAsStandard(t, audit.Record{Claw: audit.ClawRef{Namespace: a, Name: b, UID: a}, Grant: b, Phase: audit.Phase(a), Direction: audit.Direction(b), Kind: audit.Kind(a),
			Connector: a, Operation: b, Action: a, Actor: b, Resources: []string{a, b}, Parameters: raw, Decision: audit.Decision(b), Rule: a, Reason: b, Credential: a,
			Upstream: &audit.Upstream{Host: a, Address: b, Status: int(n)}, BytesIn: n, BytesOut: -n, BodySHA256: a, Tokens: n, LatencyMS: n, Correlation: b},
			time.Unix(at%1e12, n&0xfffffff))
	})
}
