package credential

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/controller/apply"
	"github.com/clawstaff/clawstaff/internal/credential"
)

// ExternalSecrets are not watched: a cluster need not have the kind. What is waited for is looked for
// soon, and what is well once in a while, for its status; the Secret itself is watched.
const (
	externalSoon  = 15 * time.Second
	externalLater = 10 * time.Minute
)

// request is what became of asking External Secrets Operator for a key.
type request struct {
	// uid of the ExternalSecret, which owns the Secret it makes.
	uid types.UID
	// refusal says why nothing can be read.
	refusal *credential.Refusal
	// problem is what the operator itself says is wrong.
	problem string
	// again is when to look again.
	again time.Duration
}

func waitingFor(format string, args ...any) request {
	return request{again: externalSoon, refusal: &credential.Refusal{Reason: v1alpha1.ReasonDependencyNotReady, Message: fmt.Sprintf(format, args...)}}
}

// notInstalled is said until External Secrets is there.
func notInstalled() request {
	return waitingFor("this cluster has no %s of %s: install External Secrets Operator, or use spec.source.secret",
		credential.ExternalSecretKind.Kind, credential.ExternalSecretKind.GroupVersion())
}

// external sees to it that there is an ExternalSecret for the credential, exactly as it should be. One that
// is otherwise is replaced and never changed: what the former one read is not taken for what this one asks for.
func (r *Reconciler) external(ctx context.Context, cred *v1alpha1.ClawCredential) (request, error) {
	desired := credential.ExternalSecret(cred)
	hash, err := stamp(desired)
	if err != nil {
		return request{}, err
	}
	live, err := r.externalSecret(ctx, cred)
	switch {
	case meta.IsNoMatchError(err):
		return notInstalled(), nil
	case err != nil:
		return request{}, err
	case live != nil && live.GetDeletionTimestamp() != nil:
		return waitingFor("waiting for a former ExternalSecret %q to be gone", live.GetName()), nil
	case live != nil && ours(live, cred) && live.GetAnnotations()[apply.AnnotationApplied] == hash:
		return request{uid: live.GetUID(), problem: problemOf(live), again: pace(live)}, nil
	case live != nil:
		if err := r.remove(ctx, live); err != nil {
			return request{}, err
		}
		if left, err := r.externalSecret(ctx, cred); err != nil || left != nil {
			return waitingFor("waiting for a former ExternalSecret %q to be gone", live.GetName()), err
		}
	}
	err = r.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(desired), apply.FieldOwner, client.ForceOwnership)
	switch {
	case meta.IsNoMatchError(err), apierrors.IsNotFound(err):
		return notInstalled(), nil
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return waitingFor("namespace %q is being deleted", cred.Namespace), nil
	case err != nil:
		return request{}, fmt.Errorf("apply ExternalSecret %s: %w", cred.Name, err)
	}
	return waitingFor("waiting for External Secrets Operator to read %s %q",
		cred.Spec.Source.ExternalSecret.SecretStoreRef.Kind, cred.Spec.Source.ExternalSecret.SecretStoreRef.Name), nil
}

// pace is slow where all is well.
func pace(live *unstructured.Unstructured) time.Duration {
	if ready, _ := readyOf(live); ready != string(metav1.ConditionTrue) {
		return externalSoon
	}
	return externalLater
}

// withdraw takes an ExternalSecret back that must not be any more. Unless it is sure that there may be one,
// it looks only when the credential has changed.
func (r *Reconciler) withdraw(ctx context.Context, cred *v1alpha1.ClawCredential, sure bool) error {
	judged := meta.FindStatusCondition(cred.Status.Conditions, v1alpha1.ConditionReady)
	changed := judged != nil && judged.ObservedGeneration != cred.Generation
	if !changed && (!sure || cred.Spec.Source.ExternalSecret == nil) {
		return nil
	}
	live, err := r.externalSecret(ctx, cred)
	switch {
	case meta.IsNoMatchError(err):
		return nil
	case err != nil:
		return err
	case live == nil || live.GetDeletionTimestamp() != nil || !controlled(live, cred):
		return nil
	default:
		return r.remove(ctx, live)
	}
}

// externalSecret reads the ExternalSecret of a credential's name, or nil.
func (r *Reconciler) externalSecret(ctx context.Context, cred *v1alpha1.ClawCredential) (*unstructured.Unstructured, error) {
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(credential.ExternalSecretKind)
	err := r.Live.Get(ctx, client.ObjectKeyFromObject(cred), live)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case meta.IsNoMatchError(err):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("read ExternalSecret %s: %w", cred.Name, err)
	}
	return live, nil
}

// remove deletes exactly the object that was seen.
func (r *Reconciler) remove(ctx context.Context, live *unstructured.Unstructured) error {
	uid := live.GetUID()
	err := r.Client.Delete(ctx, live, client.Preconditions{UID: &uid}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete ExternalSecret %s: %w", live.GetName(), err)
	}
	return nil
}

// stamp puts the hash of what is asked for into an annotation, by which it is known again.
func stamp(o *unstructured.Unstructured) (string, error) {
	data, err := json.Marshal(o.Object["spec"])
	if err != nil {
		return "", fmt.Errorf("stamp ExternalSecret %s: %w", o.GetName(), err)
	}
	sum := sha256.Sum256(data)
	hash := hex.EncodeToString(sum[:16])
	o.SetAnnotations(map[string]string{apply.AnnotationApplied: hash})
	return hash, nil
}

func controlled(live *unstructured.Unstructured, cred *v1alpha1.ClawCredential) bool {
	owner := metav1.GetControllerOf(live)
	return owner != nil && owner.UID == cred.UID
}

// ours tells whether an ExternalSecret is the credential's, and asks for what we ask for alone: others may
// note what they like beside it, and External Secrets Operator does, but nobody else writes its spec.
func ours(live *unstructured.Unstructured, cred *v1alpha1.ClawCredential) bool {
	for _, f := range live.GetManagedFields() {
		applied := f.Manager == v1alpha1.ManagedBy && f.Operation == metav1.ManagedFieldsOperationApply
		if applied || f.Subresource == "status" || f.FieldsV1 == nil {
			continue
		}
		fields, err := json.Marshal(f.FieldsV1)
		if err != nil || strings.Contains(string(fields), `"f:spec"`) || strings.Contains(string(fields), `"f:ownerReferences"`) {
			return false
		}
	}
	return controlled(live, cred)
}

// maxProblem bounds what is repeated of another operator's words.
const maxProblem = 256

// problemOf is what External Secrets Operator says is wrong, or "".
func problemOf(live *unstructured.Unstructured) string {
	ready, message := readyOf(live)
	if ready != string(metav1.ConditionFalse) {
		return ""
	}
	if message == "" {
		message = "the ExternalSecret is not ready"
	}
	if len(message) > maxProblem {
		message = strings.ToValidUTF8(message[:maxProblem], "") + "..."
	}
	return message
}

func readyOf(live *unstructured.Unstructured) (status, message string) {
	conditions, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == "Ready" {
			status, _ = c["status"].(string)
			message, _ = c["message"].(string)
		}
	}
	return status, message
}
