package directory

import (
	"fmt"
	"strings"
	"sync"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// maxKept bounds how many directories are kept: those of organizations that are gone go when others come.
const maxKept = 4096

// kept are the directories that were read last, by organization.
type kept struct {
	mu sync.Mutex
	by map[string]keptOne
}

type keptOne struct {
	version string
	joined  joined
}

func (k *kept) get(name, version string) (joined, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	one, ok := k.by[name]
	return one.joined, ok && version != "" && one.version == version
}

// parsed are the documents of an organization's directory as they were read last.
func (k *kept) parsed(name string) map[string]parsed {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.by[name].joined.parsed
}

func (k *kept) put(name, version string, d joined) {
	if version == "" {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.by == nil {
		k.by = map[string]keptOne{}
	}
	if _, ok := k.by[name]; !ok && len(k.by) >= maxKept {
		for other := range k.by {
			delete(k.by, other)
			break
		}
	}
	k.by[name] = keptOne{version: version, joined: d}
}

// versionOf changes with everything a directory follows from. It is empty for an organization that was
// not stored, which has no version.
func versionOf(org *v1alpha1.ClawOrganization, sources []source) string {
	if org.UID == "" || org.Generation == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s/%d", org.UID, org.Generation)
	for _, s := range sources {
		fmt.Fprintf(&b, " %s=%s/%s", s.name, s.uid, s.version)
	}
	return b.String()
}
