// Package state is what a gateway knows at one moment: its grant and its keys.
// A Snapshot never changes; a change is a new Snapshot.
package state

import (
	"crypto"
	"crypto/x509"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/secret"
)

// Snapshot is what the gateway enforces at one moment.
type Snapshot struct {
	Claw audit.ClawRef
	// Grant in force. Nil or not Active means: deny everything.
	Grant *v1alpha1.ClawGrantSpec
	// Reason says why everything is denied, where it is.
	Reason string
	// Catalogue of services, the organization's own among them. Nil means what is part of the program.
	Catalogue *connector.Catalogue
	// Keys by credential name and slot. Credentials that are revoked or not in the grant are absent.
	Keys map[string]map[string]secret.Value
	// ProxyPassword the agent must present on the proxy port.
	ProxyPassword secret.Value
	// ResignSecret signs messages to the agent: it is the signing secret the agent was given.
	ResignSecret secret.Value
	// CA and CAKey sign the leaves shown to the agent and to the ingress. Nil until the Secret is read.
	CA    *x509.Certificate
	CAKey crypto.Signer
	// UpstreamRoots verify providers: the system's roots and the organization's own.
	UpstreamRoots *x509.CertPool
	// Done is closed when a later snapshot takes this one's place because what it allowed may no
	// longer be allowed: every stream begun under it must end or be judged again.
	Done <-chan struct{}
}

// Active reports whether the snapshot allows anything at all.
func (s *Snapshot) Active() bool {
	return s != nil && s.Grant != nil && s.Grant.State == v1alpha1.GrantActive
}

// Source gives the current snapshot. It never returns nil.
type Source interface {
	Current() *Snapshot
}
