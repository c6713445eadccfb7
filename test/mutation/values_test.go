package mutation

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/clawstaff/clawstaff/internal/testing/schema"
)

// value is one value a property is set to, or its absence.
type value struct {
	label  string
	is     any
	absent bool
}

func (v value) String() string {
	if v.absent {
		return v.label
	}
	data, err := json.Marshal(v.is)
	if err != nil {
		return v.label
	}
	if len(data) > 200 {
		data = append(data[:200:200], "..."...)
	}
	return v.label + " " + string(data)
}

// values are what a property is tried with. Now is what it has. Of the texts and numbers that are merely odd,
// each property gets some others, unless all are asked for.
func values(p schema.Property, now any) []value {
	out := []value{{label: "absent", absent: true}, {label: "null"}}
	turn := int(crc32.ChecksumIEEE([]byte(p.Path))) + int(*seed)
	for _, text := range sensible[p.Path[strings.LastIndex(p.Path, ".")+1:]] {
		if p.Schema.Type == "string" && text != now {
			out = append(out, value{label: "sensible", is: text})
		}
	}
	for i, v := range valuesOf(p.Schema, now) {
		if !strings.Contains(v.label, "odd") || *all || (turn+i)%oneIn == 0 {
			out = append(out, v)
		}
	}
	for _, wrong := range []any{"text", int64(7), true, []any{"text"}, map[string]any{"unknown": "field"}} {
		out = append(out, value{label: "of some type", is: wrong})
	}
	return out
}

func valuesOf(s *schema.Schema, now any) []value {
	switch {
	case s.IntOrString:
		return quantities()
	case s.Type == "string":
		return strs(s, now)
	case s.Type == "integer":
		return integers(s)
	case s.Type == "boolean":
		return []value{{label: "yes", is: true}, {label: "no", is: false}}
	case s.Type == "array":
		return lists(s, now)
	case s.Type == "object":
		return objects(s, now)
	default:
		return nil
	}
}

func quantities() []value {
	var out []value
	for _, q := range []any{"0", "1", "-1", "250m", "1.5Gi", "1e3", int64(2), "9999999999Ti", "0.0000001", "abc", "", "1 Gi", "１"} {
		out = append(out, value{label: "odd quantity", is: q})
	}
	return out
}

// sensible are values that fit, by the names of properties whose schema says less than admission knows.
var sensible = map[string][]string{
	"connector": {"anthropic", "openai", "slack"}, "timeZone": {"UTC", "Asia/Tokyo", "America/St_Johns"}, "owner": {"lee@acme.example"},
	"start": {"07:00"}, "end": {"18:00"}, "slot": {"apiKey"}, "type": {"user", "channel"}, "name": {"safe", "support"},
}

// oneIn odd values is tried in a run that does not try all.
const oneIn = 8

// odd are texts that programs trip over.
var odd = []string{
	"", " ", "*", "a*", "*a", "**", "a", "A", "-", "a-", "Ünïcode-ключ-鍵", "\u202egpj.exe", "a\x00b", "line\nline", "$(HOME)", "{{ .Values }}",
	"../../etc/passwd", "%2e%2e", "' || true || '", "true", "null", "0", "1e9", "xoxb-1234567890-abcdefghijkl", "kube-system", "default", "clawstaff-system",
	"mallory@elsewhere.example", "no-such-thing", "Europe/Nowhere", "Local", "00:00", "23:59", "24:00", "24:01", "9:00",
}

func strs(s *schema.Schema, now any) []value {
	var out []value
	add := func(label, text string) { out = append(out, value{label: label, is: text}) }
	if len(s.Enum) > 0 {
		for _, e := range s.Enum {
			out = append(out, value{label: "enum", is: e})
			if text, ok := e.(string); ok {
				add("enum in another case", strings.ToLower(text))
			}
		}
		add("no enum", "Bogus")
		return out
	}
	if s.Format == "date-time" {
		for _, at := range []time.Time{time.Now().Add(-time.Hour), time.Now().Add(3 * time.Hour), time.Now().AddDate(90, 0, 0)} {
			add("time", at.UTC().Format(time.RFC3339))
		}
		for _, text := range []string{"0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2027-02-30T00:00:00Z", "yesterday", "", "2027-01-01"} {
			add("time", text)
		}
		return out
	}
	for _, text := range odd {
		add("odd", text)
	}
	if text, ok := now.(string); ok && text != "" {
		add("longer", text+"x")
		add("shorter", text[:len(text)-1])
	}
	if s.MaxLength != nil {
		add("longest", fill(s, *s.MaxLength))
		add("too long", fill(s, *s.MaxLength+1))
	}
	add("huge", strings.Repeat("a", 100_000))
	return out
}

