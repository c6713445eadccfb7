package admission

import (
	"fmt"
	goruntime "runtime"
	"time"

	"github.com/clawstaff/clawstaff/test/bench/proc"
	"github.com/clawstaff/clawstaff/test/bench/report"
	"github.com/clawstaff/clawstaff/test/bench/stats"
)

// measurement is a size and what it came to.
type measurement struct {
	size
	samples samples
}

// of is the median of an arm's rounds.
func (m measurement) of(a arm, l level) sample { return median(m.samples[a][l.name]) }

// figures is the table.
func figures(c Config, measured []measurement, memory proc.Memory) []report.Figure {
	var out []report.Figure
	for _, m := range measured {
		for _, l := range m.levels {
			out = append(out, m.figures(l)...)
		}
	}
	first := measured[0]
	out = append(out, report.Figure{
		Name:     "the webhook's time on a core for one admission, " + first.name,
		Value:    short(first.of(judged, cost).webhook),
		Baseline: "a webhook that agrees " + short(first.of(agreeing, cost).webhook),
	})
	for _, m := range measured[1:] {
		out = append(out, report.Figure{Name: "the same, " + m.name, Value: short(m.of(judged, cost).webhook)})
	}
	all, bare := first.of(judged, cost).server, first.of(nothing, cost).server
	return append(out,
		report.Figure{
			Name: "the API server's for one creation, " + first.name, Value: short(all),
			Baseline: fmt.Sprintf("nothing %s, VAPs %s", short(bare), short(first.of(policed, cost).server)),
			Compared: fmt.Sprintf("%.2g×", stats.Ratio(all, bare)),
		},
		report.Figure{
			Name: fmt.Sprintf("manager on standby right after all this, with %s Claws, %s policies and %s members in its caches, anonymous / resident",
				thousands(c.Claws), thousands(c.Policies), thousands(c.Members)),
			Value: proc.MiB(memory.Anonymous) + " / " + proc.MiB(memory.Resident),
		})
}

// figures of one level: all that is installed beside what it is made of.
func (m measurement) figures(l level) []report.Figure {
	bare, whole := m.of(nothing, l), m.of(judged, l)
	f := compare(l.name+", "+m.name, whole, bare)
	if len(m.samples[policed]) > 0 {
		f.Baseline += ", VAPs " + pair(m.of(policed, l))
	}
	if l.goal > 0 {
		f.Goal = "p99 < +" + l.goal.String()
		f.Met = whole.failed == nil && bare.failed == nil && whole.p99-bare.p99 < l.goal
	}
	out := []report.Figure{f}
	if len(m.samples[agreeing]) > 0 {
		out = append(out, compare("the same with a webhook that agrees", m.of(agreeing, l), bare))
	}
	return out
}

func compare(what string, s, bare sample) report.Figure {
	f := report.Figure{Name: what, Value: pair(s), Baseline: "nothing " + pair(bare)}
	if s.failed == nil && bare.failed == nil {
		f.Compared = added(s.p50-bare.p50) + " / " + added(s.p99-bare.p99)
	}
	return f
}

// pair is p50 and p99, unless requests failed.
func pair(s sample) string {
	if s.failed != nil {
		return "requests failed"
	}
	return short(s.p50) + " / " + short(s.p99)
}

func short(d time.Duration) string { return stats.Round(d).String() }

func added(d time.Duration) string {
	if d < 0 {
		return "−" + short(-d)
	}
	return "+" + short(d)
}

// notes say what failed, and how to read what is slow.
func notes(measured []measurement) []string {
	var out []string
	for _, m := range measured {
		for _, a := range m.arms {
			for _, l := range m.levels {
				if err := m.of(a, l).failed; err != nil {
					out = append(out, fmt.Sprintf("%s, %s: %.300s", l.name, m.name, failure(err)))
				}
			}
		}
	}
	bare, whole := measured[0].of(nothing, cost), measured[0].of(judged, cost)
	return append(out, fmt.Sprintf("at %s %d creations were answered in a turn with nothing installed, and %d with VAPs and webhook, by %d cores",
		cost.name, bare.count, whole.count, goruntime.NumCPU()))
}
