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
