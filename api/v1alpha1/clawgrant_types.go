package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// GrantState says whether a grant is in force.
//
// +kubebuilder:validation:Enum=Active;Stopped;Revoked
type GrantState string

// The states of a grant.
const (
	// GrantActive is in force.
	GrantActive GrantState = "Active"
	// GrantStopped denies everything until it is Active again.
	GrantStopped GrantState = "Stopped"
	// GrantRevoked denies everything for ever.
	GrantRevoked GrantState = "Revoked"
)

// WithheldReason says why something asked for was not given.
type WithheldReason string

// The reasons for which something is withheld.
const (
	// WithheldNotAllowed means that no policy allows it.
	WithheldNotAllowed WithheldReason = "NotAllowed"
	// WithheldDenied means that a policy denies it.
	WithheldDenied WithheldReason = "DeniedByPolicy"
	// WithheldUnknownConnector means that the catalogue has no such connector.
	WithheldUnknownConnector WithheldReason = "UnknownConnector"
	// WithheldUnknownType means that the connector has no resources of that type, or none that are in domains.
	WithheldUnknownType WithheldReason = "UnknownResourceType"
	// WithheldCredential means that the credential is missing, of another Claw, owner or connector, revoked, or not ready.
	WithheldCredential WithheldReason = "CredentialNotUsable"
	// WithheldNotMember means that the owner is no member, or not of that team.
	WithheldNotMember WithheldReason = "NotAMember"
	// WithheldContested means that an identity is claimed by two members and so is nobody's.
	WithheldContested WithheldReason = "IdentityContested"
	// WithheldVisibility means that it would reach beyond the Claw's visibility.
	WithheldVisibility WithheldReason = "BeyondVisibility"
	// WithheldRequired means that it is not as a policy requires.
	WithheldRequired WithheldReason = "RequiredByPolicy"
)

