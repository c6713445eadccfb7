// Package connector is the catalogue of services a Claw can be given, and the
// matcher that finds in a request which operation it is and what it touches. It is
// pure: it is handed the parts of a request and opens no connection. Whatever is not
// in the catalogue, or can be read in two ways, is refused.
package connector

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// Connector is one service of the catalogue.
type Connector struct {
	// Name in the catalogue: slack.
	Name string `json:"connector"`
	// From names the template an organization's own connector is made from. It has all the template has, and gives the
	// hosts itself; nothing else but tools.
	From string `json:"from,omitempty"`
	// Template is set where the service is at other hosts for everybody: it is nothing until an organization
	// makes a connector of it.
	Template bool `json:"template,omitempty"`
	// Hosts of the service.
	Hosts []Host `json:"hosts,omitempty"`
	// Denial is the shape of a refusal that the service's clients understand.
	Denial DenialShape `json:"denial,omitempty"`
	// Slots are the keys the service needs, by name.
	Slots map[string]Slot `json:"slots,omitempty"`
	// Headers of a request that are passed on, besides those every service gets.
	Headers []string `json:"headers,omitempty"`
	// Strip names parameters that could carry a key of somebody else's: they are taken out.
	Strip []string `json:"strip,omitempty"`
	// Resources are the types of resource, by name.
	Resources map[string]ResourceType `json:"resources,omitempty"`
	// Tools of an MCP server, with what each of them does. There are no others.
	Tools []Tool `json:"tools,omitempty"`
	// Self is how the service is asked who the key belongs to, for connectors whose answers are filtered by author.
	Self *Self `json:"self,omitempty"`
	// Operations that exist. There are no others. Only a connector's file has them here: whoever asks a connector for
	// them uses List, since they are not read before they are needed.
	Operations []Operation `json:"operations,omitempty"`

	book *book
}

// Host is one place where a service is.
type Host struct {
	// ID by which operations name it. Operations without one are at every host.
	ID string `json:"id,omitempty"`
	// Name of the host, in lower case.
	Name string `json:"host"`
	// Base is what the path of all requests begins with: /calendar/v3. No two connectors share a host and a base,
	// and none has a base within another's. One connector may have bases within each other: the longest counts.
	Base string `json:"base,omitempty"`
	// Auth is how a key is put into requests to this host, where that is not as the slot says.
	Auth *Auth `json:"auth,omitempty"`
	// PrivateCIDRs are the private networks the host may be in. Only an organization's own connector has any.
	PrivateCIDRs []string `json:"privateCIDRs,omitempty"`
}

// ResourceType is what all resources of a type have in common.
type ResourceType struct {
	// Shape of an id: a regular expression for the whole of it, in lower case where IgnoreCase is set.
	Shape string `json:"shape"`
	// IgnoreCase is set where the service does: ids are then judged in lower case, and so are a grant's patterns.
	IgnoreCase bool `json:"ignoreCase,omitempty"`
	// Address is set where ids are mail addresses, so that a grant may list their domains.
	Address bool `json:"address,omitempty"`
	// Identity of the directory whose ids these are: those of people. A Private Claw reaches its owner's only.
	Identity string `json:"identity,omitempty"`
}

// Tool is one tool of an MCP server.
type Tool struct {
	// Name, exact or with a trailing "*". The first that matches counts.
	Name v1alpha1.Pattern `json:"name"`
	// Action is the class of what the tool does.
	Action v1alpha1.Action `json:"action"`
}

// Self says how a service tells whom a key belongs to.
type Self struct {
	// Operation that is asked, with no parameters.
	Operation string `json:"operation"`
	// IDs are the places in its answer where ids of the Claw itself are.
	IDs []string `json:"ids"`
}

// DenialShape is how a refusal is written.
type DenialShape string

// The shapes of a refusal.
const (
	// DenialSlack is a success that carries ok=false and an error code.
	DenialSlack DenialShape = "Slack"
	// DenialTelegram carries ok=false, a code and a description.
	DenialTelegram DenialShape = "Telegram"
	// DenialGoogle is an error object with code, message and status.
	DenialGoogle DenialShape = "Google"
	// DenialMessage is an object with a message.
	DenialMessage DenialShape = "Message"
	// DenialMCP is an error of JSON-RPC, with the id of the request.
	DenialMCP DenialShape = "MCP"
	// DenialProblem is an RFC 9457 problem.
	DenialProblem DenialShape = "Problem"
)

// Slot is a place for one key.
type Slot struct {
	// Use says what the key is for.
	Use SlotUse `json:"use"`
	// Auth is how the key is put into requests, with Inject.
	Auth `json:",inline"`
	// Env is the environment variable in which the service's clients look for the key.
	Env string `json:"env"`
	// Placeholder is what the agent finds there instead of the key, with Inject.
	Placeholder string `json:"placeholder,omitempty"`
}

