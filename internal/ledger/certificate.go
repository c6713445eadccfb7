package ledger

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// Certificate is a TLS certificate in two files that may be replaced at any time.
type Certificate struct {
	certFile, keyFile string

	mu     sync.Mutex
	seen   [2]time.Time
	loaded *tls.Certificate
}

// LoadCertificate reads the files once, to find out early whether they are good.
func LoadCertificate(certFile, keyFile string) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile}
	_, err := c.Get(nil)
	return c, err
}

// Get is for tls.Config.GetCertificate. While new files cannot be read, the old ones stay in use.
func (c *Certificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed, err := c.changed()
	if err == nil && (c.loaded == nil || changed != c.seen) {
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(c.certFile, c.keyFile); err == nil {
			c.loaded, c.seen = &pair, changed
		}
	}
	if c.loaded == nil {
		return nil, fmt.Errorf("read the certificate of the ledger: %w", err)
	}
	return c.loaded, nil
}

// changed is when each of the files was last written.
func (c *Certificate) changed() (times [2]time.Time, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return times, err
		}
		times[i] = info.ModTime()
	}
	return times, nil
}
