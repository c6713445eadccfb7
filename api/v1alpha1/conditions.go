package v1alpha1

// The types of conditions.
const (
	// ConditionReady is True when all the parts below are.
	ConditionReady = "Ready"
	// ConditionReconciling is True while the manager works towards Ready.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True when a person must act before anything can go on.
	ConditionStalled = "Stalled"
	// ConditionCageReady says that an organization's namespace and its closure are in place.
	ConditionCageReady = "CageReady"
	// ConditionDirectoryReady says that all of an organization's directory was read and nobody in it is contested.
	ConditionDirectoryReady = "DirectoryReady"
	// ConditionAccepted says that a policy is well-formed and in force.
	ConditionAccepted = "Accepted"
	// ConditionSourceSynced says that a credential's key was read from its source.
	ConditionSourceSynced = "SourceSynced"
	// ConditionIsolated says that no other Claw has the same key.
	ConditionIsolated = "Isolated"
	// ConditionInScope is False when something asked for is withheld.
	ConditionInScope = "InScope"
	// ConditionOwnerPresent says that the owner is a member and of the Claw's teams.
	ConditionOwnerPresent = "OwnerPresent"
	// ConditionCredentialsReady says that every credential in the grant is ready.
	ConditionCredentialsReady = "CredentialsReady"
	// ConditionGatewayReady says that the gateway enforces the current grant.
	ConditionGatewayReady = "GatewayReady"
	// ConditionNetworkEnforced says that the agent's pod has proved that it reaches its gateway only.
	ConditionNetworkEnforced = "NetworkEnforced"
	// ConditionRuntimeReady says that the agent's pod is ready.
	ConditionRuntimeReady = "RuntimeReady"
)

// The reasons of conditions and events.
const (
	ReasonReady               = "Ready"
	ReasonProgressing         = "Progressing"
	ReasonDependencyNotReady  = "DependencyNotReady"
	ReasonNotACage            = "NamespaceNotACage"
	ReasonNamespaceNotOurs    = "NamespaceNotOurs"
	ReasonNamespaceNotEmpty   = "NamespaceNotEmpty"
	ReasonHasClaws            = "HasClaws"
	ReasonOutOfScope          = "OutOfScope"
	ReasonOwnerNotMember      = "OwnerNotMember"
	ReasonSecretNotFound      = "SecretNotFound"
	ReasonSecretRefused       = "SecretRefused"
	ReasonUnknownConnector    = "UnknownConnector"
	ReasonCredentialShared    = "CredentialShared"
	ReasonCredentialRotated   = "CredentialRotated"
	ReasonCredentialRevoked   = "CredentialRevoked"
	ReasonClawMismatch        = "ClawMismatch"
	ReasonRevoked             = "Revoked"
	ReasonStopped             = "Stopped"
	ReasonExpired             = "Expired"
	ReasonScheduleClosed      = "ScheduleClosed"
	ReasonScheduleOpened      = "ScheduleOpened"
	ReasonRuntimeNotAllowed   = "RuntimeNotAllowed"
	ReasonDirectoryMissing    = "DirectoryMissing"
	ReasonDirectoryMalformed  = "DirectoryMalformed"
	ReasonIdentityContested   = "IdentityContested"
	ReasonKeyTooOld           = "KeyTooOld"
	ReasonStoreNotAllowed     = "StoreNotAllowed"
	ReasonSourceNotAllowed    = "SourceNotAllowed"
	ReasonDeliveryNotAllowed  = "DeliveryNotAllowed"
	ReasonNetworkNotEnforced  = "NetworkNotEnforced"
	ReasonRuntimeClassMissing = "RuntimeClassMissing"
	ReasonQuotaExceeded       = "QuotaExceeded"
	ReasonProvisioned         = "Provisioned"
	ReasonApplyFailed         = "ApplyFailed"
	ReasonAgentFailing        = "AgentFailing"
)
