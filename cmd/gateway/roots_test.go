package main

import (
	"crypto/x509"
	"os"
	"os/exec"
	"testing"
)

// The image has no files of the system's: without authorities of its own the gateway would believe no provider.
func TestTrustsPublicAuthoritiesWithoutASystem(t *testing.T) {
	const child = "CLAWSTAFF_TEST_ROOTS"
	if os.Getenv(child) != "" {
		pool, err := x509.SystemCertPool()
		if err != nil || pool.Equal(x509.NewCertPool()) {
			t.Fatalf("no authorities: %v", err)
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestTrustsPublicAuthoritiesWithoutASystem$")
	cmd.Env = append(os.Environ(), child+"=1", "SSL_CERT_FILE=/nonexistent", "SSL_CERT_DIR=/nonexistent")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
