package connector

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// FuzzMatch checks that what is let through says to others what it says to us.
func FuzzMatch(f *testing.F) {
	f.Add("POST", "/api/chat.postMessage", "", formType, []byte("token=t&channel=C0SUPPORT&text=a"))
	f.Add("POST", "/api/chat.postMessage", "channel=C0SUPPORT", jsonType, []byte(`{"channel":"C0SUPPORT","token":"t"}`))
	f.Add("POST", "/api/chat.postMessage", "channel=C0SUPPORT&channel=C1", jsonType, []byte(`{"channel":"C0SUPPORT","\u0063hannel":"C1"}`))
	f.Add("GET", "/api/../api/auth.test", "", "", []byte(nil))
	f.Add("GET", "/api/users.info", "user=U1&token=x", "", []byte(nil))
	f.Add("POST", "/api/conversations.kick", "", formType, []byte("channel=C1&user=U1&channel[]=C2"))
	f.Fuzz(func(t *testing.T, method, path, query, contentType string, body []byte) {
		slack := builtinT(t).Get("slack")
		call, err := slack.Match(Request{Method: method, Path: path, Query: query, ContentType: contentType, Body: body})
		if call == nil {
			t.Fatal("no call")
		}
		if p := call.Parameters(1024, asItIs); p != nil && (!json.Valid(p) || len(p) > 64<<10) {
			t.Fatalf("parameters %d bytes: %.200s", len(p), p)
		}
		if err != nil {
			return
		}
		if !slices.Contains(call.Operation.Methods, method) || "/api"+call.Operation.Path != path {
			t.Fatalf("%s %s is said to be %s", method, path, call.Operation.ID)
		}
		q, err := url.ParseQuery(call.Query)
		if err != nil {
			t.Fatalf("query %q: %v", call.Query, err)
		}
		said := map[string][]string(q)
		if call.ContentType == "application/x-www-form-urlencoded" {
			form, err := url.ParseQuery(string(call.Body))
			if err != nil {
				t.Fatalf("form %q: %v", call.Body, err)
			}
			for k, v := range form {
				said[k] = append(said[k], v...)
			}
		} else if len(call.Body) > 0 {
			var object map[string]any
			if err := json.Unmarshal(call.Body, &object); err != nil {
				t.Fatalf("JSON %q: %v", call.Body, err)
			}
			for k, v := range object {
				if text, ok := v.(string); ok {
					said[k] = append(said[k], text)
				}
			}
		}
		if _, ok := said["token"]; ok {
			t.Fatal("a token is passed on")
		}
		for _, r := range call.Resources {
			if len(said[r.Type]) == 0 {
				t.Fatalf("nobody else sees the %s %q", r.Type, r.Name)
			}
			for _, v := range said[r.Type] {
				if v != r.Name {
					t.Fatalf("we saw the %s %q, others see %q", r.Type, r.Name, v)
				}
			}
		}
	})
}

// FuzzJSON compares the scanner with encoding/json, which accepts more.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":[1,2.5e-3,true,null,"x\n\u00e9"],"b":{"c":{}}}`, `{"a":1,"a":2}`, `{"a":1}x`, `{"\ud800":1}`, `{"a":-0}`, ` { "a" : [ ] } `, "{\"a\":\"\xff\"}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		members, err := readObject(doc)
		if err != nil {
			return
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal(doc, &object); err != nil {
			t.Fatalf("%q: %v", doc, err)
		}
		if len(object) != len(members) {
			t.Fatalf("%q: %d members, and %d to encoding/json", doc, len(members), len(object))
		}
		for _, m := range members {
			if !bytes.Equal(object[m.key], m.value) {
				t.Fatalf("%q: %q is %q, and %q to encoding/json", doc, m.key, m.value, object[m.key])
			}
		}
		if again, err := readObject(writeObject(members)); err != nil || len(again) != len(members) {
			t.Fatalf("%q: written anew it is not the same: %v", doc, err)
		}
	})
}

// FuzzParams checks that a query read by us and by net/url is the same.
func FuzzParams(f *testing.F) {
	for _, seed := range []string{"", "a=1&b=2", "a=1&a=2", "a=%41+b", "a;b=1", "=1", "a", "%zz", "a=\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		params, err := readParams(raw)
		if err != nil || checkTwice(params, never) != nil {
			return
		}
		for _, text := range []string{raw, writeParams(params)} {
			values, err := url.ParseQuery(text)
			if err != nil || len(values) != len(params) {
				t.Fatalf("%q: %v %v, we read %v", text, values, err, params)
			}
			for _, p := range params {
				if values.Get(p.name) != p.value || len(values[p.name]) != 1 {
					t.Fatalf("%q: %q is %q, we read %q", text, p.name, values[p.name], p.value)
				}
			}
		}
		if strings.ContainsAny(writeParams(params), "; \x00") {
			t.Fatal("written with what must be encoded")
		}
	})
}

// FuzzChecked compares what is read of a checked document, part by part, with encoding/json.
func FuzzChecked(f *testing.F) {
	for _, seed := range []string{`{"a":[1,{"b":"]}\\\""}],"c":{"d":[[]]}}`, `{"a":"\\"}`, ` { "a" : [ { } , [ 1 , 2 ] ] } `} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		members, err := readObject(doc)
		if err != nil {
			return
		}
		for _, m := range members {
			compareParts(t, m.value)
		}
	})
}

func compareParts(t *testing.T, value []byte) {
	var object map[string]json.RawMessage
	var list []json.RawMessage
	switch value[0] {
	case '{':
		if err := json.Unmarshal(value, &object); err != nil {
			t.Fatalf("%q: %v", value, err)
		}
	case '[':
		if err := json.Unmarshal(value, &list); err != nil {
			t.Fatalf("%q: %v", value, err)
		}
	}
	members := membersOf(value)
	if len(members) != len(object) {
		t.Fatalf("%q: %d members, and %d to encoding/json", value, len(members), len(object))
	}
	for _, m := range members {
		if !bytes.Equal(object[m.key], m.value) {
			t.Fatalf("%q: %q is %q, and %q to encoding/json", value, m.key, m.value, object[m.key])
		}
		compareParts(t, m.value)
	}
	i := 0
	for e := range elementsOf(value) {
		if i >= len(list) || !bytes.Equal(list[i], e) {
			t.Fatalf("%q: element %d is %q", value, i, e)
		}
		compareParts(t, e)
		i++
	}
	if i != len(list) {
		t.Fatalf("%q: %d elements, and %d to encoding/json", value, i, len(list))
	}
}
