package policy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/schedule"
)

// maxDays keeps days within what a clock can count. It is more than the schema allows.
const maxDays = 100 * 366

// after is some days later; days are of 24 hours.
func after(t time.Time, days int32) time.Time {
	return t.Add(time.Duration(max(min(days, maxDays), -maxDays)) * 24 * time.Hour)
}

// schedules are all that must be open: the Claw's own, and every one that is required.
func (n *narrowing) schedules() []v1alpha1.Schedule {
	own := n.Claw.Spec.Schedule.Times()
	all := map[string]v1alpha1.Schedule{}
	keep := func(s *v1alpha1.Schedule) (again bool) {
		data, _ := json.Marshal(s) // strings and lists always marshal
		_, again = all[string(data)]
		all[string(data)] = *s.DeepCopy()
		return again
	}
	var asked *schedule.Schedule
	if own != nil {
		keep(own)
		var err error
		if asked, err = schedule.Parse(own); err != nil {
			n.report("spec.schedule", v1alpha1.WithheldNotAllowed, "", fmt.Sprintf("spec.schedule.%v. As it is, the Claw is never open", err))
		}
	}
	for _, r := range n.ceiling.require {
		if r.rule.Schedule != nil && !keep(r.rule.Schedule) {
			n.withinRequired(asked, r.by, r.rule.Schedule)
		}
	}
	for i, t := range n.Claw.Spec.Tools {
		if err := schedule.Validate(t.Schedule); err != nil && !n.full() {
			path := fmt.Sprintf("spec.tools[%d].schedule", i)
			n.report(path, v1alpha1.WithheldNotAllowed, "", fmt.Sprintf("%s.%v. As it is, the entry gives nothing at any time", path, err))
		}
	}
	var out []v1alpha1.Schedule
	for _, key := range sortedKeys(all) {
		out = append(out, all[key])
	}
	return out
}

// withinRequired reports a Claw that asks to be open when a policy wants it closed.
func (n *narrowing) withinRequired(asked *schedule.Schedule, by source, required *v1alpha1.Schedule) {
	const path = "spec.schedule"
	if n.told[path] {
		return
	}
	outer, err := schedule.Parse(required)
	switch {
	case err != nil:
		n.required(path, by, "asked to be open "+describe(n.Claw.Spec.Schedule.Times()),
			fmt.Sprintf("a schedule that is none, so that it is never open (%v)", err), "wait until it is mended")
	case asked == nil && outer.Always(), asked != nil && asked.Within(outer, n.Now):
	default:
		n.required(path, by, "asked to be open "+describe(n.Claw.Spec.Schedule.Times()), "that it be open only "+describe(required),
			"set spec.schedule to that or to a part of it")
	}
}

// describe says when a schedule is open, in no more words than a reader takes in.
func describe(s *v1alpha1.Schedule) string {
	if s == nil {
		return "always"
	}
	const most = 4
	var parts []string
	for i, w := range s.Windows {
		if i == most {
			parts = append(parts, fmt.Sprintf("%d more windows", len(s.Windows)-i))
			break
		}
		days := make([]string, 0, len(w.Days))
		for _, d := range w.Days[:min(len(w.Days), 7)] {
			days = append(days, string(d))
		}
		parts = append(parts, fmt.Sprintf("%s %s-%s", strings.Join(days, " "), w.Start, w.End))
	}
	return fmt.Sprintf("%s (%s)", strings.Join(parts, ", "), s.TimeZone)
}

