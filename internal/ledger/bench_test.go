package ledger

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/clawstaff/clawstaff/internal/audit"
)

// BenchmarkAppend measures records made durable per second: one gateway with batches of several
// sizes, and many gateways at once with a record each.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("gateways=1/batch=%d", size), func(b *testing.B) {
			s := openStore(b, b.TempDir(), realDisk{}, defaultSegmentSize)
			var head audit.Head
			for b.Loop() {
				b.StopTimer()
				var lines []string
				lines, head = seal(b, triage, head, size, "chat.postMessage")
				ready := batchOf(b, lines)
				b.StartTimer()
				if err := s.append(ready); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
	b.Run("gateways=64/batch=1", func(b *testing.B) {
		s := openStore(b, b.TempDir(), realDisk{}, defaultSegmentSize)
		next := make(chan int, 64)
		for i := range 64 {
			next <- i
		}
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			claw := triage
			claw.UID = fmt.Sprintf("claw-%d", <-next)
			var head audit.Head
			for pb.Next() {
				var lines []string
				lines, head = seal(b, claw, head, 1, "chat.postMessage")
				if err := s.append(batchOf(b, lines)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	})
}

// BenchmarkShipper measures the whole way of a record: from a gateway, over TLS, to the ledger's
// disk and back; one caller after the other, and many at once, whose records share requests.
func BenchmarkShipper(b *testing.B) {
	for _, callers := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			dir := b.TempDir()
			roots := issue(b, filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
			certificate, err := LoadCertificate(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
			if err != nil {
				b.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "token"), []byte("good"), 0o600); err != nil {
				b.Fatal(err)
			}
			listener, err := net.Listen("tcp", "localhost:0")
			if err != nil {
				b.Fatal(err)
			}
			server := &http.Server{
				Handler:   NewServer(openStore(b, filepath.Join(dir, "data"), realDisk{}, defaultSegmentSize), oneGateway{triage.Namespace, triage.Name}),
				TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: certificate.Get},
			}
			go func() { _ = server.ServeTLS(listener, "", "") }()
			b.Cleanup(func() { _ = server.Close() })
			shipper := audit.NewShipper(audit.ShipperConfig{
				Claw: triage, TokenFile: filepath.Join(dir, "token"),
				URL: fmt.Sprintf("https://localhost:%d", listener.Addr().(*net.TCPAddr).Port),
			})
			if err := shipper.SetRoots(roots); err != nil {
				b.Fatal(err)
			}
			go func() { _ = shipper.Run(b.Context()) }()
			work := make(chan struct{}, callers)
			var working sync.WaitGroup
			b.ResetTimer()
			for range callers {
				working.Go(func() {
					for range work {
						if _, err := shipper.Append(b.Context(), audit.Record{Operation: "chat.postMessage", Connector: "slack"}); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for range b.N {
				work <- struct{}{}
			}
			close(work)
			working.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
