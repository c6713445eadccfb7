package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ClawState is what the owner wants of a Claw.
//
// +kubebuilder:validation:Enum=Active;Revoked
type ClawState string

// The states a Claw can be asked to be in.
const (
	// ClawActive runs.
	ClawActive ClawState = "Active"
	// ClawRevoked is over for ever.
	ClawRevoked ClawState = "Revoked"
)

// ClawPhase is the state a Claw is seen in.
type ClawPhase string

// The phases of a Claw.
const (
	// PhasePending is not running yet.
	PhasePending ClawPhase = "Pending"
	// PhaseActive runs, and all of it is proved.
	PhaseActive ClawPhase = "Active"
	// PhaseRevoked is over.
	PhaseRevoked ClawPhase = "Revoked"
	// PhaseStopped is closed because its organization is.
	PhaseStopped ClawPhase = "Stopped"
	// PhaseClosed is outside of its schedule: nothing is allowed, and with outside: Suspend the agent does not run.
	PhaseClosed ClawPhase = "Closed"
	// PhaseExpired is over because its time is: spec.expiresAt, or the lifetime that policies give.
	PhaseExpired ClawPhase = "Expired"
)

// ClawSpec is the owner's request.
//
// +kubebuilder:validation:XValidation:rule="self.visibility == 'Team' ? size(self.teams) > 0 : !has(self.teams)",message="spec.teams: name at least one team with visibility Team, and none otherwise"
// +kubebuilder:validation:XValidation:rule="!(has(oldSelf.state) && oldSelf.state == 'Revoked') || self == oldSelf",message="a Revoked Claw is final and can only be deleted: create another Claw"
type ClawSpec struct {
	// Owner is the member who is accountable for the Claw. They belong to every team below.
	// +required
	Owner MemberName `json:"owner"`
	// Purpose says in a sentence what the Claw is for.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Purpose string `json:"purpose"`
	// Visibility says who may interact with the Claw.
	// +required
	Visibility Visibility `json:"visibility"`
	// Teams whose members may interact with it; with visibility Team.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	Teams []TeamName `json:"teams,omitempty"`
	// Channels from where, and by whom, the Claw can be reached; and where it may speak.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Channels []ChannelRequest `json:"channels,omitempty"`
	// Tools the Claw may use.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Tools []ToolRequest `json:"tools,omitempty"`
	// Models the Claw may ask.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Models []ModelRequest `json:"models,omitempty"`
	// Schedule outside of which the Claw is closed. Left out, it is always open, where policies let it.
	// +optional
	Schedule *ClawSchedule `json:"schedule,omitempty"`
	// ExpiresAt is when the Claw ends. A later time lets it go on.
	// +optional
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`
	// State is Active, or Revoked for ever.
	// +optional
	// +default="Active"
	State ClawState `json:"state,omitempty"`
	// Runtime is what runs; exactly one.
	// +required
	Runtime Runtime `json:"runtime,omitzero"`
	// Resources of the agent container. A limit of zero, which would be none, counts as not set.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.claims)",message="spec.resources.claims: an agent has no resource claims to use: leave it out"
	Resources corev1.ResourceRequirements `json:"resources,omitzero"`
}

// ChannelRequest asks to be reached, and to speak, through one connector.
type ChannelRequest struct {
	ChannelRule `json:",inline"`
	// Credential to verify and to speak with; a ClawCredential of this Claw and connector.
	// +required
	Credential ObjectName `json:"credential"`
}

// ToolRequest asks to use one connector.
type ToolRequest struct {
	ToolRule `json:",inline"`
	// Credential to call with; a ClawCredential of this Claw and connector.
	// +required
	Credential ObjectName `json:"credential"`
	// Schedule outside of which this entry gives nothing, beside the Claw's own.
	// +optional
	Schedule *Schedule `json:"schedule,omitempty"`
}

// ModelRequest asks for models of one connector.
type ModelRequest struct {
	ModelRule `json:",inline"`
	// Credential to call with; a ClawCredential of this Claw and connector.
	// +required
	Credential ObjectName `json:"credential"`
}

// Runtime is what a Claw runs.
//
// +kubebuilder:validation:ExactlyOneOf=container
type Runtime struct {
	// Container is an image of the user's own.
	// +optional
	Container *ContainerRuntime `json:"container,omitempty"`
}

// ContainerRuntime runs an image of the user's own.
type ContainerRuntime struct {
	// Image to run. It must run as a user without privileges and with a read-only root file system.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image"`
	// Command overrides the image's entrypoint and arguments.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Command []string `json:"command,omitempty"`
	// Env is added to the environment; name and value only, so no key can be drawn in.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=128
	Env []EnvVar `json:"env,omitempty"`
	// Port the agent listens on for messages from its gateway.
	// +optional
	// +default=8080
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`
	// InboundPath the gateway posts messages to.
	// +optional
	// +default="/messages"
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^/[A-Za-z0-9/._~-]*$`
	InboundPath string `json:"inboundPath,omitempty"`
	// Workspace is the agent's own volume, kept over restarts, mounted at /workspace.
	// +optional
	// +default={}
	Workspace Workspace `json:"workspace,omitzero"`
}

