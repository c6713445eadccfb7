package controller_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// TestDirectory: an organization says whether all of its directory counts, and who of it does; what cannot be
// read heals by itself, and the cage is closed all the while.
func TestDirectory(t *testing.T) {
	file := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: "people-" + rand.String(5)}}
	name := "org-" + rand.String(6)
	create(t, organizationOf(name, func(o *v1alpha1.ClawOrganization) {
		o.Spec.DirectoryRefs = []v1alpha1.ConfigMapReference{{ConfigMap: v1alpha1.ObjectName(file.Name)}}
	}))
	c := cageOf{t, name}
	says := func(reason string, members int32, stalled metav1.ConditionStatus) {
		t.Helper()
		org := &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: name}}
		eventually(t, func() string {
			get(t, org)
			s := org.Status
			if problem := wants(s.Conditions, v1alpha1.ConditionDirectoryReady, reason); problem != "" {
				return problem
			}
			if wants(s.Conditions, v1alpha1.ConditionCageReady, v1alpha1.ReasonReady) != "" || wants(s.Conditions, v1alpha1.ConditionReady, reason) != "" ||
				s.Members != members || !meta.IsStatusConditionPresentAndEqual(s.Conditions, v1alpha1.ConditionStalled, stalled) {
				return brief(s.Conditions)
			}
			return ""
		})
		where := map[string]string{v1alpha1.ReasonReady: "", v1alpha1.ReasonIdentityContested: "kim@acme.example"}
		text, known := where[reason]
		if !known {
			text = file.Name
		}
		if message := meta.FindStatusCondition(org.Status.Conditions, v1alpha1.ConditionReady).Message; !strings.Contains(message, text) {
			t.Errorf("the message does not say what it is about: %s", message)
		}
	}
	says(v1alpha1.ReasonDirectoryMissing, 2, metav1.ConditionFalse)
	file.Data = map[string]string{"members.yaml": "members:\n- name: [\n"}
	create(t, file)
	says(v1alpha1.ReasonDirectoryMalformed, 2, metav1.ConditionTrue)
	write := func(text string) {
		update(t, file, func(cm *corev1.ConfigMap) { cm.Data = map[string]string{"members.yaml": text} })
	}
	write("members:\n- name: kim@acme.example\n  identities: {slack: [T01ACME/U01SARAH]}\n")
	says(v1alpha1.ReasonIdentityContested, 3, metav1.ConditionTrue)
	write("members:\n- name: kim@acme.example\n  identities: {slack: [T01ACME/U01KIM]}\n")
	says(v1alpha1.ReasonReady, 3, metav1.ConditionFalse)
	remove(t, file)
	says(v1alpha1.ReasonDirectoryMissing, 2, metav1.ConditionFalse)
	c.organizationReady(v1alpha1.ReasonDirectoryMissing)
}
