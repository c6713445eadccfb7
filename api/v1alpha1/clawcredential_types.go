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
// +kubebuilder:validation:Enum=Gateway;Container
type Delivery string

// The deliveries.
const (
	// DeliveryGateway keeps the key in the gateway, which puts it into a request after the decision.
	DeliveryGateway Delivery = "Gateway"
	// DeliveryContainer does the same, and puts the key into a memory file of the agent too, for software
	// that must hold its own.
	DeliveryContainer Delivery = "Container"
)

// SourceKind is a kind of source of keys.
//
// +kubebuilder:validation:Enum=Secret;ExternalSecret
type SourceKind string

// The kinds of source.
const (
	// SourceSecret is a Secret that somebody wrote.
	SourceSecret SourceKind = "Secret"
	// SourceExternalSecret is a store that External Secrets Operator reads.
	SourceExternalSecret SourceKind = "ExternalSecret"
)

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
// +kubebuilder:validation:ExactlyOneOf=secret;externalSecret
type CredentialSource struct {
	// Secret of the same namespace, of type clawstaff.dev/credential, whose annotation
	// clawstaff.dev/credential names this ClawCredential.
	// +optional
	Secret *SecretSource `json:"secret,omitempty"`
	// ExternalSecret is read from a store by External Secrets Operator. A policy must allow the store.
	// +optional
	ExternalSecret *ExternalSecretSource `json:"externalSecret,omitempty"`
}

// Kind of the source; empty when there is none.
func (s *CredentialSource) Kind() SourceKind {
	switch {
	case s.Secret != nil:
		return SourceSecret
	case s.ExternalSecret != nil:
		return SourceExternalSecret
	default:
		return ""
	}
}

// ExternalSecretSource takes a key from a store of External Secrets.
type ExternalSecretSource struct {
	// SecretStoreRef names the store.
	// +required
	SecretStoreRef StoreReference `json:"secretStoreRef,omitzero"`
	// RefreshIntervalSeconds is how often the store is read.
	// +optional
	// +default=3600
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=86400
	RefreshIntervalSeconds int32 `json:"refreshIntervalSeconds,omitempty"`
	// Data says for each slot of the connector where in the store its value is.
	// +required
	// +listType=map
	// +listMapKey=slot
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Data []ExternalSecretData `json:"data,omitempty"`
}

// StoreKind is a kind of store of External Secrets.
//
// +kubebuilder:validation:Enum=SecretStore;ClusterSecretStore
type StoreKind string

// The kinds of store.
const (
	// StoreInCage is a store of the cage's own namespace.
	StoreInCage StoreKind = "SecretStore"
	// StoreOfCluster is a store of the whole cluster.
	StoreOfCluster StoreKind = "ClusterSecretStore"
)

// StoreReference names a store of External Secrets.
type StoreReference struct {
	// Kind of the store.
	// +required
	Kind StoreKind `json:"kind"`
	// Name of the store.
	// +required
	Name ObjectName `json:"name"`
}

// ExternalSecretData is where in a store a slot's value is.
type ExternalSecretData struct {
	// Slot of the connector.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Slot string `json:"slot"`
	// Key in the store.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Key string `json:"key"`
	// Property of the key's value, where that is a structure.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Property string `json:"property,omitempty"`
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
	// LastRotatedAt is when the value was first seen, or its Secret made, whichever came first.
	// +optional
	LastRotatedAt *metav1.Time `json:"lastRotatedAt,omitempty"`
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