// EnvVar is one environment variable.
//
// +kubebuilder:validation:XValidation:rule="!(self.name in ['HTTP_PROXY','HTTPS_PROXY','NO_PROXY','ALL_PROXY','http_proxy','https_proxy','no_proxy','all_proxy','NODE_USE_ENV_PROXY','NODE_EXTRA_CA_CERTS','SSL_CERT_FILE','CURL_CA_BUNDLE','REQUESTS_CA_BUNDLE','GIT_SSL_CAINFO'])",message="this variable is set by the operator: it is how the agent finds its gateway"
type EnvVar struct {
	// Name of the variable.
	// +required
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Za-z_][A-Za-z0-9_]*$`
	Name string `json:"name"`
	// Value of the variable. Never put a key here: use a ClawCredential.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Value string `json:"value,omitempty"`
}

// Workspace is the agent's own volume.
type Workspace struct {
	// SizeGiB of the volume in gibibytes. Immutable.
	// +optional
	// +default=1
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the size of a workspace is immutable: create another Claw"
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1024
	SizeGiB int32 `json:"sizeGiB,omitempty"`
}

// ClawStatus is what the manager has seen.
type ClawStatus struct {
	// State the Claw is seen in.
	// +optional
	State ClawPhase `json:"state,omitempty"`
	// GrantRef names the ClawGrant: what the Claw may do in total.
	// +optional
	GrantRef string `json:"grantRef,omitempty"`
	// Withheld is what was asked for and not given, and why.
	// +optional
	// +listType=atomic
	Withheld []Withheld `json:"withheld,omitempty"`
	// Conditions: Ready, Reconciling, Stalled, InScope, OwnerPresent, CredentialsReady, GatewayReady,
	// NetworkEnforced, RuntimeReady.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Claw is an agent: its owner, what it asks for, what it runs.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=claw,categories=clawstaff
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 40",message="metadata.name: at most 40 characters, because the names of what runs for it are derived from it"
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z]([a-z0-9-]*[a-z0-9])?$')",message="metadata.name: lower-case letters, digits and '-', starting with a letter, because Services are named after it"
// +kubebuilder:printcolumn:name="Visibility",type=string,JSONPath=`.spec.visibility`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Enforced",type=string,JSONPath=`.status.conditions[?(@.type=="NetworkEnforced")].status`
// +kubebuilder:printcolumn:name="InScope",type=string,JSONPath=`.status.conditions[?(@.type=="InScope")].status`
// +kubebuilder:printcolumn:name="Owner",type=string,JSONPath=`.spec.owner`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Expires",type=date,priority=1,JSONPath=`.spec.expiresAt`
// +kubebuilder:printcolumn:name="Channels",type=string,priority=1,JSONPath=`.spec.channels[*].connector`
// +kubebuilder:printcolumn:name="Tools",type=string,priority=1,JSONPath=`.spec.tools[*].connector`
type Claw struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`
	// Spec is the owner's request.
	// +required
	Spec ClawSpec `json:"spec,omitzero"`
	// Status is what the manager has seen.
	// +optional
	Status ClawStatus `json:"status,omitzero"`
}

// ClawList is a list of Claws.
//
// +kubebuilder:object:root=true
type ClawList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []Claw `json:"items"`
}
