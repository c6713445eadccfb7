package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clawstaff/clawstaff/internal/audit"
)

// keep writes a history of n records into a data directory, as the ledger does.
func keep(t *testing.T, n int) (dir string, head audit.Head) {
	t.Helper()
	dir = t.TempDir()
	claw := audit.ClawRef{Namespace: "acme", Name: "triage", UID: "u"}
	path := filepath.Join(dir, claw.Namespace, claw.Name, claw.UID)
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	chain := audit.NewChain(audit.Head{})
	var text strings.Builder
	for range n {
		_, line, err := chain.Seal(audit.Record{Claw: claw}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		text.Write(line)
		text.WriteByte('\n')
	}
	if err := os.WriteFile(filepath.Join(path, "00000000000000000001.jsonl"), []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, chain.Head()
}

func TestReadAndVerify(t *testing.T) {
	dir, head := keep(t, 3)
	later := audit.Head{Seq: 9, Hash: head.Hash}
	tests := map[string]struct {
		args []string
		says string // empty: no error
	}{
		"everything":             {args: []string{"--data=" + dir}},
		"one Claw":               {args: []string{"--data=" + dir, "--claw=acme/triage"}},
		"no such directory":      {args: []string{"--data=" + dir + "/nowhere"}, says: "open the data directory"},
		"two namespaces at once": {args: []string{"--data=" + dir, "--namespace=other", "--claw=acme/triage"}, says: "not in the namespace"},
		"a path for a name":      {args: []string{"--data=" + dir, "--claw=../x"}, says: "no name"},
	}
	for name, tt := range tests {
		for command, run := range map[string]func() error{
			"read":   func() error { return read(t.Context(), tt.args) },
			"verify": func() error { return verify(t.Context(), tt.args) },
		} {
			t.Run(command+" "+name, func(t *testing.T) {
				if err := run(); (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
					t.Errorf("got %v", err)
				}
			})
		}
	}
	if err := verify(t.Context(), []string{"--data=" + dir, "--claw=acme/triage", "--head=" + head.String()}); err != nil {
		t.Error(err)
	}
	if err := verify(t.Context(), []string{"--data=" + dir, "--claw=acme/triage", "--head=" + later.String()}); err == nil {
		t.Error("a cut-off history passed")
	}
	if err := verify(t.Context(), []string{"--data=" + dir, "--head=nonsense"}); err == nil || !strings.Contains(err.Error(), "SEQ:HASH") {
		t.Errorf("got %v", err)
	}
}

func TestServeNeedsItsCertificate(t *testing.T) {
	if err := serve(t.Context(), []string{"--data=" + t.TempDir(), "--tls-cert=/nowhere", "--tls-key=/nowhere"}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v", err)
	}
}
