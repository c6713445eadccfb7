package mutation

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
	"github.com/clawstaff/clawstaff/internal/testing/operator"
)

//go:embed testdata/base.yaml
var baseYAML string

// patience is how long something is waited for. It is generous: tests of many packages share a machine.
const patience = 45 * time.Second

// world is one organization, and in its cage a policy, a Claw and its credentials.
type world struct {
	name string
	base []*unstructured.Unstructured
	// first is how everything was when it had settled for the first time.
	first snapshot
	// anew tells that the Claw or a credential has been made anew, and so has other UIDs.
	anew bool
}

// people is a directory beside the organization's own.
const people = "members:\n- name: kim@acme.example\n  identities: {slack: [T01ACME/U01KIM]}\nteams:\n- {name: support, members: [kim@acme.example]}\n"

// newWorld makes a world and waits until it has settled.
func newWorld(ctx context.Context) (*world, error) {
	w := &world{name: "org-" + rand.String(6)}
	text := strings.NewReplacer("ORG", w.name, "EXPIRES", time.Now().AddDate(1, 0, 0).UTC().Format(time.RFC3339)).Replace(baseYAML)
	for d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader([]byte(text)), 4096); ; {
		o := &unstructured.Unstructured{}
		if err := d.Decode(o); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		w.base = append(w.base, o)
	}
	for _, data := range []struct{ name, key, text string }{
		{w.name + "-directory", "people.yaml", people},
		{w.name + "-roots", "roots.pem", ""},
	} {
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: chart.Namespace, Name: data.name}, Data: map[string]string{data.key: data.text}}
		if err := op.API.Create(ctx, cm); err != nil {
			return nil, err
		}
	}
	if err := w.restore(ctx); err != nil {
		return nil, err
	}
	if err := w.eventually(ctx, w.settled); err != nil {
		return nil, fmt.Errorf("the base state: %w\n%s", err, strings.Join(op.Log.Since(0, w.name), "\n"))
	}
	if err := w.eventually(ctx, w.ready); err != nil {
		return nil, fmt.Errorf("the base state: %w\n%s", err, strings.Join(op.Log.Since(0, w.name), "\n"))
	}
	var err error
	w.first, err = w.rest(ctx)
	return w, err
}

// ready reports whether the Claw runs, and all of it is enforced.
func (w *world) ready(ctx context.Context) error {
	p, err := w.look(ctx)
	if err != nil {
		return err
	}
	if p.claw == nil {
		return errors.New("there is no Claw")
	}
	if !meta.IsStatusConditionTrue(p.claw.Status.Conditions, v1alpha1.ConditionReady) {
		return fmt.Errorf("the Claw is not ready: %s", brief(p.claw.Status.Conditions))
	}
	return nil
}

// secrets are the keys of the credentials.
func (w *world) secrets() []*corev1.Secret {
	secret := func(name string, data map[string]string) *corev1.Secret {
		for key := range data {
			data[key] += "-" + w.name + "-0123456789abcdef"
		}
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: name, Annotations: map[string]string{v1alpha1.AnnotationCredential: name}},
			Type: v1alpha1.SecretTypeCredential, StringData: data}
	}
	return []*corev1.Secret{
		secret("triage-slack", map[string]string{"bot": "xoxb", "signing": "sign"}),
		secret("triage-anthropic", map[string]string{"key": "sk-ant"}),
	}
}

