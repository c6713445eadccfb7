package policy

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// maxGrant is how many bytes a grant may give in. One that fits into no object could not be stored, and the
// one before it, which may give more, would stay in force.
const maxGrant = 768 << 10

// leastEntry is less than any entry of a grant, and any scope of resources in one, needs beside its names.
const leastEntry = 20

// weigh counts what entries need at least: rules that overlap can make very many of one that is asked for.
func (n *narrowing) weigh(names ...[]v1alpha1.Pattern) {
	n.size += leastEntry
	for _, list := range names {
		n.size += textSize(list)
	}
	n.large = n.large || n.size > maxGrant
}

// weighScope is weigh for a scope of resources.
func (n *narrowing) weighScope(s *v1alpha1.ResourceScope) {
	n.size += leastEntry + textSize(s.Names) + textSize(s.Domains)
	n.large = n.large || n.size > maxGrant
}

func textSize[T ~string](texts []T) int {
	size := 0
	for _, t := range texts {
		size += len(t) + len(`"",`)
	}
	return size
}

// fit takes everything from a grant that is too large. It is the one place where fewer rules can give more.
func (n *narrowing) fit(grant *v1alpha1.ClawGrantSpec) {
	size := n.size
	if !n.large {
		data, err := json.Marshal(grant)
		if err == nil && len(data) <= maxGrant {
			return
		}
		size = len(data)
	}
	own := ""
	if n := definitionSize(grant.Connectors); n > maxGrant/4 {
		own = fmt.Sprintf("; %d of it are definitions of the organization's own connectors", n>>10)
	}
	grant.Channels, grant.Tools, grant.Models, grant.Audience, grant.Schedules = nil, nil, nil, nil, nil
	grant.Credentials, grant.Connectors = nil, nil
	n.reports = slices.Insert(n.reports, 0, v1alpha1.Withheld{
		Path: "spec", Reason: v1alpha1.WithheldNotAllowed,
		Message: fmt.Sprintf("what is asked and allowed is too large for a grant (%d KiB, at most %d%s): ask for less, by patterns that end in * or a visibility that admits fewer, or have security write fewer rules that overlap",
			size>>10, maxGrant>>10, own),
	})
}
