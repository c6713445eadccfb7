package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// Hash of what a grant says: SHA-256 in hexadecimal over its canonical JSON (fields in the order of
// the type, no white space) without what allows nothing: agentIPs, which change whenever a pod does,
// withheld, and the hash itself.
func Hash(grant *v1alpha1.ClawGrantSpec) string {
	content := *grant
	content.AgentIPs, content.Withheld, content.Hash = nil, nil, ""
	data, err := json.Marshal(content)
	if err != nil {
		// Strings, numbers and lists always marshal. Were it ever otherwise, the empty hash
		// belongs to no grant, so that nobody takes one for another.
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
