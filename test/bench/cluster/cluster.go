// Package cluster measures ClawStaff as it is installed in a real cluster. It brings an organization of its own, so that
// nobody's Claws are touched, and agents that are the worst clients one can have.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/rand"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/test/bench/report"
	"github.com/clawstaff/clawstaff/test/fakes/provider"
	"github.com/clawstaff/clawstaff/test/journey"
)

const (
	namespace   = "clawstaff-bench" // the organization, and its cage
	bareSpace   = "clawstaff-bench-bare"
	owner       = "bench@clawstaff.example"
	agentImage  = "clawstaff.dev/bench-agent:dev"
	sandbox     = "gvisor"
	upstreamCAs = "clawstaff-bench-upstream-cas"
	model       = "claude-sonnet-5"
	agentPort   = 8080
)

// Bench is a cluster to measure in. Make it with Open.
type Bench struct {
	*journey.Journey
	say     func(format string, args ...any)
	watcher ctrlclient.WithWatch
	version string // of Kubernetes
	secret  string // part of every key of this run
	serial  int    // of Claws, so that no two have the same name or key

	revocations revocations
}

// maxClaws is how many Claws one run can have: each has a key of its own, and the provider is told them all at once.
const maxClaws = 1000

// Open prepares the cluster of the current KUBECONFIG: providers, an organization, nothing left of an earlier run.
func Open(ctx context.Context, root string, say func(format string, args ...any)) (*Bench, func(), error) {
	j, err := journey.New(ctx, root, silence{})
	if err != nil {
		return nil, nil, err
	}
	if !j.Local {
		return nil, nil, errors.New("the benchmarks look at processes and providers of the node itself: they need the cluster of hack/cluster")
	}
	b := &Bench{Journey: j, say: say, secret: rand.String(24)}
	if b.watcher, err = ctrlclient.NewWithWatch(j.Config, ctrlclient.Options{Scheme: j.Client.Scheme()}); err != nil {
		return nil, nil, err
	}
	version, err := j.Kube.Discovery().ServerVersion()
	if err != nil {
		return nil, nil, err
	}
	b.version = version.GitVersion
	stop, err := j.StartFakes(ctx)
	if err != nil {
		return nil, nil, err
	}
	closing := func() {
		// Also after an interrupt: Claws that nobody wants any more use the machine.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
		defer cancel()
		if err := b.clean(ctx); err != nil {
			say("cleaning up: %v", err)
		}
		stop()
	}
	if err := b.prepare(ctx); err != nil {
		closing()
		return nil, nil, err
	}
	return b, closing, nil
}

func (b *Bench) machine() string { return report.Machine(b.version) }

// prepare makes what all parts need.
func (b *Bench) prepare(ctx context.Context) error {
	if err := b.clean(ctx); err != nil {
		return err
	}
	var keys []string
	for i := range maxClaws {
		keys = append(keys, b.key(i))
	}
	if err := b.Fakes.SetKeys(ctx, provider.Keys{AnthropicAPIKeys: keys}); err != nil {
		return err
	}
	authority, err := b.Fakes.CA(ctx)
	if err != nil {
		return err
	}
	objects := []runtime.Object{
		&corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
			ObjectMeta: metav1.ObjectMeta{Namespace: journey.SystemNS, Name: upstreamCAs}, Data: map[string]string{"fakes.crt": authority}},
		&corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: bareSpace}},
		&v1alpha1.ClawOrganization{TypeMeta: ours("ClawOrganization"), ObjectMeta: metav1.ObjectMeta{Name: namespace},
			Spec: v1alpha1.ClawOrganizationSpec{
				Members:     []v1alpha1.Member{{Name: owner}},
				Sandbox:     v1alpha1.Sandbox{RuntimeClassName: sandbox, RuntimeClass: v1alpha1.RuntimeClassRequired},
				UpstreamCAs: &v1alpha1.ConfigMapReference{ConfigMap: upstreamCAs},
			}},
	}
	if err := b.apply(ctx, objects...); err != nil {
		return err
	}
	err = b.Eventually(ctx, time.Minute, "the cage", func(ctx context.Context) error {
		var org v1alpha1.ClawOrganization
		if err := b.Client.Get(ctx, ctrlclient.ObjectKey{Name: namespace}, &org); err != nil {
			return err
		}
		if !meta.IsStatusConditionTrue(org.Status.Conditions, v1alpha1.ConditionCageReady) {
			return fmt.Errorf("it is not ready: %+v", org.Status.Conditions)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return b.apply(ctx, &v1alpha1.ClawPolicy{TypeMeta: ours("ClawPolicy"), ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "all"},
		Spec: v1alpha1.ClawPolicySpec{Selector: v1alpha1.PolicySelector{All: true}, Allow: v1alpha1.PolicyRules{
			Visibility: []v1alpha1.Visibility{v1alpha1.VisibilityPrivate},
			Models:     []v1alpha1.ModelRule{{Connector: "anthropic", Models: []v1alpha1.Pattern{model}}}}}})
}

func ours(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: kind}
}

// apply applies objects, with their TypeMeta set, as kubectl does.
func (b *Bench) apply(ctx context.Context, objects ...runtime.Object) error {
	for _, object := range objects {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
		if err != nil {
			return err
		}
		unstructured.RemoveNestedField(content, "status") // not ours to say
		if err := b.Apply(ctx, &unstructured.Unstructured{Object: content}); err != nil {
			return err
		}
	}
	return nil
}

// clean removes all Claws of the organization, with what belongs to them, and all bare pods. The cage stays.
func (b *Bench) clean(ctx context.Context) error {
	var claws v1alpha1.ClawList
	if err := b.Client.List(ctx, &claws, ctrlclient.InNamespace(namespace)); err != nil {
		return err
	}
	var names []string
	for _, claw := range claws.Items {
		names = append(names, claw.Name)
	}
	if err := b.remove(ctx, names...); err != nil {
		return err
	}
	return errors.Join(
		b.Client.DeleteAllOf(ctx, &corev1.Pod{}, ctrlclient.InNamespace(bareSpace), ctrlclient.GracePeriodSeconds(0)),
		b.Client.DeleteAllOf(ctx, &corev1.PersistentVolumeClaim{}, ctrlclient.InNamespace(bareSpace)))
}

// silence is a journey.Teller that tells nobody.
type silence struct{}

// Say implements journey.Teller.
func (silence) Say(string, ...any) {}

// Show implements journey.Teller.
func (silence) Show(string, string) {}