// expiry is when the Claw ends: when it asks to, or when the shortest lifetime that is required is over.
func (n *narrowing) expiry() *metav1.Time {
	var end time.Time
	asked := n.Claw.Spec.ExpiresAt
	if asked != nil {
		end = asked.Time
	}
	if by, days, ok := n.ceiling.lifetime(); ok {
		latest := after(n.created(), days)
		if asked == nil || asked.After(latest) {
			end = latest
			what := "asked for no end"
			if asked != nil {
				what = "asked to end at " + stamp(asked.Time)
			}
			n.required("spec.expiresAt", by, what, fmt.Sprintf("an end within %d days of the creation of the Claw", days),
				fmt.Sprintf("set spec.expiresAt to %s or earlier", stamp(latest)))
		}
	} else if asked == nil {
		return nil
	}
	return &metav1.Time{Time: end.UTC().Truncate(time.Second)}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// created is when the Claw was; a new one is created now.
func (n *narrowing) created() time.Time {
	if t := n.Claw.CreationTimestamp.Time; !t.IsZero() {
		return t
	}
	return n.Now
}

// lifetime is the shortest that is required.
func (c *ceiling) lifetime() (by source, days int32, ok bool) {
	for _, r := range c.require {
		if d := r.rule.MaxLifetimeDays; d != 0 && (!ok || d < days) {
			by, days, ok = r.by, d, true
		}
	}
	return by, days, ok
}

// limits are the least that are required.
func (c *ceiling) limits() v1alpha1.Limits {
	var out v1alpha1.Limits
	for _, r := range c.require {
		l := &r.rule.Limits
		out.RequestsPerMinute = least(out.RequestsPerMinute, l.RequestsPerMinute)
		out.TokensPerDay = least(out.TokensPerDay, l.TokensPerDay)
		out.ConcurrentRequests = least(out.ConcurrentRequests, l.ConcurrentRequests)
		out.RequestKiB = least(out.RequestKiB, l.RequestKiB)
		out.ResponseKiB = least(out.ResponseKiB, l.ResponseKiB)
	}
	return out
}

// least is the lesser of two limits; 0 is none.
func least[N int32 | int64](a, b N) N {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// runtime judges whether what the Claw runs, and in what, may run.
func (n *narrowing) runtime() bool {
	allowed := true
	for _, r := range n.ceiling.require {
		runtime := &r.rule.Runtime
		allowed = n.imageAllowed(r.by, runtime) && allowed
		if names := runtime.RuntimeClassNames; len(names) > 0 && !slices.Contains(names, v1alpha1.ObjectName(n.RuntimeClassName)) {
			allowed = false
			n.required("spec.runtime", r.by, fmt.Sprintf("would run in runtime class %q, which spec.sandbox.runtimeClassName of ClawOrganization %q says", n.RuntimeClassName, n.organizationName()),
				"one of the runtime classes "+list(names), "have the platform set that to one of them")
		}
	}
	return allowed
}

func (n *narrowing) organizationName() string {
	if n.Organization == nil {
		return ""
	}
	return n.Organization.Name
}

func (n *narrowing) imageAllowed(by source, runtime *v1alpha1.RuntimeRequirements) bool {
	digests := runtime.Digests != "" && runtime.Digests != v1alpha1.DigestsOptional
	if len(runtime.Images) == 0 && !digests {
		return true
	}
	path, text := "spec.runtime", ""
	if c := n.Claw.Spec.Runtime.Container; c != nil {
		path, text = "spec.runtime.container.image", c.Image
	}
	what := fmt.Sprintf("asked to run image %q", cut(text, 128))
	i, ok := parseImage(text)
	switch {
	case !ok:
		n.required(path, by, what+", which cannot be read as the name of one", "images that can be judged by their name",
			"write it as registry/repository:tag or registry/repository@sha256:...")
	case len(runtime.Images) > 0 && !slices.ContainsFunc(runtime.Images, i.matches):
		n.required(path, by, fmt.Sprintf("%s, which is %s", what, cut(i.identity(), 256)), "one of the images "+list(runtime.Images),
			"run one of them (an image with a digest is judged by the digest, not by a tag)")
	case digests && i.digest == "":
		n.required(path, by, what+", a tag that can be pointed elsewhere", "an image that is named by its digest", fmt.Sprintf("write %s@sha256:...", i.name))
	default:
		return true
	}
	return false
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.SortFunc(out, cmp.Compare[string])
	return out
}
