package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// OrganizationState says whether an organization's Claws may run.
//
// +kubebuilder:validation:Enum=Active;Stopped
type OrganizationState string

// The states of an organization.
const (
	// OrganizationActive lets its Claws run.
	OrganizationActive OrganizationState = "Active"
	// OrganizationStopped closes every Claw of the organization.
	OrganizationStopped OrganizationState = "Stopped"
)

// RuntimeClassMode says what happens when the sandbox runtime class is missing.
//
// +kubebuilder:validation:Enum=Required;Preferred
type RuntimeClassMode string

// The runtime class modes.
const (
	// RuntimeClassRequired refuses to run an agent without the runtime class.
	RuntimeClassRequired RuntimeClassMode = "Required"
	// RuntimeClassPreferred runs an agent with the default runtime where the class is missing.
	RuntimeClassPreferred RuntimeClassMode = "Preferred"
)

// ClawOrganizationSpec is the platform's word about one organization.
//
// +kubebuilder:validation:XValidation:rule="has(self.__namespace__) == has(oldSelf.__namespace__) && (!has(self.__namespace__) || self.__namespace__ == oldSelf.__namespace__)",message="spec.namespace is immutable: delete the organization and create another one"
// +kubebuilder:validation:XValidation:rule="!has(self.__namespace__) || !(self.__namespace__.startsWith('kube-') || self.__namespace__ in ['default', 'clawstaff-system'])",message="spec.namespace may not be default, clawstaff-system or kube-*: a cage is a namespace of its own"
type ClawOrganizationSpec struct {
	// Namespace is the organization's cage; the organization's name if left out. Immutable.
	// +optional
	Namespace ObjectName `json:"namespace,omitempty"`
	// State is Active, or Stopped to close every Claw of the organization.
	// +optional
	// +default="Active"
	State OrganizationState `json:"state,omitempty"`
	// Members is the organization's directory. Who is not listed is an outsider.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=1000
	Members []Member `json:"members,omitempty"`
	// Teams group members.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=200
	Teams []Team `json:"teams,omitempty"`
	// DirectoryRefs name ConfigMaps of the operator's namespace that hold more members and teams. Each of
	// their keys that ends in .yaml is a document with members and teams as here.
	// +optional
	// +listType=map
	// +listMapKey=configMap
	// +kubebuilder:validation:MaxItems=16
	DirectoryRefs []ConfigMapReference `json:"directoryRefs,omitempty"`
	// ConnectorRefs name ConfigMaps of the operator's namespace that hold connectors of the organization's own, one in
	// each key that ends in .yaml. None may take the name, or a host, of a connector that is part of ClawStaff. What
	// cannot be read is no connector, and the organization says why.
	// +optional
	// +listType=map
	// +listMapKey=configMap
	// +kubebuilder:validation:MaxItems=16
	ConnectorRefs []ConfigMapReference `json:"connectorRefs,omitempty"`
	// Baseline is over every Claw of the organization, like a ClawPolicy that nobody in the cage can edit.
	// +optional
	Baseline Baseline `json:"baseline,omitzero"`
	// Sandbox says how agents are isolated from the node's kernel.
	// +optional
	Sandbox Sandbox `json:"sandbox,omitzero"`
	// Quota bounds what the cage may use.
	// +optional
	Quota Quota `json:"quota,omitzero"`
	// UpstreamCAs names a ConfigMap of the operator's namespace whose values are PEM certificates that
	// gateways trust beside the system's roots: corporate inspection, in-house services.
	// +optional
	UpstreamCAs *ConfigMapReference `json:"upstreamCAs,omitempty"`
}

// Baseline is the platform's own ceiling. It allows nothing by itself.
type Baseline struct {
	// Deny wins over every allow of a policy.
	// +optional
	Deny PolicyRules `json:"deny,omitzero"`
	// Require is what each Claw must fulfil.
	// +optional
	Require PolicyRequirements `json:"require,omitzero"`
}

