package journey

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// upstreamCAs is the ConfigMap of the fakes' authority. The sample does not name it: real providers need none.
const upstreamCAs = "acme-upstream-cas"

// Prepare makes everything of the story from nothing: what an earlier run left is removed first.
func (j *Journey) Prepare(ctx context.Context) error {
	if err := j.Clean(ctx); err != nil {
		return err
	}
	j.Keys = NewKeys()
	if err := j.Fakes.SetKeys(ctx, j.Keys.accepted()); err != nil {
		return err
	}
	if err := j.Fakes.Reset(ctx); err != nil {
		return err
	}
	if err := j.trustFakes(ctx); err != nil {
		return err
	}
	objects, err := j.samples(ctx)
	if err != nil {
		return err
	}
	begun := time.Now()
	for _, object := range objects {
		if err := j.Apply(ctx, object); err != nil {
			return err
		}
		if object.GetKind() == "ClawOrganization" {
			if err := j.awaitCage(ctx, object.GetName()); err != nil {
				return err
			}
		}
		if object.GetKind() == clawKind.Kind && object.GetName() == Claw {
			begun = time.Now()
		}
	}
	if err := j.AwaitReady(ctx, Claw); err != nil {
		return err
	}
	j.Ready = time.Since(begun)
	return j.AwaitReady(ctx, Sibling)
}

// samples are the objects of the quickstart and of the sibling, with the keys of this run and the canary.
// The sibling comes first: a Claw's proof wants to know what it must not reach.
func (j *Journey) samples(ctx context.Context) ([]*unstructured.Unstructured, error) {
	quickstart, err := j.Sample("quickstart.yaml")
	if err != nil {
		return nil, err
	}
	sibling, err := j.Sample("sibling.yaml")
	if err != nil {
		return nil, err
	}
	last := len(quickstart) - 1
	objects := append(append(quickstart[:last:last], sibling...), quickstart[last])
	for _, object := range objects {
		switch object.GetKind() {
		case "ClawOrganization":
			if err := j.sandbox(ctx, object); err != nil {
				return nil, err
			}
			if err := unstructured.SetNestedField(object.Object, upstreamCAs, "spec", "upstreamCAs", "configMap"); err != nil {
				return nil, err
			}
		case "Secret":
			if keys := j.Keys.secrets()[object.GetName()]; keys != nil {
				if err := unstructured.SetNestedStringMap(object.Object, keys, "stringData"); err != nil {
					return nil, err
				}
			}
		case clawKind.Kind:
			env := []any{map[string]any{"name": "CANARY", "value": j.Keys.Canary}}
			if err := unstructured.SetNestedSlice(object.Object, env, "spec", "runtime", "container", "env"); err != nil {
				return nil, err
			}
		}
	}
	return objects, nil
}

// sandbox asks for gVisor only where the cluster has it, and says so where it has not.
func (j *Journey) sandbox(ctx context.Context, organization *unstructured.Unstructured) error {
	_, err := j.Kube.NodeV1().RuntimeClasses().Get(ctx, "gvisor", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		return err
	}
	j.Tell.Say("this cluster has no RuntimeClass gvisor: the agents run in plain containers")
	return unstructured.SetNestedField(organization.Object, "Preferred", "spec", "sandbox", "runtimeClass")
}

// trustFakes puts the fake providers' authority where the organization takes extra roots from.
func (j *Journey) trustFakes(ctx context.Context) error {
	authority, err := j.Fakes.CA(ctx)
	if err != nil {
		return err
	}
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"namespace": SystemNS, "name": upstreamCAs},
		"data":     map[string]any{"fakes.crt": authority},
	}}
	return j.Apply(ctx, object)
}

func (j *Journey) awaitCage(ctx context.Context, organization string) error {
	return j.Eventually(ctx, time.Minute, "the cage of "+organization, func(ctx context.Context) error {
		var org v1alpha1.ClawOrganization
		if err := j.Client.Get(ctx, ctrlclient.ObjectKey{Name: organization}, &org); err != nil {
			return err
		}
		condition := meta.FindStatusCondition(org.Status.Conditions, v1alpha1.ConditionCageReady)
		if condition == nil || condition.Status != metav1.ConditionTrue {
			return fmt.Errorf("it is not ready: %+v", condition)
		}
		return nil
	})
}

// Clean removes the Claws of the story, their credentials and keys. The organization and its cage stay.
func (j *Journey) Clean(ctx context.Context) error {
	var objects []ctrlclient.Object
	named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: Namespace, Name: name} }
	for _, name := range []string{Claw, Sibling} {
		objects = append(objects, &v1alpha1.Claw{ObjectMeta: named(name)})
	}
	for _, name := range []string{"triage-slack", "triage-anthropic", "nightwatch-slack"} {
		objects = append(objects, &v1alpha1.ClawCredential{ObjectMeta: named(name)}, &corev1.Secret{ObjectMeta: named(name)})
	}
	for _, object := range objects {
		if err := j.Client.Delete(ctx, object); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("removing what an earlier run left: %w", err)
		}
	}
	for _, object := range objects {
		if err := j.gone(ctx, object); err != nil {
			return err
		}
	}
	return j.Eventually(ctx, time.Minute, "the pods of an earlier run to go", func(ctx context.Context) error {
		var pods corev1.PodList
		if err := j.Client.List(ctx, &pods, ctrlclient.InNamespace(Namespace)); err != nil {
			return err
		}
		if len(pods.Items) > 0 {
			return fmt.Errorf("%d are left", len(pods.Items))
		}
		return nil
	})
}

// Introduce shows what was made.
func (j *Journey) Introduce(ctx context.Context) error {
	j.Tell.Say("Ready %s after it was applied, its isolation proved from inside its pod", j.Ready.Round(100*time.Millisecond))
	for _, args := range [][]string{
		{"get", "claworganizations"},
		{"-n", Namespace, "get", "claws,clawgrants,clawpolicies,clawcredentials"},
		{"-n", Namespace, "get", "pods", "-o", "custom-columns=POD:.metadata.name,RUNTIME:.spec.runtimeClassName,SERVICE-ACCOUNT:.spec.serviceAccountName,PHASE:.status.phase"},
		{"-n", Namespace, "get", "networkpolicies"},
	} {
		if err := j.show(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}
