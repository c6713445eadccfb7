package apply

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/json"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
)

// AnnotationApplied holds the hash of what was applied last. Together with a comparison of the live
// object it tells, without a write, that nothing needs to be written: the comparison finds what was
// changed, the hash what is no longer wanted.
const AnnotationApplied = "clawstaff.dev/applied"

// stamp puts the hash of the object's content into its annotations.
func stamp(o cage.Object) (string, error) {
	field := reflect.ValueOf(o).Elem().FieldByName("ObjectMetaApplyConfiguration")
	if !field.IsValid() {
		return "", fmt.Errorf("%T has no metadata", o)
	}
	meta, ok := field.Interface().(*metav1ac.ObjectMetaApplyConfiguration)
	if !ok || meta == nil {
		return "", fmt.Errorf("%T has no metadata", o)
	}
	delete(meta.Annotations, AnnotationApplied)
	data, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	hash := hex.EncodeToString(sum[:16])
	if meta.Annotations == nil {
		meta.Annotations = map[string]string{}
	}
	meta.Annotations[AnnotationApplied] = hash
	return hash, nil
}

func hashOf(live client.Object) string { return live.GetAnnotations()[AnnotationApplied] }

// Ours tells whether an object is the controller's child, and nobody else wrote into it. Whoever writes
// chooses the name it is noted under, but we only ever apply.
func Ours(live client.Object, controller types.UID) bool {
	if controller != "" {
		owner := metav1.GetControllerOf(live)
		if owner == nil || owner.UID != controller || len(live.GetOwnerReferences()) != 1 {
			return false
		}
	}
	for _, f := range live.GetManagedFields() {
		applied := f.Manager == v1alpha1.ManagedBy && f.Operation == metav1.ManagedFieldsOperationApply
		if !applied && f.Subresource != "status" && !kubernetes[f.Manager] {
			return false
		}
	}
	return true
}

// kubernetes' own controllers write into objects they look after.
var kubernetes = map[string]bool{
	"kube-controller-manager": true, "kube-apiserver": true, "kube-scheduler": true,
	"k3s": true, "cloud-controller-manager": true,
}

// covers tells whether a live object says everything that is desired. It may say more: defaults.
func covers(live client.Object, desired cage.Object) bool {
	have, err := runtime.DefaultUnstructuredConverter.ToUnstructured(live)
	if err != nil {
		return false
	}
	data, err := json.Marshal(desired)
	if err != nil {
		return false
	}
	var want map[string]any
	if err := json.Unmarshal(data, &want); err != nil {
		return false
	}
	delete(want, "apiVersion") // typed objects do not carry these
	delete(want, "kind")
	return contains(have, want)
}

func contains(have, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		have, _ := have.(map[string]any)
		for k, w := range want {
			if !contains(have[k], w) {
				return false
			}
		}
		return true
	case []any:
		have, _ := have.([]any)
		if len(have) != len(want) {
			return false
		}
		for i := range want {
			if !contains(have[i], want[i]) {
				return false
			}
		}
		return true
	default:
		return reflect.DeepEqual(have, want) || (have == nil && isEmpty(want))
	}
}

// isEmpty tells what a typed object leaves out: an absent field and its zero value are the same.
func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case int64:
		return v == 0
	case string:
		return v == ""
	default:
		return false
	}
}