// ConfigMapReference names a ConfigMap of the operator's own namespace.
type ConfigMapReference struct {
	// ConfigMap is its name.
	// +required
	ConfigMap ObjectName `json:"configMap"`
}

// Member is one person of an organization and the identities they are known by.
type Member struct {
	// Name of the member.
	// +required
	Name MemberName `json:"name"`
	// Identities of this person at a connector, by connector: slack: [T01ACME/U01SARAH].
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Identities map[string][]string `json:"identities,omitempty"`
	// Kubernetes lists the usernames this person has at the API server.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	Kubernetes []string `json:"kubernetes,omitempty"`
}

// Team is a named group of members.
type Team struct {
	// Name of the team.
	// +required
	Name TeamName `json:"name"`
	// Members of the team, by name. Empty means nobody.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=1000
	Members []MemberName `json:"members,omitempty"`
}

// Sandbox says how agents are isolated from the node's kernel.
type Sandbox struct {
	// RuntimeClassName of agent pods, for example gvisor. Empty means the cluster's default runtime.
	// +optional
	RuntimeClassName ObjectName `json:"runtimeClassName,omitempty"`
	// RuntimeClass says whether an agent may run where the runtime class is missing.
	// +optional
	// +default="Required"
	RuntimeClass RuntimeClassMode `json:"runtimeClass,omitempty"`
}

// Quota bounds what a cage may use. What is left out is unbounded.
//
// +kubebuilder:validation:XValidation:rule="(!has(self.cpu) || !quantity(string(self.cpu)).isLessThan(quantity('0'))) && (!has(self.memory) || !quantity(string(self.memory)).isLessThan(quantity('0'))) && (!has(self.storage) || !quantity(string(self.storage)).isLessThan(quantity('0')))",message="spec.quota: nobody can use less than nothing: set cpu, memory and storage to 0 or more, or leave them out"
type Quota struct {
	// Claws is the greatest number of Claws.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Claws *int32 `json:"claws,omitempty"`
	// CPU is the sum of CPU limits of all pods.
	// +optional
	CPU *resource.Quantity `json:"cpu,omitempty"`
	// Memory is the sum of memory limits of all pods.
	// +optional
	Memory *resource.Quantity `json:"memory,omitempty"`
	// Storage is the sum of storage requests of all workspaces.
	// +optional
	Storage *resource.Quantity `json:"storage,omitempty"`
}

// ClawOrganizationStatus is what the manager has seen.
type ClawOrganizationStatus struct {
	// Namespace is the cage that was made or adopted.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Claws is the number of Claws in the cage.
	// +optional
	Claws int32 `json:"claws,omitempty"`
	// Members is the number of members of the whole directory.
	// +optional
	Members int32 `json:"members,omitempty"`
	// Conditions: Ready, Reconciling, Stalled, CageReady, DirectoryReady.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ClawOrganization is an organization: its cage, its members, teams, sandbox and quota.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=claworg,categories=clawstaff
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63",message="metadata.name: at most 63 characters, because it names the cage"
// +kubebuilder:printcolumn:name="Namespace",type=string,JSONPath=`.status.namespace`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.spec.state`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Members",type=integer,JSONPath=`.status.members`
// +kubebuilder:printcolumn:name="Claws",type=integer,JSONPath=`.status.claws`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ClawOrganization struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`
	// Spec is the platform's word.
	// +required
	Spec ClawOrganizationSpec `json:"spec,omitzero"`
	// Status is what the manager has seen.
	// +optional
	Status ClawOrganizationStatus `json:"status,omitzero"`
}

// Cage is the name of the organization's namespace.
func (o *ClawOrganization) Cage() string {
	if o.Spec.Namespace != "" {
		return string(o.Spec.Namespace)
	}
	return o.Name
}

// ClawOrganizationList is a list of organizations.
//
// +kubebuilder:object:root=true
type ClawOrganizationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []ClawOrganization `json:"items"`
}