// fill makes a text of a length that fits a pattern, if a repeated letter or a repetition of labels does.
func fill(s *schema.Schema, n int) string {
	for _, text := range []string{strings.Repeat("a", n), "/" + strings.Repeat("a", n-1), strings.Repeat("a.", n/2)[:max(n-2, 0)] + "aa"} {
		if s.Pattern == "" || matches(s.Pattern, text) {
			return text
		}
	}
	return strings.Repeat("a", n)
}

func integers(s *schema.Schema) []value {
	out := []value{}
	for _, n := range []int64{-1 << 40, -1, 0, 1, 8080, 65536, 1 << 31, 1 << 40} {
		out = append(out, value{label: "odd number", is: n})
	}
	if s.Minimum != nil {
		out = append(out, value{label: "least", is: int64(*s.Minimum)}, value{label: "less than least", is: int64(*s.Minimum) - 1})
	}
	if s.Maximum != nil {
		out = append(out, value{label: "most", is: int64(*s.Maximum)}, value{label: "more than most", is: int64(*s.Maximum) + 1})
	}
	return append(out, value{label: "fraction", is: 1.5})
}

func lists(s *schema.Schema, now any) []value {
	list, _ := now.([]any)
	out := []value{{label: "empty", is: []any{}}, {label: "of null", is: []any{nil}}, {label: "of a list", is: []any{[]any{}}}}
	item := sample(s.Items)
	if len(list) > 0 {
		item = list[0]
		out = append(out,
			value{label: "twice the same", is: []any{item, clone(item)}},
			value{label: "one less", is: clone(list[1:])},
			value{label: "turned around", is: reversed(list)})
	}
	out = append(out, value{label: "another one", is: append(slices.Clone(list), distinct(s, item, 1))})
	if s.MaxItems != nil {
		most := make([]any, 0, *s.MaxItems+1)
		for i := range *s.MaxItems + 1 {
			most = append(most, distinct(s, item, i))
		}
		out = append(out, value{label: "as many as can be", is: most[:*s.MaxItems]}, value{label: "too many", is: most})
	}
	if s.Items.Type == "string" {
		for _, v := range strs(s.Items, item) {
			if v.label != "huge" {
				out = append(out, value{label: "item " + v.label, is: []any{v.is}})
			}
		}
	}
	return out
}

func reversed(list []any) any {
	out := clone(list).([]any)
	slices.Reverse(out)
	return out
}

// distinct is an item that differs from those of other numbers where a list wants them to.
func distinct(s *schema.Schema, item any, n int) any {
	if object, ok := item.(map[string]any); ok {
		out := clone(object).(map[string]any)
		for _, key := range s.ListMapKeys {
			out[key] = distinctText(s.Items.Properties[key], out[key], n)
		}
		return out
	}
	return distinctText(s.Items, item, n)
}

func distinctText(s *schema.Schema, now any, n int) any {
	if s != nil && len(s.Enum) > 0 {
		return s.Enum[n%len(s.Enum)]
	}
	text := fmt.Sprintf("x%d", n)
	if before, ok := now.(string); ok && n == 0 && before != "" {
		return before
	}
	if s != nil && s.Pattern != "" && !matches(s.Pattern, text) {
		text += ".example"
	}
	return text
}

func objects(s *schema.Schema, now any) []value {
	out := []value{{label: "empty", is: map[string]any{}}}
	object, _ := now.(map[string]any)
	if s.AdditionalProperties != nil {
		item := sample(s.AdditionalProperties)
		for _, v := range object {
			item = v
			break
		}
		more := clone(object)
		if more == nil {
			more = map[string]any{}
		}
		for _, key := range []string{"", "Ünïcode", "a b", strings.Repeat("k", 300), "another"} {
			with := clone(more).(map[string]any)
			with[key] = clone(item)
			out = append(out, value{label: "with key " + cut(key), is: with})
		}
		if s.MaxProperties != nil {
			most := map[string]any{}
			for i := range *s.MaxProperties {
				most[fmt.Sprintf("key%d", i)] = clone(item)
			}
			out = append(out, value{label: "as many as can be", is: most})
			too := clone(most).(map[string]any)
			too["one-too-many"] = clone(item)
			out = append(out, value{label: "too many", is: too})
		}
		for _, v := range valuesOf(s.AdditionalProperties, item) {
			if v.label == "huge" || len(object) == 0 {
				continue
			}
			with := clone(object).(map[string]any)
			with[slices.Sorted(maps.Keys(object))[0]] = v.is
			out = append(out, value{label: "value " + v.label, is: with})
		}
		return out
	}
	with := map[string]any{}
	if object != nil {
		with = clone(object).(map[string]any)
	}
	with["aFieldThatIsNone"] = "x"
	return append(out, value{label: "with a field that is none", is: with})
}

func cut(text string) string {
	if len(text) > 20 {
		return text[:20] + "..."
	}
	return fmt.Sprintf("%q", text)
}

func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, e := range v {
			out[key] = clone(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = clone(e)
		}
		return out
	default:
		return v
	}
}

