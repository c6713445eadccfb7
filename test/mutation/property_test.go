package mutation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/internal/testing/operator"
	"github.com/clawstaff/clawstaff/internal/testing/schema"
)

// kinds are those that people write.
func kinds(t *testing.T) []schema.Kind {
	t.Helper()
	all, err := schema.Load()
	if err != nil {
		t.Fatal(err)
	}
	var out []schema.Kind
	for _, k := range all {
		if k.Name != "ClawGrant" { // the manager's own
			out = append(out, k)
		}
	}
	return out
}

// TestEveryProperty changes each property of each kind, one value after the other, and back.
func TestEveryProperty(t *testing.T) {
	worlds := newPool(*cages)
	t.Cleanup(func() { worlds.rest(t) })
	for _, kind := range kinds(t) {
		for _, p := range kind.Spec() {
			t.Run(kind.Name+"/"+p.Path, func(t *testing.T) {
				t.Parallel()
				property(t, worlds.lend(t), kind, p)
			})
		}
	}
}

// property tries one property of one kind.
func property(t *testing.T, w *world, kind schema.Kind, p schema.Property) {
	at := placeOf(p.Path)
	base := w.of(kind.Name, at)
	logged, wrote, accepted, created := op.Log.Mark(), op.Manager.Mark(), 0, 0
	for _, v := range values(p, at.get(base.Object)) {
		m := mutation{world: w, kind: kind, property: p, place: at, value: v}
		ok, err := m.create(t.Context())
		if err != nil {
			t.Fatalf("create with %s = %s: %v", at.path, v, err)
		}
		if ok {
			created++
		}
		if ok, err = m.update(t.Context()); err != nil {
			t.Fatalf("%s = %s: %v", at.path, v, err)
		}
		if !ok {
			continue
		}
		accepted++
		mark := op.Log.Mark()
		if err := w.eventually(t.Context(), w.settled); err != nil {
			t.Fatalf("after %s = %s: %v\n%s\n%s", at.path, v, err, w.describe(t.Context()), strings.Join(op.Log.Since(logged, w.name), "\n"))
		}
		if err := w.calmed(t.Context(), mark); err != nil {
			t.Fatalf("after %s = %s: %v", at.path, v, err)
		}
	}
	if created+accepted == 0 && p.Leaf() && fixed[kind.Name+" "+p.Path] == "" {
		t.Errorf("no value of %s was taken: nothing was tried but refusals", at.path)
	}
	w.comesBack(t, logged, wrote, accepted)
}

// fixed are the properties of which no other value is taken alone, and why.
var fixed = map[string]string{
	"ClawCredential spec.connector":                         "it decides which slots there are",
	"ClawCredential spec.claw.owner":                        "the Claw that is there has another one",
	"ClawCredential spec.source.externalSecret.data[].slot": "the connector has this one only",
	"Claw spec.channels[].connector":                        "the credential is of one connector",
	"Claw spec.tools[].connector":                           "the credential is of one connector",
	"Claw spec.models[].connector":                          "the credential is of one connector",
	"Claw spec.owner":                                       "the credentials are of one owner",
	"Claw spec.resources.claims[].name":                     "an agent has no resource claims",
	"Claw spec.resources.claims[].request":                  "an agent has no resource claims",
}

// comesBack puts a world back into its base state, and wants all of it to be as it was.
func (w *world) comesBack(t *testing.T, logged, wrote, accepted int) {
	t.Helper()
	if err := w.restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.eventually(t.Context(), w.recovered); err != nil {
		t.Fatalf("after all was put back: %v\n%s", err, strings.Join(op.Log.Since(logged, w.name), "\n"))
	}
	calm(t, w, logged, wrote, accepted)
}

const (
	// writesPerChange bounds what the manager writes for one change and its way back: a status, a grant and a
	// dozen children, and each again when pods have followed.
	writesPerChange = 80
	// errorsPerChange are for conflicts with somebody else's write, which are tried again at once.
	errorsPerChange = 3
)

// calmed says that the manager fails again and again after a change. It tries again ever more seldom, so that
// it fails five times within half a second if it goes on failing.
func (w *world) calmed(ctx context.Context, logged int) error {
	failures := func() []string {
		return slices.DeleteFunc(op.Log.Since(logged, w.name), func(line string) bool { return strings.Contains(line, "the object has been modified") })
	}
	if len(failures()) == 0 {
		return nil
	}
	select {
	case <-ctx.Done():
	case <-time.After(500 * time.Millisecond):
	}
	if lines := failures(); len(lines) >= 5 {
		return fmt.Errorf("the manager goes on failing:\n%s", strings.Join(lines, "\n"))
	}
	return nil
}

// calm checks that what was accepted made no errors and no flood of writes, and that the API server could do all.
func calm(t *testing.T, w *world, logged, wrote, accepted int) {
	t.Helper()
	lines := op.Log.Since(logged, w.name)
	for _, line := range lines {
		if strings.Contains(line, "panic") {
			t.Errorf("the manager panicked: %s", line)
		}
	}
	if len(lines) > errorsPerChange*(accepted+1) {
		t.Errorf("%d changes were accepted, and the manager logged %d errors:\n%s", accepted, len(lines), strings.Join(lines, "\n"))
	}
	written := op.Manager.Since(wrote, operator.About(w.name))
	if len(written) > writesPerChange*(accepted+1) {
		t.Errorf("%d changes were accepted, and the manager wrote %d times", accepted, len(written))
	}
	for _, r := range written {
		if operator.Failed(r) {
			t.Errorf("the API server could not: %s", r)
		}
	}
}

