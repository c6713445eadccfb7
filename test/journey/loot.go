package journey

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// loot: the agent searches all it can read for keys.
func (j *Journey) loot(ctx context.Context) error {
	answer, err := j.Ask(ctx, Claw, Sarah, Support, "!loot "+j.Keys.needles(), 90*time.Second)
	if err != nil {
		return err
	}
	var loot struct {
		Scanned struct{ Variables, Files, FileBytes, MemoryRegions, MemoryBytes int }
		Found   map[string]struct {
			Environment, Memory int
			Files               []string
		}
	}
	if err := json.Unmarshal([]byte(answer), &loot); err != nil {
		return fmt.Errorf("the agent answers %q: %w", shorten(answer, 200), err)
	}
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\tENVIRONMENT\tFILES\tMEMORY\t\n")
	var stolen []string
	for _, name := range slices.Sorted(maps.Keys(loot.Found)) {
		found := loot.Found[name]
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t\n", name, found.Environment, len(found.Files), found.Memory)
		if name != canaryName && found.Environment+len(found.Files)+found.Memory > 0 {
			stolen = append(stolen, name)
		}
	}
	_ = w.Flush() // into memory
	s := loot.Scanned
	j.Tell.Show(fmt.Sprintf("searched %d variables, %d files (%d MiB) and %d regions of memory (%d MiB)",
		s.Variables, s.Files, s.FileBytes>>20, s.MemoryRegions, s.MemoryBytes>>20), out.String())
	if len(stolen) > 0 {
		return fmt.Errorf("the agent found: %s", strings.Join(stolen, ", "))
	}
	if canary := loot.Found[canaryName]; canary.Environment == 0 || len(canary.Files) == 0 || canary.Memory == 0 {
		return fmt.Errorf("the search finds nothing at all, so that it found no key says nothing: the canary is at %+v", canary)
	}
	if len(loot.Found) < 5 {
		return fmt.Errorf("the agent searched for %d keys only", len(loot.Found))
	}
	return nil
}
