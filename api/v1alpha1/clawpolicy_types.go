package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ClawPolicySpec is security's ceiling over the Claws it selects.
type ClawPolicySpec struct {
	// Selector says which Claws the policy is about, by facts their author cannot write.
	// +required
	Selector PolicySelector `json:"selector,omitzero"`
	// Allow is what the selected Claws may ask for; the union over all policies that select a Claw.
	// +optional
	Allow PolicyRules `json:"allow,omitzero"`
	// Deny wins over every allow. A list left out inside a deny entry means all of it. A channel that is
	// denied is denied to tools as well; and where tools may not Read or Write, there is no channel either.
	// +optional
	Deny PolicyRules `json:"deny,omitzero"`
	// Require is what each selected Claw must fulfil, whatever is allowed.
	// +optional
	Require PolicyRequirements `json:"require,omitzero"`
}

// PolicyRequirements must all hold, of every policy that selects a Claw. What is left out is not required.
type PolicyRequirements struct {
	// Schedule within which everything happens. A Claw that asks for more is held to this.
	// +optional
	Schedule *Schedule `json:"schedule,omitempty"`
	// MaxLifetimeDays after its creation a Claw ends, if it does not end before.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3650
	MaxLifetimeDays int32 `json:"maxLifetimeDays,omitempty"`
	// Runtime of the Claw. A Claw that runs something else does not run.
	// +optional
	Runtime RuntimeRequirements `json:"runtime,omitzero"`
	// Credentials of the Claw. One that is otherwise is not used.
	// +optional
	Credentials CredentialRequirements `json:"credentials,omitzero"`
	// Limits of the Claw; of several policies the least counts.
	// +optional
	Limits Limits `json:"limits,omitzero"`
}

// DigestMode says whether an image must be named by its digest.
//
// +kubebuilder:validation:Enum=Required;Optional
type DigestMode string

// The digest modes.
const (
	// DigestsRequired wants each image named by its digest, which nobody can point elsewhere.
	DigestsRequired DigestMode = "Required"
	// DigestsOptional lets a tag do.
	DigestsOptional DigestMode = "Optional"
)

// RuntimeRequirements are about what runs and in what.
type RuntimeRequirements struct {
	// Images that may run, with their registry and a tag or digest; exact, or with a trailing "*". What ends
	// in ":*" stands for every tag and digest of one repository. An image without a registry is docker.io's.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Images []Pattern `json:"images,omitempty"`
	// Digests says whether an image must be named by its digest.
	// +optional
	Digests DigestMode `json:"digests,omitempty"`
	// RuntimeClassNames in which an agent may run.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	RuntimeClassNames []ObjectName `json:"runtimeClassNames,omitempty"`
}

// CredentialRequirements are about where keys come from, where they go, and how old they get.
type CredentialRequirements struct {
	// Sources a key may come from.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	Sources []SourceKind `json:"sources,omitempty"`
	// Delivery a key may have.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	Delivery []Delivery `json:"delivery,omitempty"`
	// MaxAgeDays is how long after its last rotation a key may be used.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3650
	MaxAgeDays int32 `json:"maxAgeDays,omitempty"`
}

// PolicySelector selects a Claw when any of its parts does. An empty selector selects nothing.
type PolicySelector struct {
	// All selects every Claw of the organization.
	// +optional
	All bool `json:"all,omitempty"`
	// Claws selects by the Claw's name.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	Claws []Pattern `json:"claws,omitempty"`
	// Owners selects by the Claw's owner.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	Owners []MemberName `json:"owners,omitempty"`
	// Teams selects by the teams of the Claw's owner.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	Teams []TeamName `json:"teams,omitempty"`
}

// PolicyRules are the rules of an allow or a deny.
type PolicyRules struct {
	// Visibility that is allowed or denied.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=3
	Visibility []Visibility `json:"visibility,omitempty"`
	// Channels that are allowed or denied, inbound and outbound.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Channels []ChannelRule `json:"channels,omitempty"`
	// Tools that are allowed or denied.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=128
	Tools []ToolRule `json:"tools,omitempty"`
	// Models that are allowed or denied.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Models []ModelRule `json:"models,omitempty"`
	// Stores of External Secrets that keys may be read from. No store that is not allowed is used.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Stores []StoreRule `json:"stores,omitempty"`
}

// StoreRule is about one store of External Secrets.
type StoreRule struct {
	StoreReference `json:",inline"`
	// Keys of the store, exact or with a trailing "*".
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Keys []Pattern `json:"keys,omitempty"`
}

// ChannelRule is about the channels of one connector.
type ChannelRule struct {
	// Connector of the catalogue.
	// +required
	Connector ConnectorName `json:"connector"`
	// Channels by id, exact or with a trailing "*".
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	Channels []Pattern `json:"channels,omitempty"`
	// Users by id at the connector (slack: T01ACME/U01SARAH), exact or with a trailing "*".
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	Users []Pattern `json:"users,omitempty"`
	// Correspondents are heard in these channels although they are in no directory. In a deny, they are all
	// that is denied where no users are listed.
	// +optional
	Correspondents Correspondents `json:"correspondents,omitzero"`
}

// ToolRule is about what may be done through one connector.
type ToolRule struct {
	// Connector of the catalogue.
	// +required
	Connector ConnectorName `json:"connector"`
	// Actions of the connector's operations.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=4
	Actions []Action `json:"actions,omitempty"`
	// Resources the actions may be done to. Operations without a resource need none.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Resources []ResourceScope `json:"resources,omitempty"`
}

// ModelRule is about the models of one connector.
type ModelRule struct {
	// Connector of the catalogue.
	// +required
	Connector ConnectorName `json:"connector"`
	// Models by name, exact or with a trailing "*".
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Models []Pattern `json:"models,omitempty"`
}

// ClawPolicyStatus is what the manager has seen.
type ClawPolicyStatus struct {
	// SelectedClaws is the number of Claws the policy is about.
	// +optional
	SelectedClaws int32 `json:"selectedClaws,omitempty"`
	// Conditions: Ready, Accepted.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ClawPolicy is the ceiling of what the Claws it selects may be granted.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=clawpol,categories=clawstaff
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Claws",type=integer,JSONPath=`.status.selectedClaws`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ClawPolicy struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`
	// Spec is security's ceiling.
	// +required
	Spec ClawPolicySpec `json:"spec,omitzero"`
	// Status is what the manager has seen.
	// +optional
	Status ClawPolicyStatus `json:"status,omitzero"`
}

// ClawPolicyList is a list of policies.
//
// +kubebuilder:object:root=true
type ClawPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []ClawPolicy `json:"items"`
}