// restore puts every object back to its base state. What cannot be changed back is made anew.
func (w *world) restore(ctx context.Context) error {
	if err := w.bury(ctx); err != nil {
		return err
	}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: chart.Namespace, Name: w.name + "-directory"}, Data: map[string]string{"people.yaml": people}}
	if err := op.API.Update(ctx, cm); err != nil {
		return err
	}
	for _, base := range w.base {
		if err := w.put(ctx, base); err != nil {
			return fmt.Errorf("put %s %s back: %w", base.GetKind(), base.GetName(), err)
		}
		if base.GetKind() == "ClawOrganization" {
			if err := w.eventually(ctx, w.caged); err != nil {
				return err
			}
			for _, s := range w.secrets() {
				if err := w.putSecret(ctx, s); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// bury deletes what is over for ever, and waits until all of it is gone: nothing of it may be used again.
func (w *world) bury(ctx context.Context) error {
	for _, base := range w.base {
		live := w.object(base)
		err := op.API.Get(ctx, client.ObjectKeyFromObject(base), live)
		if apierrors.IsNotFound(err) || err == nil && !over(live) {
			continue
		}
		if err != nil {
			return err
		}
		if err := w.remove(ctx, live); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes an object and waits until it is gone.
func (w *world) remove(ctx context.Context, o *unstructured.Unstructured) error {
	w.anew = true
	if err := client.IgnoreNotFound(op.API.Delete(ctx, o)); err != nil {
		return err
	}
	return w.eventually(ctx, func(ctx context.Context) error {
		if err := op.API.Get(ctx, client.ObjectKeyFromObject(o), w.object(o)); !apierrors.IsNotFound(err) {
			return fmt.Errorf("%s %s is still there: %w", o.GetKind(), o.GetName(), err)
		}
		return nil
	})
}

func (w *world) putSecret(ctx context.Context, want *corev1.Secret) error {
	s := &corev1.Secret{}
	err := op.API.Get(ctx, client.ObjectKeyFromObject(want), s)
	if apierrors.IsNotFound(err) {
		return op.API.Create(ctx, want)
	}
	if err != nil {
		return err
	}
	s.StringData, s.Annotations = want.StringData, want.Annotations
	return op.API.Update(ctx, s)
}

func (w *world) put(ctx context.Context, base *unstructured.Unstructured) error {
	live := w.object(base)
	err := op.API.Get(ctx, client.ObjectKeyFromObject(base), live)
	if apierrors.IsNotFound(err) {
		return op.API.Create(ctx, base.DeepCopy())
	}
	if err != nil {
		return err
	}
	if live.GetDeletionTimestamp() == nil {
		if equality.Semantic.DeepEqual(live.Object["spec"], base.Object["spec"]) {
			return nil
		}
		live.Object["spec"] = base.DeepCopy().Object["spec"]
		err := op.API.Update(ctx, live)
		if apierrors.IsConflict(err) {
			return w.put(ctx, base) // the manager wrote meanwhile
		}
		if !apierrors.IsInvalid(err) && !apierrors.IsForbidden(err) {
			return err
		}
	}
	// Some changes are for ever.
	if err := w.remove(ctx, live); err != nil {
		return err
	}
	return op.API.Create(ctx, base.DeepCopy())
}

// over reports whether an object says that it is revoked: a credential is with its Claw.
func over(o *unstructured.Unstructured) bool {
	if state, _, _ := unstructured.NestedString(o.Object, "spec", "state"); state == "Revoked" {
		return true
	}
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(c any) bool {
		condition, ok := c.(map[string]any)
		return ok && condition["type"] == v1alpha1.ConditionReady && condition["reason"] == v1alpha1.ReasonRevoked
	})
}

func (*world) object(of *unstructured.Unstructured) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(of.GroupVersionKind())
	return o
}

// of returns the base of the first object of a kind that has a property, or of the kind at all.
func (w *world) of(kind string, p place) *unstructured.Unstructured {
	var first *unstructured.Unstructured
	for _, base := range w.base {
		if base.GetKind() != kind {
			continue
		}
		if first == nil {
			first = base
		}
		if p.get(base.Object) != nil {
			return base
		}
	}
	return first
}

// eventually waits until check has nothing to say.
func (*world) eventually(ctx context.Context, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("gave up after %s: %w", patience, err)
		case <-tick.C:
		}
	}
}

// caged reports whether the organization has its cage.
func (w *world) caged(ctx context.Context) error {
	var org v1alpha1.ClawOrganization
	if err := op.API.Get(ctx, client.ObjectKey{Name: w.name}, &org); err != nil {
		return err
	}
	if org.Status.Namespace != w.name {
		return fmt.Errorf("the organization has no cage: %s", brief(org.Status.Conditions))
	}
	return nil
}

func brief(conditions []metav1.Condition) string {
	var lines []string
	for _, c := range conditions {
		lines = append(lines, fmt.Sprintf("%s=%s@%d %s: %s", c.Type, c.Status, c.ObservedGeneration, c.Reason, c.Message))
	}
	return "\n    " + strings.Join(lines, "\n    ")
}

// pool lends worlds to tests that run at once.
type pool struct{ free chan *world }

func newPool(n int) *pool {
	p := &pool{free: make(chan *world, n)}
	for range n {
		p.free <- nil
	}
	return p
}

// lend lends a world until the test ends. One in which something went wrong is not used again.
func (p *pool) lend(t *testing.T) *world {
	t.Helper()
	w := <-p.free
	if w == nil {
		var err error
		if w, err = newWorld(t.Context()); err != nil {
			p.free <- nil
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			w = nil
		}
		p.free <- w
	})
	return w
}

// rest wants every world to come to rest when all is done, and the API server to have been able to do everything.
func (p *pool) rest(t *testing.T) {
	t.Helper()
	var resting sync.WaitGroup
	for range cap(p.free) {
		w := <-p.free
		if w == nil {
			continue
		}
		resting.Go(func() {
			if _, err := w.rest(context.Background()); err != nil {
				t.Errorf("%s: %v", w.name, err)
			}
		})
	}
	resting.Wait()
	for _, r := range op.Tests.Since(0, operator.Failed) {
		t.Errorf("the API server could not: %s", r)
	}
}