// sample is a small value that a schema admits.
func sample(s *schema.Schema) any {
	switch {
	case s == nil:
		return nil
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.IntOrString:
		return "1"
	case s.Type == "string":
		for _, text := range []string{"slack", "08:00", "/x", "x.example", "2099-01-01T00:00:00Z"} {
			if wrong(s, text) == "" {
				return text
			}
		}
		return ""
	case s.Type == "integer":
		if s.Minimum != nil {
			return int64(*s.Minimum)
		}
		return int64(1)
	case s.Type == "boolean":
		return true
	case s.Type == "array":
		return []any{sample(s.Items)}
	case s.AdditionalProperties != nil:
		return map[string]any{"key": sample(s.AdditionalProperties)}
	default:
		out := map[string]any{}
		for _, name := range s.Required {
			out[name] = sample(s.Properties[name])
		}
		return out
	}
}

// wrong says in what a value is not as its schema says, or "". It knows nothing of CEL.
func wrong(s *schema.Schema, v any) string {
	switch v := v.(type) {
	case nil:
		return "" // dropped, and then defaulted
	case string:
		return wrongString(s, v)
	case bool:
		if s.Type != "boolean" {
			return "a boolean"
		}
	case int64:
		switch {
		case s.IntOrString:
		case s.Type != "integer":
			return "a number"
		case s.Minimum != nil && float64(v) < *s.Minimum, s.Maximum != nil && float64(v) > *s.Maximum, s.Format == "int32" && int64(int32(v)) != v:
			return "out of bounds"
		}
	case float64:
		return "a fraction"
	case []any:
		return wrongList(s, v)
	case map[string]any:
		return wrongObject(s, v)
	}
	return ""
}

func wrongString(s *schema.Schema, v string) string {
	n := utf8.RuneCountInString(v)
	switch {
	case s.IntOrString:
		if !matches(s.Pattern, v) {
			return "no quantity"
		}
		if _, err := resource.ParseQuantity(v); err != nil {
			return "no quantity"
		}
		return ""
	case s.Type != "string":
		return "a string"
	case len(s.Enum) > 0 && !slices.Contains(s.Enum, any(v)):
		return "no enum"
	case s.MinLength != nil && n < *s.MinLength, s.MaxLength != nil && n > *s.MaxLength:
		return "too short or too long"
	case s.Pattern != "" && !matches(s.Pattern, v):
		return "not as the pattern"
	case s.Format == "date-time":
		if _, err := time.Parse(time.RFC3339, v); err != nil {
			return "no time"
		}
	}
	return ""
}

func wrongList(s *schema.Schema, v []any) string {
	if s.Type != "array" {
		return "a list"
	}
	if s.MinItems != nil && len(v) < *s.MinItems || s.MaxItems != nil && len(v) > *s.MaxItems {
		return "too few or too many"
	}
	seen := map[string]bool{}
	for _, item := range v {
		if item == nil {
			return "of null"
		}
		if why := wrong(s.Items, item); why != "" {
			return "an item is " + why
		}
		key := fmt.Sprint(item)
		if s.ListType == "map" {
			key = ""
			for _, k := range s.ListMapKeys {
				key += fmt.Sprint(item.(map[string]any)[k]) + "/"
			}
		}
		if (s.ListType == "map" || s.ListType == "set") && seen[key] {
			return "twice the same"
		}
		seen[key] = true
	}
	return ""
}

func wrongObject(s *schema.Schema, v map[string]any) string {
	if s.Type != "object" {
		return "an object"
	}
	for _, name := range s.Required {
		if v[name] == nil && s.Properties[name].Default == nil {
			return "without " + name
		}
	}
	if s.MinProperties != nil && len(v) < *s.MinProperties || s.MaxProperties != nil && len(v) > *s.MaxProperties {
		return "too few or too many"
	}
	for _, key := range slices.Sorted(maps.Keys(v)) {
		of := s.AdditionalProperties
		if of == nil {
			of = s.Properties[key]
		}
		if of == nil {
			return "with a field that is none"
		}
		if why := wrong(of, v[key]); why != "" {
			return key + " is " + why
		}
	}
	return ""
}

var patterns = map[string]*regexp.Regexp{}

func init() {
	kinds, err := schema.Load()
	if err != nil {
		return // a test says so
	}
	var walk func(*schema.Schema)
	walk = func(s *schema.Schema) {
		if s == nil {
			return
		}
		if s.Pattern != "" {
			patterns[s.Pattern] = regexp.MustCompile(s.Pattern)
		}
		walk(s.Items)
		walk(s.AdditionalProperties)
		for _, p := range s.Properties {
			walk(p)
		}
	}
	for _, k := range kinds {
		walk(k.Schema)
	}
}

func matches(pattern, text string) bool { return patterns[pattern].MatchString(text) }
