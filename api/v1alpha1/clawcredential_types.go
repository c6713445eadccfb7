package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// CredentialState says whether a credential may be used.
//
// +kubebuilder:validation:Enum=Active;Revoked
type CredentialState string

// The states of a credential.
const (
	// CredentialActive may be used.
	CredentialActive CredentialState = "Active"
	// CredentialRevoked may never be used again.
	CredentialRevoked CredentialState = "Revoked"
)

// Delivery says how a key reaches the provider.
//
// +kubebuilder:validation:Enum=Gateway
type Delivery string

// DeliveryGateway keeps the key in the gateway, which puts it into a request after the decision.
const DeliveryGateway Delivery = "Gateway"

// ClawCredentialSpec is the key owner's word: one key, of one connector, for one Claw.
//
// +kubebuilder:validation:XValidation:rule="self.claw == oldSelf.claw",message="spec.claw is immutable: a key belongs to exactly one Claw; create another ClawCredential"
// +kubebuilder:validation:XValidation:rule="self.connector == oldSelf.connector",message="spec.connector is immutable: create another ClawCredential"
// +kubebuilder:validation:XValidation:rule="!(has(oldSelf.state) && oldSelf.state == 'Revoked') || self == oldSelf",message="a Revoked credential is final and can only be deleted: create another ClawCredential with a new key"
type ClawCredentialSpec struct {
	// Claw the key is for.
	// +required
	Claw CredentialClaw `json:"claw,omitzero"`
	// Connector the key may be used with. Immutable.
	// +required
	Connector ConnectorName `json:"connector"`
	// Source is where the key comes from; exactly one.
	// +required
	Source CredentialSource `json:"source,omitzero"`
	// Delivery says how the key reaches the provider.
	// +optional
	// +default="Gateway"
	Delivery Delivery `json:"delivery,omitempty"`
	// State is Active, or Revoked for ever.
	// +optional
	// +default="Active"
	State CredentialState `json:"state,omitempty"`
}

// CredentialClaw names exactly one Claw, of exactly that owner.
type CredentialClaw struct {
	// Name of the Claw.
	// +required
	Name ObjectName `json:"name"`
	// Owner the Claw must have.
	// +required
	Owner MemberName `json:"owner"`
}

// CredentialSource is where a key comes from.
//
// +kubebuilder:validation:ExactlyOneOf=secret
type CredentialSource struct {
	// Secret of the same namespace, of type clawstaff.dev/credential, whose annotation
	// clawstaff.dev/credential names this ClawCredential.
	// +optional
	Secret *SecretSource `json:"secret,omitempty"`
}

// SecretSource takes a key from a Secret.
type SecretSource struct {
	// Name of the Secret.
	// +required
	Name ObjectName `json:"name"`
	// Keys maps the connector's slots to keys of the Secret: botToken: bot.
	// +required
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	Keys map[string]string `json:"keys,omitempty"`
}

// ClawCredentialStatus is what the manager has seen.
type ClawCredentialStatus struct {
	// ClawUID is the Claw the key was bound to; set once.
	// +optional
	ClawUID string `json:"clawUID,omitempty"`
	// Version changes when the key's value does. It is a keyed hash and says nothing about the value.
	// +optional
	Version string `json:"version,omitempty"`
	// Fingerprints are keyed hashes of the values, by which the same key under a second Claw is found.
	// They say nothing about the values.
	// +optional
	// +listType=set
	Fingerprints []string `json:"fingerprints,omitempty"`
	// Conditions: Ready, SourceSynced, Isolated.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ClawCredential is one key, of one connector, for exactly one Claw.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=clawcred,categories=clawstaff
// +kubebuilder:printcolumn:name="Claw",type=string,JSONPath=`.spec.claw.name`
// +kubebuilder:printcolumn:name="Connector",type=string,JSONPath=`.spec.connector`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.spec.state`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ClawCredential struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`
	// Spec is the key owner's word.
	// +required
	Spec ClawCredentialSpec `json:"spec,omitzero"`
	// Status is what the manager has seen.
	// +optional
	Status ClawCredentialStatus `json:"status,omitzero"`
}

// ClawCredentialList is a list of credentials.
//
// +kubebuilder:object:root=true
type ClawCredentialList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []ClawCredential `json:"items"`
}
