package v1alpha1

// Labels, annotations, finalizers and types that the operator reserves. People
// may not set keys under clawstaff.dev/ on their own objects.
const (
	// LabelOrganization marks a namespace as the cage of the named organization.
	LabelOrganization = "clawstaff.dev/organization"
	// LabelRuntimeClass on a cage is the RuntimeClass of its organization's sandbox, which admission
	// holds agent pods to. Without it, they run with the cluster's default runtime.
	LabelRuntimeClass = "clawstaff.dev/runtime-class"
	// LabelRuntimeClassMode beside it is the sandbox's RuntimeClassMode: with Preferred, an agent may
	// also run without the class.
	LabelRuntimeClassMode = "clawstaff.dev/runtime-class-mode"
	// LabelClaw names the Claw a child object belongs to.
	LabelClaw = "clawstaff.dev/claw"
	// LabelComponent says what part of a Claw a child is: gateway or agent.
	LabelComponent = "clawstaff.dev/component"
	// LabelManagedBy is set to ManagedBy on every object the manager writes.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// ManagedBy is the manager's name, and its server-side-apply field owner.
	ManagedBy = "clawstaff-manager"

	// ComponentGateway is the LabelComponent value of a Claw's gateway.
	ComponentGateway = "gateway"
	// ComponentAgent is the LabelComponent value of a Claw's agent.
	ComponentAgent = "agent"

	// Finalizer keeps a Claw or an organization until what it runs is gone, so
	// that an orphaning delete cannot leave an agent behind.
	Finalizer = "clawstaff.dev/teardown"

	// SecretTypeCredential is the only type of Secret a ClawCredential may name.
	SecretTypeCredential = "clawstaff.dev/credential"
	// AnnotationCredential on such a Secret names the one ClawCredential that
	// may read it.
	AnnotationCredential = "clawstaff.dev/credential"
	// AnnotationOwner on such a Secret names the one member whose Claws may use
	// it. Who wrote it there has lent the key to that member.
	AnnotationOwner = "clawstaff.dev/owner"
)