// ClawGrantSpec is the effective permission of one Claw: what was asked, cut down to what policies allow.
type ClawGrantSpec struct {
	// ClawUID is the UID of the Claw the grant is for.
	// +required
	ClawUID string `json:"clawUID"`
	// Hash of the content below without what allows nothing: agentIPs and withheld.
	// +required
	Hash string `json:"hash"`
	// State of the grant.
	// +required
	State GrantState `json:"state"`
	// AgentIPs are the only source addresses the gateway's agent-side ports accept. They are set once the
	// agent's pod has proved that it can reach nothing else.
	// +optional
	// +listType=set
	AgentIPs []string `json:"agentIPs,omitempty"`
	// AgentPort is where the agent listens for messages.
	// +optional
	AgentPort int32 `json:"agentPort,omitempty"`
	// AgentPath is the path messages are posted to.
	// +optional
	AgentPath string `json:"agentPath,omitempty"`
	// Visibility of the Claw.
	// +required
	Visibility Visibility `json:"visibility"`
	// Audience lists, by connector, the principals the visibility admits.
	// +optional
	// +listType=map
	// +listMapKey=connector
	Audience []GrantAudience `json:"audience,omitempty"`
	// Channels the Claw is reached through and may speak in.
	// +optional
	// +listType=atomic
	Channels []ChannelRequest `json:"channels,omitempty"`
	// Tools the Claw may use.
	// +optional
	// +listType=atomic
	Tools []ToolRequest `json:"tools,omitempty"`
	// Models the Claw may ask.
	// +optional
	// +listType=atomic
	Models []ModelRequest `json:"models,omitempty"`
	// Schedules that must all be open for anything to happen.
	// +optional
	// +listType=atomic
	Schedules []Schedule `json:"schedules,omitempty"`
	// ExpiresAt is when everything ends.
	// +optional
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`
	// Limits on how much is done.
	// +optional
	Limits Limits `json:"limits,omitzero"`
	// Connectors of the organization's own that the entries above are about. Those of the catalogue that is part of
	// ClawStaff are not repeated here.
	// +optional
	// +listType=map
	// +listMapKey=name
	Connectors []GrantConnector `json:"connectors,omitempty"`
	// Credentials the gateway may use.
	// +optional
	// +listType=map
	// +listMapKey=name
	Credentials []GrantCredential `json:"credentials,omitempty"`
	// Withheld is what was asked for and not given.
	// +optional
	// +listType=atomic
	Withheld []Withheld `json:"withheld,omitempty"`
}

// GrantAudience lists the principals of one connector.
type GrantAudience struct {
	// Connector of the catalogue.
	// +required
	Connector ConnectorName `json:"connector"`
	// Principals are ids at the connector. Empty means nobody. The list is one field: what the API server notes
	// about who wrote each id would be larger than the ids.
	// +optional
	// +listType=atomic
	Principals []string `json:"principals,omitempty"`
}

// GrantConnector is one connector of the organization's own.
type GrantConnector struct {
	// Name of the connector.
	// +required
	Name ConnectorName `json:"name"`
	// Definition is the connector's YAML as the organization's ConfigMap has it.
	// +required
	// +kubebuilder:validation:MaxLength=65536
	Definition string `json:"definition,omitempty"`
}

// GrantCredential is one credential the gateway may use.
type GrantCredential struct {
	// Name of the ClawCredential.
	// +required
	Name ObjectName `json:"name"`
	// Connector the key may be used with.
	// +required
	Connector ConnectorName `json:"connector"`
	// Slots of the connector that the credential fills.
	// +optional
	// +listType=set
	Slots []string `json:"slots,omitempty"`
	// Version of the key's value.
	// +optional
	Version string `json:"version,omitempty"`
	// Delivery of the key.
	// +optional
	Delivery Delivery `json:"delivery,omitempty"`
}

// Withheld is one thing asked for and not given.
type Withheld struct {
	// Path in the Claw, for example spec.tools[1].actions[0].
	// +required
	Path string `json:"path"`
	// Reason it was not given.
	// +required
	Reason WithheldReason `json:"reason"`
	// Policy that denied it, where one did.
	// +optional
	Policy string `json:"policy,omitempty"`
	// Message says what was asked, what is allowed, and how to fix it.
	// +optional
	Message string `json:"message,omitempty"`
}

// ClawGrantStatus is the proof that the grant is enforced. Each gateway writes its own entry.
type ClawGrantStatus struct {
	// Gateways that enforce this grant.
	// +optional
	// +listType=map
	// +listMapKey=podUID
	Gateways []GrantGateway `json:"gateways,omitempty"`
}

// GrantGateway is one gateway's word.
type GrantGateway struct {
	// PodUID of the gateway.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	PodUID string `json:"podUID"`
	// PodName of the gateway.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`
	PodName string `json:"podName"`
	// Enforcing is the hash of the grant this gateway enforces.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Enforcing string `json:"enforcing,omitempty"`
	// State the gateway enforces; Revoked once connections are cut and keys forgotten.
	// +optional
	State GrantState `json:"state,omitempty"`
	// Since when.
	// +optional
	Since metav1.Time `json:"since,omitzero"`
}

// ClawGrant is what one Claw may do in total. The manager writes its spec, the Claw's gateway its status.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=clawgrant,categories=clawstaff
// +kubebuilder:printcolumn:name="Visibility",type=string,JSONPath=`.spec.visibility`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.spec.state`
// +kubebuilder:printcolumn:name="Channels",type=string,JSONPath=`.spec.channels[*].channels`
// +kubebuilder:printcolumn:name="Tools",type=string,JSONPath=`.spec.tools[*].connector`
// +kubebuilder:printcolumn:name="Models",type=string,JSONPath=`.spec.models[*].models`
// +kubebuilder:printcolumn:name="Expires",type=date,JSONPath=`.spec.expiresAt`
// +kubebuilder:printcolumn:name="Enforced",type=string,JSONPath=`.status.gateways[*].enforcing`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ClawGrant struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`
	// Spec is written by the manager.
	// +required
	Spec ClawGrantSpec `json:"spec,omitzero"`
	// Status is written by the Claw's gateway.
	// +optional
	Status ClawGrantStatus `json:"status,omitzero"`
}

// ClawGrantList is a list of grants.
//
// +kubebuilder:object:root=true
type ClawGrantList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []ClawGrant `json:"items"`
}
