package connector

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// What operations say is not read before it is needed, and is known to be wrong only then.
func TestBookIsReadLate(t *testing.T) {
	head, _, _ := strings.Cut(small, "operations:")
	files := map[string][]byte{
		"one.yaml":            []byte(head + "operations:\n# a comment\n- {id: a, methods: [GET], path: /a, action: Read}\n- id: b\n  methods: [GET]\n  path: /b\n  action: Read\n"),
		"one.operations.yaml": []byte("# generated\noperations:\n- {\"id\":\"c\",\"methods\":[\"GET\"],\"path\":\"/c\",\"action\":\"Read\"}\n"),
	}
	c, err := read(files)
	if err != nil {
		t.Fatal(err)
	}
	one := c.Get("one")
	if one.book.ops != nil {
		t.Error("operations were read at once")
	}
	for _, id := range []string{"a", "b", "c"} {
		if call, err := one.Match(Request{Method: "GET", Path: "/" + id}); err != nil || call.Operation.ID != id {
			t.Errorf("%s: %v", id, err)
		}
		if op := one.Operation(id); op == nil || op.Authority != "tool" {
			t.Errorf("%s: %+v", id, op)
		}
	}
	for name, item := range map[string]string{
		"no JSON":          `- {"id":"c",}`,
		"a key twice":      `- {"id":"c","id":"d","methods":["GET"],"path":"/c","action":"Read"}`,
		"an unknown key":   `- {"id":"c","methods":["GET"],"path":"/c","action":"Read","x":1}`,
		"an id twice":      `- {"id":"a","methods":["GET"],"path":"/c","action":"Read"}`,
		"a path twice":     `- {"id":"c","methods":["GET"],"path":"/a","action":"Read"}`,
		"YAML, wrong":      "- {id: c, methods: [GET], path: /c, action: Look}",
		"YAML, a key more": "- {id: c, methods: [GET], path: /c, action: Read, x: 1}",
	} {
		t.Run(name, func(t *testing.T) {
			files["one.operations.yaml"] = []byte("operations:\n" + item + "\n")
			c, err := read(files)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Get("one").Match(Request{Method: "GET", Path: "/a"}); err == nil || !strings.Contains(err.Error(), "connector one: operations") {
				t.Errorf("got %v", err)
			}
			if _, err := Load(files); err == nil {
				t.Error("it loads")
			}
		})
	}
	for name, file := range map[string]string{"something else": "denial: Slack\noperations:\n- {}\n", "no list": "operations: [{}]\n", "nothing": "# nothing\n"} {
		t.Run(name, func(t *testing.T) {
			files["one.operations.yaml"] = []byte(file)
			if _, err := read(files); err == nil {
				t.Error("it loads")
			}
		})
	}
	if _, err := read(map[string][]byte{"two.operations.yaml": []byte("operations:\n- {}\n")}); err == nil {
		t.Error("operations of no connector load")
	}
}

// An idle gateway has a few MiB: what it knows of services it never calls must be little.
func TestBuiltinIsSmall(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	c, err := readBuiltin()
	took := time.Since(start)
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	live := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d connectors: %v, %d KiB", len(c.Names())+len(c.TemplateNames()), took, live>>10)
	if live > 1<<20 {
		t.Errorf("%d bytes are kept", live)
	}
	runtime.KeepAlive(c)
}

func BenchmarkBuiltin(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := readBuiltin(); err != nil {
			b.Fatal(err)
		}
	}
}
