package mutation

import (
	"context"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
	"github.com/clawstaff/clawstaff/internal/testing/schema"
)

// TestWalks makes changes one after the other without going back in between: to properties, and to whether there is an
// object at all. Each walk has a number of its own, by which it can be walked again: -run 'TestWalks/7$'.
func TestWalks(t *testing.T) {
	worlds := newPool(*cages)
	t.Cleanup(func() { worlds.rest(t) })
	all := kinds(t)
	for i := range *walks {
		number := *seed*1000 + int64(i)
		t.Run(fmt.Sprint(number), func(t *testing.T) {
			t.Parallel()
			w := &walk{world: worlds.lend(t), Rand: rand.New(rand.NewSource(number)), kinds: all}
			w.roam(t)
		})
	}
}

// walk is one way through a world.
type walk struct {
	*world
	*rand.Rand
	kinds []schema.Kind
	// told is what was done, to be read where something goes wrong.
	told []string
}

func (w *walk) roam(t *testing.T) {
	logged, wrote, changed := op.Log.Mark(), op.Manager.Mark(), 0
	for range *steps {
		mark := op.Log.Mark()
		done, err := w.step(t.Context())
		if err != nil {
			t.Fatalf("%s\n%v", w.story(), err)
		}
		if !done {
			continue
		}
		changed++
		tally.steps.Add(1)
		// Now and then nobody waits for what the last change has done.
		if w.Intn(4) == 0 {
			continue
		}
		if err := w.eventually(t.Context(), w.settled); err != nil {
			t.Fatalf("%s\n%v\n%s\n%s", w.story(), err, w.describe(t.Context()), strings.Join(op.Log.Since(logged, w.name), "\n"))
		}
		if err := w.calmed(t.Context(), mark); err != nil {
			t.Fatalf("%s\n%v", w.story(), err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(w.story())
		}
	})
	w.comesBack(t, logged, wrote, changed+len(w.base))
}

func (w *walk) story() string { return "what was done:\n  " + strings.Join(w.told, "\n  ") }

func (w *walk) tell(format string, args ...any) {
	w.told = append(w.told, fmt.Sprintf(format, args...))
}

// step does something, and reports whether anything has changed.
func (w *walk) step(ctx context.Context) (bool, error) {
	switch n := w.Intn(20); {
	case n < 12:
		return w.mutate(ctx)
	case n < 14:
		return w.replace(ctx)
	case n < 16:
		return w.stop(ctx)
	case n < 18:
		return w.rotate(ctx)
	case n < 19:
		return w.directory(ctx)
	default:
		return w.crash(ctx)
	}
}

// mutate sets a property to something.
func (w *walk) mutate(ctx context.Context) (bool, error) {
	kind := w.kinds[w.Intn(len(w.kinds))]
	properties := kind.Spec()
	p := properties[w.Intn(len(properties))]
	at := placeOf(p.Path)
	base := w.of(kind.Name, at)
	live := w.object(base)
	if err := op.API.Get(ctx, client.ObjectKeyFromObject(base), live); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	choices := values(p, at.get(live.Object))
	v := choices[w.Intn(len(choices))]
	for range 6 { // what is taken leads further
		if v.absent || wrong(p.Schema, v.is) == "" {
			break
		}
		v = choices[w.Intn(len(choices))]
	}
	before := live.DeepCopy()
	if err := at.set(live.Object, kind.Schema, v); err != nil {
		return false, nil //nolint:nilerr // an earlier step has made something else of what it would be in
	}
	err := op.API.Update(ctx, live)
	tally.count(err)
	w.tell("%s %s: %s = %s: %s", kind.Name, base.GetName(), at.path, v, answer(err))
	return err == nil && before.GetGeneration() != live.GetGeneration(), asked(err)
}

// answer is a refusal in short.
func answer(err error) string {
	if err == nil {
		return "accepted"
	}
	return "refused: " + cutTo(err.Error(), 160)
}

func cutTo(text string, n int) string {
	if len(text) > n {
		return text[:n] + "..."
	}
	return text
}

// asked is nil for a refusal, and an error where the API server failed.
func asked(err error) error {
	switch {
	case err == nil, apierrors.IsInvalid(err), apierrors.IsForbidden(err), apierrors.IsBadRequest(err), apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return nil
	default:
		return fmt.Errorf("the API server failed: %w", err)
	}
}

// replace deletes a policy, a credential or the Claw, or creates it again.
func (w *walk) replace(ctx context.Context) (bool, error) {
	base := w.base[1+w.Intn(len(w.base)-1)]
	live := w.object(base)
	err := op.API.Get(ctx, client.ObjectKeyFromObject(base), live)
	if apierrors.IsNotFound(err) {
		err = op.API.Create(ctx, base.DeepCopy())
		w.tell("create %s %s: %s", base.GetKind(), base.GetName(), answer(err))
		return err == nil, asked(err)
	}
	if err != nil {
		return false, err
	}
	w.tell("delete %s %s", base.GetKind(), base.GetName())
	return true, w.remove(ctx, live)
}

// stop stops the organization or lets it go on; or, seldom, revokes a Claw or a credential for ever.
func (w *walk) stop(ctx context.Context) (bool, error) {
	base, state := w.base[0], []string{"Stopped", "Active"}[w.Intn(2)]
	if w.Intn(3) == 0 {
		base, state = w.base[2+w.Intn(len(w.base)-2)], "Revoked"
		w.anew = true
	}
	live := w.object(base)
	if err := op.API.Get(ctx, client.ObjectKeyFromObject(base), live); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	if err := unstructured.SetNestedField(live.Object, state, "spec", "state"); err != nil {
		return false, err
	}
	err := op.API.Update(ctx, live)
	w.tell("%s %s is %s: %s", base.GetKind(), base.GetName(), state, answer(err))
	return err == nil, asked(err)
}

// rotate changes the value of a key, takes the Secret away, or brings it back.
func (w *walk) rotate(ctx context.Context) (bool, error) {
	secrets := w.secrets()
	s := secrets[w.Intn(len(secrets))]
	switch w.Intn(3) {
	case 0:
		w.tell("delete Secret %s", s.Name)
		return true, client.IgnoreNotFound(op.API.Delete(ctx, s))
	case 1:
		for key := range s.StringData {
			s.StringData[key] += fmt.Sprint("-", w.Int63())
		}
	}
	w.tell("write Secret %s", s.Name)
	return true, w.putSecret(ctx, s)
}

// directory changes what a ConfigMap of the operator's namespace says of the organization's people.
func (w *walk) directory(ctx context.Context) (bool, error) {
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: chart.Namespace, Name: w.name + "-directory"}}
	if err := op.API.Get(ctx, client.ObjectKeyFromObject(cm), cm); err != nil {
		return false, err
	}
	text := []string{people, "members: [{name: kim@acme.example}]\n", "members: {not: a list}\n", "no: [yaml", ""}[w.Intn(5)]
	cm.Data = map[string]string{"people.yaml": text}
	w.tell("the directory says %q", text)
	return true, op.API.Update(ctx, cm)
}

// crash takes a pod away, as a node does.
func (w *walk) crash(ctx context.Context) (bool, error) {
	var pods corev1.PodList
	if err := op.Seen.List(ctx, &pods, client.InNamespace(w.name)); err != nil || len(pods.Items) == 0 {
		return false, err
	}
	pod := &pods.Items[w.Intn(len(pods.Items))]
	w.tell("pod %s of %s is gone", pod.Name, pod.Labels[v1alpha1.LabelComponent])
	return true, client.IgnoreNotFound(op.API.Delete(ctx, pod, client.GracePeriodSeconds(0)))
}
