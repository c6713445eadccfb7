package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/test/bench/agent/seen"
)

// key of a Claw at the provider: each has one of its own, as it must.
func (b *Bench) key(serial int) string { return fmt.Sprintf("sk-ant-api03-%s-%d", b.secret, serial) }

// footprint of an agent: small requests, so that many fit on a small node, and room to do its worst.
var footprint = corev1.ResourceRequirements{
	Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("32Mi")},
	Limits:   corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("256Mi")},
}

// design returns a Claw to be, once its key and credential are there. It streams if told to.
func (b *Bench) design(ctx context.Context, purpose string, streams bool) (*v1alpha1.Claw, error) {
	b.serial++
	if b.serial >= maxClaws {
		return nil, fmt.Errorf("a run has at most %d Claws", maxClaws)
	}
	name := fmt.Sprintf("%s-%d", purpose, b.serial)
	err := b.apply(ctx,
		&corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: map[string]string{v1alpha1.AnnotationCredential: name}},
			Type:       v1alpha1.SecretTypeCredential, StringData: map[string]string{"key": b.key(b.serial)}},
		&v1alpha1.ClawCredential{TypeMeta: ours("ClawCredential"), ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec: v1alpha1.ClawCredentialSpec{Connector: "anthropic",
				Claw:   v1alpha1.CredentialClaw{Name: v1alpha1.ObjectName(name), Owner: owner},
				Source: v1alpha1.CredentialSource{Secret: &v1alpha1.SecretSource{Name: v1alpha1.ObjectName(name), Keys: map[string]string{"apiKey": "key"}}}}})
	if err != nil {
		return nil, err
	}
	claw := &v1alpha1.Claw{TypeMeta: ours("Claw"), ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: v1alpha1.ClawSpec{
		Owner: owner, Purpose: "Is measured.", Visibility: v1alpha1.VisibilityPrivate,
		Models: []v1alpha1.ModelRequest{{Credential: v1alpha1.ObjectName(name),
			ModelRule: v1alpha1.ModelRule{Connector: "anthropic", Models: []v1alpha1.Pattern{model}}}},
		Runtime:   v1alpha1.Runtime{Container: &v1alpha1.ContainerRuntime{Image: agentImage, Port: agentPort}},
		Resources: footprint,
	}}
	if streams {
		claw.Spec.Runtime.Container.Env = []v1alpha1.EnvVar{{Name: seen.EnvStream, Value: name}}
	}
	return claw, nil
}

// hire makes n Claws at once and waits until all are Ready.
func (b *Bench) hire(ctx context.Context, n int, purpose string, streams bool) ([]string, error) {
	var names []string
	for range n {
		claw, err := b.design(ctx, purpose, streams)
		if err != nil {
			return names, err
		}
		names = append(names, claw.Name)
		if err := b.apply(ctx, claw); err != nil {
			return names, err
		}
	}
	for _, name := range names {
		if err := b.ready(ctx, name); err != nil {
			return names, err
		}
	}
	return names, nil
}

func (b *Bench) ready(ctx context.Context, name string) error {
	return b.Eventually(ctx, 3*time.Minute, "Claw "+name+" to be Ready", func(ctx context.Context) error {
		var claw v1alpha1.Claw
		if err := b.Client.Get(ctx, ctrlclient.ObjectKey{Namespace: namespace, Name: name}, &claw); err != nil {
			return err
		}
		if meta.IsStatusConditionTrue(claw.Status.Conditions, v1alpha1.ConditionReady) {
			return nil
		}
		var reasons []string
		for _, c := range claw.Status.Conditions {
			if c.Status != metav1.ConditionTrue {
				reasons = append(reasons, fmt.Sprintf("%s: %s: %s", c.Type, c.Reason, c.Message))
			}
		}
		return errors.New(strings.Join(reasons, "; "))
	})
}

// remove deletes Claws with their keys, and waits until nothing of them is left.
func (b *Bench) remove(ctx context.Context, names ...string) error {
	for _, name := range names {
		named := metav1.ObjectMeta{Namespace: namespace, Name: name}
		for _, object := range []ctrlclient.Object{
			&v1alpha1.Claw{ObjectMeta: named}, &v1alpha1.ClawCredential{ObjectMeta: named}, &corev1.Secret{ObjectMeta: named},
		} {
			if err := b.Client.Delete(ctx, object); err != nil && !apierrors.IsNotFound(err) {
				return err
			}
		}
	}
	return b.Eventually(ctx, 2*time.Minute, "Claws to be gone", func(ctx context.Context) error {
		for _, name := range names {
			var claw v1alpha1.Claw
			err := b.Client.Get(ctx, ctrlclient.ObjectKey{Namespace: namespace, Name: name}, &claw)
			if !apierrors.IsNotFound(err) {
				return fmt.Errorf("%s is still there: %w", name, err)
			}
			var pods corev1.PodList
			err = b.Client.List(ctx, &pods, ctrlclient.InNamespace(namespace), ctrlclient.MatchingLabels{v1alpha1.LabelClaw: name})
			if err != nil || len(pods.Items) > 0 {
				return fmt.Errorf("%d pods of %s are left: %w", len(pods.Items), name, err)
			}
		}
		return nil
	})
}
