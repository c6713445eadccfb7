package cel

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

func keyRefusals() []refusal {
	both := func(what string) []attack {
		rogue := claw(func(c *v1alpha1.Claw) {
			c.Name = "rogue"
			if what == "labels" {
				c.Labels = map[string]string{v1alpha1.LabelClaw: "other"}
			} else {
				c.Annotations = map[string]string{"clawstaff.dev/owner": "lee@acme.example"}
			}
		})
		out := []attack{{"create a Claw with " + what + " of ours", create(rogue)}}
		for _, obj := range marked() {
			kind := fmt.Sprintf("%T", obj)
			for _, change := range []struct{ name, value string }{{"add", `"clawstaff.dev/other":"x"`}, {"change", `"clawstaff.dev/mark":"theirs"`}, {"remove", `"clawstaff.dev/mark":null`}} {
				out = append(out, attack{change.name + " " + what + " of a " + kind, patch(obj, `{"metadata":{"`+what+`":{`+change.value+`}}}`)})
			}
			out = append(out, attack{"remove all " + what + " of a " + kind, patch(obj, `{"metadata":{"`+what+`":null}}`)})
		}
		return out
	}
	everybody := []string{"mallory", robot, glazier}
	return []refusal{
		{reservedKeys, "metadata.labels under clawstaff.dev/ are reserved", everybody, false, both("labels")},
		{reservedKeys, "metadata.annotations under clawstaff.dev/ are reserved", everybody, false, both("annotations")},
	}
}

// Other keys are people's, beside ours or not; and ours may stay where they are.
func TestOtherKeysArePeoples(t *testing.T) {
	kept(t)
	for _, obj := range marked() {
		obj, ok := obj.DeepCopyObject().(client.Object)
		if !ok {
			t.Fatal("no object")
		}
		for _, patch := range []string{`{"metadata":{"labels":{"team":"a","notclawstaff.dev/x":"y"},"annotations":{"team":"a"}}}`, `{"metadata":{"labels":{"team":null}}}`} {
			if err := as("mallory").Patch(t.Context(), obj, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
				t.Errorf("%T: %v", obj, err)
			}
		}
		if obj.GetLabels()["clawstaff.dev/mark"] != "ours" {
			t.Errorf("%T: our label is gone", obj)
		}
	}
}
