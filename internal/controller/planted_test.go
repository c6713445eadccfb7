package controller_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// TestPlantedRoleBindings: a namespace that is to be adopted may hold the roles for people, and no right that
// somebody put there before it was closed; when that is gone, it is adopted.
func TestPlantedRoleBindings(t *testing.T) {
	name := "planted-" + rand.String(5)
	create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{v1alpha1.LabelOrganization: name}}})
	bind := func(binding, role string) *rbacv1.RoleBinding {
		return &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: binding},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{Kind: "Group", APIGroup: rbacv1.GroupName, Name: "support"}},
		}
	}
	members, planted := bind("members", "clawstaff-member"), bind("planted", "edit")
	create(t, members, planted, organizationOf(name))
	c := cageOf{t, name}
	org := c.organizationReady(v1alpha1.ReasonNamespaceNotEmpty)
	ready := meta.FindStatusCondition(org.Status.Conditions, v1alpha1.ConditionReady)
	if want := "RoleBinding planted"; !strings.Contains(ready.Message, want) || strings.Contains(ready.Message, "members") {
		t.Errorf("the message is to name %s and no other: %s", want, ready.Message)
	}
	remove(t, planted)
	c.organizationReady(v1alpha1.ReasonReady)
	if !get(t, members) {
		t.Error("what people were given is gone")
	}
}