// mutation is one value of one property in one world.
type mutation struct {
	world    *world
	kind     schema.Kind
	property schema.Property
	place    place
	value    value
}

// apply changes an object, and says in what it is wrong by the schema alone.
func (m mutation) apply(o *unstructured.Unstructured) (wrongBySchema string, err error) {
	if err := m.place.set(o.Object, m.kind.Schema, m.value); err != nil {
		return "", err
	}
	if m.value.absent {
		if m.property.Required && m.property.Schema.Default == nil {
			return "required", nil
		}
		return "", nil
	}
	if m.value.is == nil && m.property.Required && m.property.Schema.Default == nil {
		return "required", nil
	}
	return wrong(m.property.Schema, m.value.is), nil
}

// create asks whether an object with the value could be created, and leaves nothing behind.
func (m mutation) create(ctx context.Context) (bool, error) {
	o := m.world.of(m.kind.Name, m.place).DeepCopy()
	if err := another(o); err != nil {
		return false, err
	}
	bad, err := m.apply(o)
	if err != nil {
		return false, err
	}
	answer := op.API.Create(ctx, o, client.DryRunAll)
	return answer == nil, m.judge(answer, bad)
}

// another makes of an object one that can be beside it.
func another(o *unstructured.Unstructured) error {
	o.SetName(o.GetName() + "x")
	spec, _, err := unstructured.NestedMap(o.Object, "spec")
	if err != nil {
		return err
	}
	switch o.GetKind() {
	case "ClawOrganization":
		spec["namespace"] = o.GetName()
		// Nobody is in two organizations here.
		delete(spec, "members")
		delete(spec, "teams")
	case "Claw":
		// A key is one Claw's.
		for _, list := range []string{"channels", "tools", "models"} {
			for _, entry := range spec[list].([]any) {
				entry.(map[string]any)["credential"] = "another"
			}
		}
	case "ClawCredential":
		if secret, ok, _ := unstructured.NestedMap(spec, "source", "secret"); ok {
			secret["name"] = o.GetName()
			spec["source"] = map[string]any{"secret": secret}
		}
	}
	o.Object["spec"] = spec
	return nil
}

// update changes the object, and reports whether that was accepted. One that is refused stays as it was.
func (m mutation) update(ctx context.Context) (bool, error) {
	base := m.world.of(m.kind.Name, m.place)
	live := m.world.object(base)
	if err := op.API.Get(ctx, client.ObjectKeyFromObject(base), live); err != nil {
		return false, err
	}
	version := live.GetResourceVersion()
	bad, err := m.apply(live)
	if err != nil {
		return false, err
	}
	refused := op.API.Update(ctx, live)
	if apierrors.IsConflict(refused) { // the manager wrote meanwhile
		return m.update(ctx)
	}
	if err := m.judge(refused, bad); err != nil || refused == nil {
		return refused == nil, err
	}
	after := m.world.object(base)
	if err := op.API.Get(ctx, client.ObjectKeyFromObject(base), after); err != nil {
		return false, err
	}
	if after.GetResourceVersion() != version && after.GetGeneration() != live.GetGeneration() {
		return false, errors.New("it was refused and is changed nevertheless")
	}
	return false, nil
}

// judge says in what an answer is not as it should be: what is wrong by the schema is refused, a refusal is
// one and no failure, and it names the place.
func (m mutation) judge(answer error, wrongBySchema string) error {
	tally.count(answer)
	if answer == nil {
		if wrongBySchema != "" {
			return fmt.Errorf("it was accepted, and is %s", wrongBySchema)
		}
		return nil
	}
	var status apierrors.APIStatus
	if !errors.As(answer, &status) {
		return fmt.Errorf("no answer: %w", answer)
	}
	switch code := status.Status().Code; code {
	case http.StatusUnprocessableEntity, http.StatusForbidden, http.StatusBadRequest:
	default:
		return fmt.Errorf("it was answered with %d: %w", code, answer)
	}
	if strings.Contains(answer.Error(), "exceeded quota") {
		return nil // Kubernetes says what was asked and what there is, and its count lags
	}
	if text, ok := m.value.is.(string); ok && text != "" && strings.Contains(answer.Error(), strconv.Quote(text)) {
		return nil // it says what was asked, where that does not fit something else
	}
	if !names(status.Status(), m.place.path) {
		return fmt.Errorf("the refusal does not name the place: %w", answer)
	}
	return nil
}

// names reports whether a refusal names a place: itself, what it is in, or what is in or beside it in the same entry.
func names(status metav1.Status, path string) bool {
	entry := path
	if parts := strings.Split(path, "."); len(parts) > 2 {
		entry = strings.Join(parts[:2], ".")
	}
	if status.Details != nil {
		for _, cause := range status.Details.Causes {
			field := strings.NewReplacer(`["`, "[", `"]`, "]").Replace(cause.Field)
			if field != "" && (strings.HasPrefix(field, entry) || strings.HasPrefix(path, field)) || strings.Contains(cause.Message, entry) {
				return true
			}
		}
	}
	return strings.Contains(status.Message, entry) || strings.Contains(status.Message, strings.ReplaceAll(entry, "[0]", ""))
}
