// Package connector is the catalogue of services a Claw can be given, and the
// matcher that finds in a request which operation it is and what it touches. It is
// pure: it is handed the parts of a request and opens no connection. Whatever is not
// in the catalogue, or can be read in two ways, is refused.
package connector

import (
	"regexp"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// Connector is one service of the catalogue.
type Connector struct {
	// Name in the catalogue: slack.
	Name string `json:"connector"`
	// Hosts of the service, in lower case. No other connector has them.
	Hosts []string `json:"hosts"`
	// Denial is the shape of a refusal that the service's clients understand.
	Denial DenialShape `json:"denial"`
	// Slots are the keys the service needs, by name.
	Slots map[string]Slot `json:"slots"`
	// Headers of a request that are passed on, besides those every service gets.
	Headers []string `json:"headers,omitempty"`
	// Strip names parameters that could carry a key of somebody else's: they are taken out.
	Strip []string `json:"strip,omitempty"`
	// Resources gives, by type of resource, the shape of its ids: a regular expression for the whole id.
	Resources map[string]string `json:"resources,omitempty"`
	// Operations that exist. There are no others.
	Operations []Operation `json:"operations"`

	shapes    map[string]*regexp.Regexp
	paths     map[string][]*Operation // those whose path has no parameter
	templates []*Operation            // the others
	guarded   map[string]bool         // names of parameters that mean something to us, see params.go
}

// DenialShape is how a refusal is written.
type DenialShape string

// The shapes of a refusal.
const (
	// DenialSlack is a success that carries ok=false and an error code.
	DenialSlack DenialShape = "Slack"
	// DenialProblem is an RFC 9457 problem.
	DenialProblem DenialShape = "Problem"
)

// Slot is a place for one key.
type Slot struct {
	// Use says what the key is for.
	Use SlotUse `json:"use"`
	// Header the key is put into, with Inject.
	Header string `json:"header,omitempty"`
	// Format of the header's value, around {{value}}.
	Format string `json:"format,omitempty"`
	// Env is the environment variable in which the service's clients look for the key.
	Env string `json:"env"`
	// Placeholder is what the agent finds there instead of the key, with Inject.
	Placeholder string `json:"placeholder,omitempty"`
}

// SlotUse says what a key is for.
type SlotUse string

// The uses of a key.
const (
	// SlotInject is put into requests to the service.
	SlotInject SlotUse = "Inject"
	// SlotVerify verifies messages from the service. The agent is given its Claw's own secret instead.
	SlotVerify SlotUse = "Verify"
)

const slotValue = "{{value}}"

// Render returns the header's value for a key.
func (s Slot) Render(key []byte) string {
	return strings.Replace(s.Format, slotValue, string(key), 1)
}

// Inject returns the slot whose key goes into requests. Every connector has exactly one.
func (c *Connector) Inject() (name string, slot Slot) {
	for name, slot := range c.Slots {
		if slot.Use == SlotInject {
			return name, slot
		}
	}
	return "", Slot{}
}

// Operation is one thing that can be asked of a service.
type Operation struct {
	// ID is the operation's name, for people and records.
	ID string `json:"id"`
	// Methods of HTTP it can be asked with.
	Methods []string `json:"methods"`
	// Path, exact but for parameters such as {repository}, each a whole segment.
	Path string `json:"path"`
	// Query parameters that may be given, besides those resources are read from.
	Query []string `json:"query,omitempty"`
	// Bodies it can come with. An empty body needs none of them.
	Bodies []BodyKind `json:"bodies,omitempty"`
	// Params of a body that may be given, besides those resources, fields and settings are about.
	Params []string `json:"params,omitempty"`
	// Set gives body parameters the value they always have, whatever was sent.
	Set map[string]bool `json:"set,omitempty"`
	// Action is the class of the operation.
	Action v1alpha1.Action `json:"action"`
	// Authority says what in a grant can allow it.
	Authority policy.Authority `json:"authority"`
	// Resources it touches. Each is required.
	Resources []ResourceSource `json:"resources,omitempty"`
	// Forbid names body parameters with which it is refused.
	Forbid []string `json:"forbid,omitempty"`
	// Fields limits the values of body parameters.
	Fields []FieldRule `json:"fields,omitempty"`
	// Nested limits what is somewhere within body parameters.
	Nested []NestedRule `json:"nested,omitempty"`

	segments []string        // of a path with parameters
	takes    map[string]bool // names of body parameters
}

// BodyKind is how a body is encoded.
type BodyKind string

// The encodings of a body. There is no other, multipart in particular.
const (
	BodyForm BodyKind = "Form"
	BodyJSON BodyKind = "JSON"
)

// ResourceSource says where in a request a resource is named.
type ResourceSource struct {
	// Type of the resource.
	Type string `json:"type"`
	// From lists the places: path.NAME, query.NAME, body.NAME. At least one of them must name it, and those
	// that do must agree.
	From []string `json:"from"`
	// Except is the shape of ids that are refused whatever a grant says.
	Except string `json:"except,omitempty"`

	except *regexp.Regexp
}

// FieldRule limits the values of one field of a JSON body.
type FieldRule struct {
	// Path of the field: NAME, or NAME[].NAME for a field of every object in a list.
	Path string `json:"path"`
	// Allow lists the values, exact or with a trailing "*".
	Allow []v1alpha1.Pattern `json:"allow"`
	// Required refuses an object of the list that lacks the field.
	Required bool `json:"required,omitempty"`
}

// NestedRule limits the values of a key wherever it is within body parameters, however deep. A parameter that is a
// string of JSON, as forms have it, is looked into like any other.
type NestedRule struct {
	// In names the parameters.
	In []string `json:"in"`
	// Key whose strings are limited; or KEY.NAME for the strings of NAME, which must be there, in the objects of KEY.
	Key string `json:"key"`
	// Allow lists the values, exact or with a trailing "*". Where it is empty the key may not be there.
	Allow []v1alpha1.Pattern `json:"allow,omitempty"`
	// Except names keys that are not looked into: what they hold is nothing to the service.
	Except []string `json:"except,omitempty"`
}
