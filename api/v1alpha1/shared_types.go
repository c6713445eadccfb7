package v1alpha1

// Visibility says who may interact with a Claw.
//
// +kubebuilder:validation:Enum=Private;Team;Organization
type Visibility string

// The visibilities, from the narrowest to the widest.
const (
	// VisibilityPrivate admits the owner only.
	VisibilityPrivate Visibility = "Private"
	// VisibilityTeam admits the members of the Claw's teams.
	VisibilityTeam Visibility = "Team"
	// VisibilityOrganization admits every member of the organization.
	VisibilityOrganization Visibility = "Organization"
)

// Action is the class of an operation of a connector.
//
// +kubebuilder:validation:Enum=Read;Write;Delete;Admin
type Action string

// The actions.
const (
	// ActionRead observes.
	ActionRead Action = "Read"
	// ActionWrite creates or changes.
	ActionWrite Action = "Write"
	// ActionDelete removes.
	ActionDelete Action = "Delete"
	// ActionAdmin changes who may do what at the provider.
	ActionAdmin Action = "Admin"
)

// Pattern is an exact value, or a prefix followed by one trailing "*".
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=256
// +kubebuilder:validation:Pattern=`^[^*]*\*?$`
type Pattern string

// Wildcard is the Pattern that matches every value.
const Wildcard Pattern = "*"

// ConnectorName is the name of a connector of the catalogue: slack, openai, anthropic.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
type ConnectorName string

// ObjectName is the name of an object in the same namespace.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
type ObjectName string

// MemberName is the name of a member in the organization's directory, by
// convention an address: sarah@acme.example.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=128
// +kubebuilder:validation:Pattern=`^[A-Za-z0-9._%+@-]+$`
type MemberName string

// TeamName is the name of a team of the organization.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
type TeamName string

// ResourceScope narrows a tool to some resources of one type.
type ResourceScope struct {
	// Type of the resource as the connector's catalogue names it, for example channel or repository.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Type string `json:"type"`
	// Names of the resources, exact or with a trailing "*". Empty means none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	Names []Pattern `json:"names,omitempty"`
}
