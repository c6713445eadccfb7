package journey

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// Kubectl runs kubectl and returns what it printed; an error carries what it complained about.
func (j *Journey) Kubectl(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, j.kubectl, args...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(complaint.String()))
	}
	return out.String(), nil
}

// show runs kubectl and shows what it printed.
func (j *Journey) show(ctx context.Context, args ...string) error {
	out, err := j.Kubectl(ctx, args...)
	if err != nil {
		return err
	}
	j.Tell.Show("$ kubectl "+strings.Join(args, " "), out)
	return nil
}

// refused runs kubectl, which must be refused with a message that contains all parts.
func (j *Journey) refused(ctx context.Context, args []string, parts ...string) error {
	out, err := j.Kubectl(ctx, args...)
	if err == nil {
		return fmt.Errorf("kubectl %s went through: %s", strings.Join(args, " "), out)
	}
	_, message, _ := strings.Cut(err.Error(), ": exit status 1: ")
	j.Tell.Show("$ kubectl "+shorten(strings.Join(args, " "), 160), shorten(message, 900))
	for _, part := range parts {
		if !strings.Contains(message, part) {
			return fmt.Errorf("the refusal does not say %q: %w", part, err)
		}
	}
	return nil
}

// Eventually waits until check returns nil, and tells the last reason if it never does.
func (j *Journey) Eventually(ctx context.Context, timeout time.Duration, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	var last error
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
			if errors.As(err, &final{}) {
				return fmt.Errorf("%s: %w", what, err)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited %s for %s: %w", timeout, what, errors.Join(last, ctx.Err()))
		case <-ticker.C:
		}
	}
}

// Sample reads the objects of a file of config/samples.
func (j *Journey) Sample(name string) ([]*unstructured.Unstructured, error) {
	file, err := os.Open(filepath.Join(j.Root, "config", "samples", name))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var objects []*unstructured.Unstructured
	for decoder := yaml.NewYAMLOrJSONDecoder(file, 4096); ; {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		objects = append(objects, object)
	}
}

// Apply applies an object as kubectl apply --server-side does. It tries again while the webhook cannot be
// called, and while a new cage's quota has not been counted: Kubernetes admits nothing before, and on a new
// cluster learns of new kinds twice a minute.
func (j *Journey) Apply(ctx context.Context, object *unstructured.Unstructured) error {
	return j.Eventually(ctx, 2*time.Minute, fmt.Sprintf("%s %s to be admitted", object.GetKind(), object.GetName()), func(ctx context.Context) error {
		err := j.Client.Apply(ctx, ctrlclient.ApplyConfigurationFromUnstructured(object), ctrlclient.FieldOwner("journey"), ctrlclient.ForceOwnership)
		for _, passing := range []string{"status unknown for quota", "failed calling webhook"} {
			if err != nil && strings.Contains(err.Error(), passing) {
				return err
			}
		}
		if err != nil {
			return final{err}
		}
		return nil
	})
}

// final is an error that waiting does not mend.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// AwaitReady waits until a Claw is Ready.
func (j *Journey) AwaitReady(ctx context.Context, claw string) error {
	return j.Eventually(ctx, 2*time.Minute, "Claw "+claw+" to be Ready", func(ctx context.Context) error {
		var c v1alpha1.Claw
		if err := j.Client.Get(ctx, ctrlclient.ObjectKey{Namespace: Namespace, Name: claw}, &c); err != nil {
			return err
		}
		if meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionReady) {
			return nil
		}
		var reasons []string
		for _, condition := range c.Status.Conditions {
			if condition.Status != "True" {
				reasons = append(reasons, fmt.Sprintf("%s=%s: %s: %s", condition.Type, condition.Status, condition.Reason, condition.Message))
			}
		}
		return errors.New(strings.Join(reasons, "; "))
	})
}

// gone waits until an object does not exist any more.
func (j *Journey) gone(ctx context.Context, object ctrlclient.Object) error {
	key := ctrlclient.ObjectKeyFromObject(object)
	return j.Eventually(ctx, time.Minute, fmt.Sprintf("%T %s to be gone", object, key.Name), func(ctx context.Context) error {
		err := j.Client.Get(ctx, key, object)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		return errors.New("it is still there")
	})
}

func (j *Journey) uid(ctx context.Context, claw string) string {
	var c v1alpha1.Claw
	if err := j.Client.Get(ctx, ctrlclient.ObjectKey{Namespace: Namespace, Name: claw}, &c); err != nil {
		return ""
	}
	return string(c.UID)
}

// Pods are a Claw's, by component.
func (j *Journey) Pods(ctx context.Context, claw string) (map[string]corev1.Pod, error) {
	var list corev1.PodList
	if err := j.Client.List(ctx, &list, ctrlclient.InNamespace(Namespace), ctrlclient.MatchingLabels{v1alpha1.LabelClaw: claw}); err != nil {
		return nil, err
	}
	pods := map[string]corev1.Pod{}
	for _, pod := range list.Items {
		if pod.DeletionTimestamp.IsZero() {
			pods[pod.Labels[v1alpha1.LabelComponent]] = pod
		}
	}
	return pods, nil
}

// clusterIP is a Service's address.
func (j *Journey) clusterIP(ctx context.Context, namespace, name string) (string, error) {
	var service corev1.Service
	err := j.Client.Get(ctx, ctrlclient.ObjectKey{Namespace: namespace, Name: name}, &service)
	return service.Spec.ClusterIP, err
}

// Running says whether the Claw is Ready and not revoked.
func (j *Journey) Running(ctx context.Context) bool {
	var c v1alpha1.Claw
	err := j.Client.Get(ctx, ctrlclient.ObjectKey{Namespace: Namespace, Name: Claw}, &c)
	return err == nil && c.Spec.State != v1alpha1.ClawRevoked && meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionReady)
}

// Touch has the manager look at a Claw again.
func (j *Journey) Touch(ctx context.Context, claw string) error {
	object := &v1alpha1.Claw{ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: claw}}
	return j.Client.Patch(ctx, object, ctrlclient.RawPatch("application/merge-patch+json",
		fmt.Appendf(nil, `{"metadata":{"annotations":{"journey.example/touched":%q}}}`, time.Now().Format(time.RFC3339Nano))))
}

// AwaitLeader waits until one of the managers that run leads. One that was killed is followed only when its
// lease is over.
func (j *Journey) AwaitLeader(ctx context.Context) error {
	return j.Eventually(ctx, time.Minute, "a manager to lead", func(ctx context.Context) error {
		lease, err := j.Kube.CoordinationV1().Leases(SystemNS).Get(ctx, "clawstaff-manager", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if lease.Spec.HolderIdentity == nil {
			return errors.New("nobody holds the lease")
		}
		pod, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
		_, err = j.Kube.CoreV1().Pods(SystemNS).Get(ctx, pod, metav1.GetOptions{})
		return err
	})
}