// Auth is how a key is put into a request: into a header, or into the path.
type Auth struct {
	// Header the key is put into.
	Header string `json:"header,omitempty"`
	// Format of what is put there, around {{value}}.
	Format string `json:"format,omitempty"`
	// Basic says that what Format makes, a name and a password with a colon between, is written as RFC 7617 does. The
	// key may be both.
	Basic bool `json:"basic,omitempty"`
	// Path is set where what Format makes is the path's first segment after the base, instead of a header.
	Path bool `json:"path,omitempty"`
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

// Render returns what is put into the header, or the path, for a key.
func (a Auth) Render(key []byte) string {
	text := strings.Replace(a.Format, slotValue, string(key), 1)
	if a.Basic {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(text))
	}
	return text
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

// AuthAt returns the slot whose key goes into requests to a host, and how.
func (c *Connector) AuthAt(h *Host) (name string, auth Auth) {
	name, slot := c.Inject()
	if h != nil && h.Auth != nil {
		return name, *h.Auth
	}
	return name, slot.Auth
}

// Operation is one thing that can be asked of a service.
type Operation struct {
	// ID is the operation's name, for people and records.
	ID string `json:"id"`
	// Host is the id of the host it is at; every host where empty.
	Host string `json:"host,omitempty"`
	// Methods of HTTP it can be asked with.
	Methods []string `json:"methods"`
	// Path after the host's base. Parameters stand for one segment or a part of it, or for all that is left:
	// /repos/{owner}/{repo}/contents/{path...}, /models/{model}:generateContent. What is spelled out wins
	// over a parameter.
	Path string `json:"path"`
	// Deny is why it is refused whatever a grant says. Nothing more is said of an operation that has it but its action.
	Deny string `json:"deny,omitempty"`
	// When gives query parameters the value they must have for a request to be this operation: service of
	// git-upload-pack. What is not so is another operation, or none.
	When map[string]string `json:"when,omitempty"`
	// Query parameters that may be given, besides those resources are read from. Those nothing else is said of may be
	// given several times, which NAME[] says as well.
	Query []string `json:"query,omitempty"`
	// Bodies it can come with. An empty body needs none of them.
	Bodies []BodyKind `json:"bodies,omitempty"`
	// Params of a body that may be given, besides those resources, fields and settings are about; "*" is any.
	Params []string `json:"params,omitempty"`
	// Files is set where the files of a Multipart body may have any name, and the same one.
	Files bool `json:"files,omitempty"`
	// Set gives body parameters the value they always have, whatever was sent.
	Set map[string]json.RawMessage `json:"set,omitempty"`
	// Action is the class of the operation.
	Action v1alpha1.Action `json:"action"`
	// Authority says what in a grant can allow it; a tool where empty.
	Authority policy.Authority `json:"authority,omitempty"`
	// Resources it touches.
	Resources []ResourceSource `json:"resources,omitempty"`
	// Mail is where an RFC 822 message is: "body" where the body is one, or its second part is; or a place in JSON,
	// body.NAME, for base64url. Its addresses are the places mail.from and mail.recipients.
	Mail string `json:"mail,omitempty"`
	// Forbid lists places of the body with which it is refused: NAME, NAME.NAME, NAME[].NAME.
	Forbid []string `json:"forbid,omitempty"`
	// Fields limits the values of parameters to a list.
	Fields []FieldRule `json:"fields,omitempty"`
	// Values limits the values of parameters by their shape.
	Values []ValueRule `json:"values,omitempty"`
	// Keys limits which members objects of the body have.
	Keys []KeyRule `json:"keys,omitempty"`
	// Nested limits what is somewhere within body parameters.
	Nested []NestedRule `json:"nested,omitempty"`
	// Queries are the fields a GraphQL document may select, for a body of kind GraphQL: issue(id!).title. Each is a path
	// from the root to a field that has none within it, with the arguments that may be given, and an exclamation mark
	// after those that must be. A mutation is written with its action: mutation Write issueCreate(input!).success.
	// What arguments say is at the places argument.issue.id, argument.issueCreate.input.teamId.
	Queries []string `json:"queries,omitempty"`
	// Response is what of the answer the agent sees; all of it where nil.
	Response *Response `json:"response,omitempty"`
	// Usage is where the answer says how many tokens it took, for operations of models.
	Usage *Usage `json:"usage,omitempty"`
	// WebSocket is what may be said over a connection that is opened with it.
	WebSocket *WebSocket `json:"websocket,omitempty"`

	segments []segment // of the path
	judged   judged    // what the rules above come to
	graph    graph     // what Queries come to
}

// BodyKind is how a body is encoded.
type BodyKind string

// The encodings of a body.
const (
	// BodyForm is application/x-www-form-urlencoded.
	BodyForm BodyKind = "Form"
	// BodyJSON is an object.
	BodyJSON BodyKind = "JSON"
	// BodyMultipart is multipart/form-data. Its files are parameters whose value is looked into by nothing.
	BodyMultipart BodyKind = "Multipart"
	// BodyRelated is multipart/related of a JSON object and one other part, as Google's uploads are.
	BodyRelated BodyKind = "Related"
	// BodyMail is message/rfc822.
	BodyMail BodyKind = "Mail"
	// BodyRaw is anything else: bytes in which nothing is looked for. Content types of the other kinds are not of it.
	BodyRaw BodyKind = "Raw"
	// BodyGraphQL is JSON with a query, of which Queries are allowed.
	BodyGraphQL BodyKind = "GraphQL"
	// BodyMCP is one JSON-RPC message of the Model Context Protocol, of which the method, and for tools/call the tool,
	// are the operation.
	BodyMCP BodyKind = "MCP"
)
