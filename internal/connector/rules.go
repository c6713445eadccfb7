package connector

import (
	"regexp"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// ResourceSource says where in a request a resource is named.
type ResourceSource struct {
	// Type of the resource.
	Type string `json:"type"`
	// From lists the places: path.NAME, query.NAME, body.NAME, mail.from, mail.recipients. A place in JSON may go on,
	// into objects and lists: body.items[].id. A form's parameter is JSON where the place goes on. Several with a slash
	// between make one name: path.owner/path.repo. At least one of them must name it, and those that do must agree. A
	// place with several names has them all touched.
	From []string `json:"from,omitempty"`
	// Value is the resource where no place names it: where From is empty, always. "*" is one that only a grant for all
	// of them covers.
	Value string `json:"value,omitempty"`
	// Split is what stands between several names in one text.
	Split string `json:"split,omitempty"`
	// Capture is a regular expression for the whole of what is found, of which the one group is the name: of PROJ-12,
	// PROJ.
	Capture string `json:"capture,omitempty"`
	// Optional is set where it need not be named.
	Optional bool `json:"optional,omitempty"`
	// Except is the shape of ids that are refused whatever a grant says.
	Except string `json:"except,omitempty"`

	places  [][]place // From, each of one place or of several that make one name
	shape   *regexp.Regexp
	fold    bool
	capture *regexp.Regexp
	except  *regexp.Regexp
}

// FieldRule limits the values of one parameter.
type FieldRule struct {
	// Path of it in the body: NAME, or NAME.NAME for what is in an object, NAME[].NAME for every object in a list. Or
	// query.NAME. Strings, numbers and booleans are compared as they are written.
	Path string `json:"path"`
	// Allow lists the values, exact or with a trailing "*".
	Allow []v1alpha1.Pattern `json:"allow"`
	// Required refuses an object of the list that lacks the field.
	Required bool `json:"required,omitempty"`

	place place
}

// ValueRule limits the values of one parameter by their shape.
type ValueRule struct {
	// At is the place: path.NAME, query.NAME, body.NAME, and on into JSON. What is not there is not limited, and
	// neither is a file of a Multipart body.
	At string `json:"at"`
	// Shape is a regular expression that the whole of each value must match.
	Shape string `json:"shape,omitempty"`
	// Except is a regular expression that the whole of no value may match.
	Except string `json:"except,omitempty"`

	place         place
	shape, except *regexp.Regexp
}

// KeyRule limits which members objects have.
type KeyRule struct {
	// At is the place of the objects in the body: NAME, NAME.NAME, NAME[].
	At string `json:"at"`
	// Allow lists the names of members.
	Allow []string `json:"allow"`

	place place
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
