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
	// Domains of mail addresses, for types whose resources are such: recipients. A domain stands for every
	// address in it and for none in a domain below it.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	Domains []Domain `json:"domains,omitempty"`
}

// Domain is a mail domain, in lower case. It stands for itself and for no domain below it.
//
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)+$`
type Domain string

// Correspondents are people outside of the directory, such as customers. They are heard where an entry
// lists them, and gain no right of a member.
type Correspondents struct {
	// Users by id at the connector, exact or with a trailing "*".
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	Users []Pattern `json:"users,omitempty"`
	// Domains of whoever is known by a mail address.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	Domains []Domain `json:"domains,omitempty"`
}

// Schedule is when something is open: in any of its windows, by the wall clock of its zone.
type Schedule struct {
	// TimeZone by its name in the IANA database: Europe/Berlin, UTC.
	// +required
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$`
	// +kubebuilder:validation:XValidation:rule="self != 'Local'",message="timeZone: Local is whatever a machine is set to: name a zone of the IANA database, such as Europe/Berlin or UTC"
	TimeZone string `json:"timeZone"`
	// Windows in which it is open.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Windows []Window `json:"windows,omitempty"`
}

// Outside is what becomes of an agent while its Claw's schedule is closed.
//
// +kubebuilder:validation:Enum=Deny;Suspend
type Outside string

// What can become of an agent outside of a schedule.
const (
	// OutsideDeny lets it run: whatever it asks for is denied, and it hears nothing.
	OutsideDeny Outside = "Deny"
	// OutsideSuspend stops it too. Its workspace is kept, and it is started again when the schedule opens.
	OutsideSuspend Outside = "Suspend"
)

// ClawSchedule is when a Claw is open, and what becomes of its agent while it is not.
type ClawSchedule struct {
	Schedule `json:",inline"`
	// Outside is what becomes of the agent while this schedule, or one that policies require, is closed.
	// +optional
	// +default="Deny"
	Outside Outside `json:"outside,omitempty"`
}

// Times is when the schedule is open; nil, which is always, for none.
func (s *ClawSchedule) Times() *Schedule {
	if s == nil {
		return nil
	}
	return &s.Schedule
}

// Window is a span of each of some days. One that ends before it starts ends on the day after.
//
// +kubebuilder:validation:XValidation:rule="self.start != self.end",message="a window that starts when it ends is empty: the whole day is 00:00 to 24:00"
type Window struct {
	// Days on which the window starts.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=7
	Days []Day `json:"days,omitempty"`
	// Start of the window, hours and minutes: 08:00.
	// +required
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:Pattern=`^([01][0-9]|2[0-3]):[0-5][0-9]$`
	Start string `json:"start"`
	// End of the window, which it is not open at any more: 18:00, or 24:00 for the end of the day.
	// +required
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:Pattern=`^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$`
	End string `json:"end"`
}

// Day of the week.
//
// +kubebuilder:validation:Enum=Mon;Tue;Wed;Thu;Fri;Sat;Sun
type Day string

// The days, as time.Weekday counts them.
const (
	Sunday    Day = "Sun"
	Monday    Day = "Mon"
	Tuesday   Day = "Tue"
	Wednesday Day = "Wed"
	Thursday  Day = "Thu"
	Friday    Day = "Fri"
	Saturday  Day = "Sat"
)

// Limits bound how much is done.
type Limits struct {
	// RequestsPerMinute is the greatest number of calls and messages that are allowed in a minute.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	RequestsPerMinute int32 `json:"requestsPerMinute,omitempty"`
	// TokensPerDay is the greatest number of tokens that each model may take in a day, which begins at midnight
	// UTC. What a model takes is known when it has answered: the call that reaches the number is the last.
	// +optional
	// +kubebuilder:validation:Minimum=1
	TokensPerDay int64 `json:"tokensPerDay,omitempty"`
	// ConcurrentRequests is the greatest number of calls that are under way at once, streams included.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=256
	ConcurrentRequests int32 `json:"concurrentRequests,omitempty"`
	// RequestKiB is the greatest size of the body of a call, in kibibytes, decoded. The gateway takes no more than
	// 5 MiB whatever is written here.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=5120
	RequestKiB int32 `json:"requestKiB,omitempty"`
	// ResponseKiB is the greatest size of the body of an answer, in kibibytes, streams included. A longer one breaks
	// off there.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ResponseKiB int32 `json:"responseKiB,omitempty"`
}
