package audit

import (
	"strings"
	"time"
)

// Usage is what a Claw did lately, as far as limits are about it: what a gateway that starts has to know of the
// time before. The ledger says it, from the Claw's records.
type Usage struct {
	// Requests are the calls and messages that were allowed in the minute before the last record, oldest first.
	Requests []Requests `json:"requests,omitempty"`
	// Day is that of the last record, UTC.
	Day Day `json:"day,omitempty"`
	// Tokens that models took on that day, by TokenKey.
	Tokens map[string]int64 `json:"tokens,omitempty"`
}

// Requests are some calls and messages that were allowed within one slice of a minute.
type Requests struct {
	// At is when the last of them was recorded.
	At time.Time `json:"at"`
	// Count is how many they are.
	Count int64 `json:"count"`
}

// Counts says what a record adds to what limits are about: whether it is one more call or message, and how many
// tokens the model of that key took. The gateway counts the same before it records.
func Counts(r *Record) (request bool, key string, tokens int64) {
	if r.Kind != KindMessage && r.Kind != KindTool && r.Kind != KindModel || r.Direction != Inbound && r.Direction != Outbound {
		return false, "", 0
	}
	// A decision precedes its effect. What was dropped or denied had none, and an outcome is of what was counted.
	request = r.Phase == PhaseDecision && r.Decision == Allowed
	if r.Phase == PhaseOutcome && r.Kind == KindModel && r.Tokens > 0 {
		key, tokens = TokenKeyOf(r), r.Tokens
	}
	return request, key, tokens
}

// modelPrefix begins the resource of a record that is a model.
const modelPrefix = "model:"

// TokenKeyOf is the key of the model that a record is about.
func TokenKeyOf(r *Record) string {
	for _, resource := range r.Resources {
		if model, ok := strings.CutPrefix(resource, modelPrefix); ok {
			return TokenKey(r.Connector, model)
		}
	}
	return TokenKey(r.Connector, "")
}

// TokenKey is under what the tokens of a model are counted.
func TokenKey(connector, model string) string { return connector + "/" + model }

// MaxUsage is the longest a Usage may be as JSON: of the slices of a minute, and as many models as are told apart.
const MaxUsage = 1 << 20
