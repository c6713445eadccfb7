// Package policy is the permission model, pure: Compile turns a request and the
// policies over it into a grant; Decide judges one event against a grant. The
// webhook, the controllers, the gateway and the command line all use these two.
package policy

import (
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// Resource is one thing an operation touches, as the connector found it.
type Resource struct {
	Type string // as in the connector's catalogue: channel, model
	Name string // the provider's id
}

// Call is an operation the agent wants to make.
type Call struct {
	Connector string
	Operation string
	Action    v1alpha1.Action
	// Authority says what in the grant can allow the call.
	Authority Authority
	Resources []Resource
	// At is when it is made. The zero time is within no schedule.
	At time.Time
}

// Authority says which part of a grant can allow an operation. The connector's
// catalogue declares it for each operation.
type Authority string

// The authorities.
const (
	// AuthorityTool is an entry of tools.
	AuthorityTool Authority = "tool"
	// AuthorityChannel is an entry of channels: speaking where the Claw is spoken to. A tool
	// entry with the operation's action and resources allows it too.
	AuthorityChannel Authority = "channel"
	// AuthorityModel is an entry of models.
	AuthorityModel Authority = "model"
	// AuthorityConnector is any entry of the connector: harmless calls of which SDKs cannot do without.
	AuthorityConnector Authority = "connector"
)

// Message is something somebody said to the Claw.
type Message struct {
	Connector string
	Actor     string // principal, as in the directory: T01ACME/U01SARAH
	Channel   string // where it was said, the provider's id
	// At is when it was received. The zero time is within no schedule.
	At time.Time
}

// Verdict is what Decide and Hear return.
type Verdict struct {
	Allowed bool
	// Rule that decided: a path in the grant such as tools[0], or "default".
	Rule string
	// Reason is a stable sentence for the record and for the agent's owner.
	Reason string
	// Credential to use when allowed.
	Credential string
}
