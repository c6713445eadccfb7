// Package cage is what an organization and a Claw are made of, as Kubernetes
// objects. It is pure: facts in, complete desired objects out.
package cage

// The ports of a gateway. It binds none below 1024, which would take a right or a setting of the node's kernel: its Service
// has those that an agent knows of by itself.
const (
	// ProxyPort is where its own agent sends its calls.
	ProxyPort = 3128
	// TLSPort is where calls of the agent come that know of no proxy: 443 of the Service.
	TLSPort = 8443
	// PlainPort is where calls that are not encrypted are refused: 80 of the Service.
	PlainPort = 8080
	// DNSPort is the agent's resolver, over UDP and TCP: 53 of the Service.
	DNSPort = 5353
	// InboundPort is where providers deliver messages.
	InboundPort = 9443
	// HealthPort is for the kubelet only.
	HealthPort = 9090
	// LedgerPort is where the ledger receives records.
	LedgerPort = 4318
)

// The names of what every cage has.
const (
	// DefaultDeny is the NetworkPolicy that closes the namespace in both directions.
	DefaultDeny = "clawstaff-default-deny"
	// QuotaName is the name of a cage's ResourceQuota and LimitRange.
	QuotaName = "clawstaff"
	// LedgerName is the ledger's Service, StatefulSet and app.kubernetes.io/name.
	LedgerName = "clawstaff-ledger"
	// LedgerAudience is the audience of the tokens shown to the ledger.
	LedgerAudience = "clawstaff-ledger"
)

// The types of the Secrets the manager makes for a Claw.
const (
	// SecretTypeGateway holds what only the gateway may know.
	SecretTypeGateway = "clawstaff.dev/gateway"
	// SecretTypeAgent holds what the agent needs to find and to believe its gateway.
	SecretTypeAgent = "clawstaff.dev/agent"
)

// The keys of those Secrets.
const (
	KeyCACert        = "ca.crt"
	KeyCAKey         = "ca.key"
	KeyProxyPassword = "proxy-password"
	KeyResignSecret  = "resign-secret"
	KeyUpstreamCA    = "upstream-ca.crt"
	KeyLedgerCA      = "ledger-ca.crt"
	KeyProxyURL      = "proxy-url"
)

// Names of containers, and of the key of the ConfigMap the probe reads.
const (
	ContainerGateway = "gateway"
	ContainerAgent   = "agent"
	ContainerProbe   = "probe"
	// KeyProbePlan is the key of the probe's ConfigMap, and EnvProbePlan the variable it is read from.
	KeyProbePlan = "plan"
	EnvProbePlan = "CLAWSTAFF_PROBE"
)

// GatewayName names everything of a Claw's gateway.
func GatewayName(claw string) string { return claw + "-gateway" }

// AgentName names everything of a Claw's agent.
func AgentName(claw string) string { return claw + "-agent" }

// OwnerName names the Role of a Claw's owner, and its binding.
func OwnerName(claw string) string { return claw + "-owner" }

// ProbeName names the ConfigMap with what a Claw's probe must not reach.
func ProbeName(claw string) string { return claw + "-probe" }

// WorkspaceClaim names the volume claim of a Claw's workspace, as the StatefulSet controller does.
func WorkspaceClaim(claw string) string { return workspaceVolume + "-" + AgentName(claw) + "-0" }

// CredentialKey is the key under which a Secret of ours holds one slot of one credential.
func CredentialKey(credential, slot string) string { return "credential." + credential + "." + slot }

const (
	workspaceVolume   = "workspace"
	credentialsVolume = "credentials"
)
