package ledger

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clawstaff/clawstaff/internal/audit"
)

// child is set for the copy of the test's program that is a ledger to be killed.
const child = "LEDGER_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(child); dir != "" {
		fmt.Fprintln(os.Stderr, beLedger(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// beLedger serves from dir on the listener the parent has given us, until it is killed.
func beLedger(dir string) error {
	listener, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return err
	}
	certificate, err := LoadCertificate(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		return err
	}
	store, err := open(filepath.Join(dir, "data"), realDisk{}, 20_000)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: NewServer(store, oneGateway{triage.Namespace, triage.Name}), TLSConfig: &tls.Config{GetCertificate: certificate.Get}}
	return server.ServeTLS(listener, "", "")
}

// TestKilledLedgerLosesNothing kills a real ledger again and again while a gateway's shipper uses it.
func TestKilledLedgerLosesNothing(t *testing.T) {
	dir := t.TempDir()
	roots := issue(t, filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("good"), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	shipper := audit.NewShipper(audit.ShipperConfig{
		Claw: triage, TokenFile: filepath.Join(dir, "token"),
		URL: fmt.Sprintf("https://localhost:%d", listener.Addr().(*net.TCPAddr).Port),
	})
	if err := shipper.SetRoots(roots); err != nil {
		t.Fatal(err)
	}
	go func() { _ = shipper.Run(t.Context()) }()

	var acknowledged sync.Map // seq → hash
	var count, wanted atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	reached := make(chan struct{}, 1)
	for range 16 {
		writers.Go(func() {
			for ctx.Err() == nil {
				r, err := shipper.Append(ctx, took(5))
				if err != nil {
					continue
				}
				acknowledged.Store(r.Seq, r.Hash)
				if count.Add(1) == wanted.Load() {
					reached <- struct{}{}
				}
			}
		})
	}
	for range 6 {
		ledger := startChild(t, dir, listener)
		wanted.Store(count.Load() + 150)
		select {
		case <-reached:
		case <-time.After(patience):
			t.Fatal("the ledger does not take records")
		}
		if err := ledger.Kill(); err != nil { // SIGKILL, amid writes
			t.Fatal(err)
		}
		_, _ = ledger.Wait()
	}
	stop()
	writers.Wait()
	store := openStore(t, filepath.Join(dir, "data"), realDisk{}, 20_000)
	head, err := store.Head(triage)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Verify(&out, store.dir, Selection{}, &head); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	hashes := map[uint64]string{}
	for _, line := range kept(t, store.dir, triage) {
		link, err := audit.ParseLink([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		hashes[link.Seq] = link.Hash
	}
	counted, err := store.Usage(triage)
	if diff := cmp.Diff(tallied(kept(t, store.dir, triage)), counted); err != nil || diff != "" {
		t.Errorf("what was done is not what the records say: %v %s", err, diff)
	}
	acknowledged.Range(func(seq, hash any) bool {
		if hashes[seq.(uint64)] != hash {
			t.Errorf("record %d was acknowledged and is not there", seq)
		}
		return true
	})
}

func startChild(t *testing.T, dir string, listener net.Listener) *os.Process {
	t.Helper()
	inherited, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = inherited.Close() }()
	process, err := os.StartProcess(os.Args[0], os.Args[:1], &os.ProcAttr{
		Env:   append(os.Environ(), child+"="+dir),
		Files: []*os.File{nil, os.Stderr, os.Stderr, inherited},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = process.Kill(); _, _ = process.Wait() })
	return process
}
