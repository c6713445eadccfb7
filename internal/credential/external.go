package credential

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// ExternalSecretKind is how External Secrets Operator is asked to read a store.
var ExternalSecretKind = schema.GroupVersionKind{Group: "external-secrets.io", Version: "v1", Kind: "ExternalSecret"}

// TargetName names the Secret that External Secrets Operator makes for a credential.
func TargetName(credential string) string { return credential + "-external" }

// ExternalSecret asks for the slots of a credential from the store it names, as a Secret that a credential
// can be read from: of our type, and naming this credential. It is nil for a credential of another source.
func ExternalSecret(cred *v1alpha1.ClawCredential) *unstructured.Unstructured {
	from := cred.Spec.Source.ExternalSecret
	if from == nil {
		return nil
	}
	var data []any
	for _, d := range from.Data {
		remote := map[string]any{"key": d.Key}
		if d.Property != "" {
			remote["property"] = d.Property
		}
		data = append(data, map[string]any{"secretKey": d.Slot, "remoteRef": remote})
	}
	out := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"refreshInterval": fmt.Sprintf("%ds", from.RefreshIntervalSeconds),
		"secretStoreRef":  map[string]any{"kind": string(from.SecretStoreRef.Kind), "name": string(from.SecretStoreRef.Name)},
		"target": map[string]any{
			"name": TargetName(cred.Name),
			// What is taken out of the store is taken from the Claw.
			"creationPolicy": "Owner", "deletionPolicy": "Delete",
			"template": map[string]any{
				"type":     v1alpha1.SecretTypeCredential,
				"metadata": map[string]any{"annotations": map[string]any{v1alpha1.AnnotationCredential: cred.Name}},
			},
		},
		"data": data,
	}}}
	out.SetGroupVersionKind(ExternalSecretKind)
	out.SetNamespace(cred.Namespace)
	out.SetName(cred.Name)
	out.SetLabels(map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy})
	yes := true
	out.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: "ClawCredential", Name: cred.Name, UID: cred.UID, Controller: &yes,
	}})
	return out
}
