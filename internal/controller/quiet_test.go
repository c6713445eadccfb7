package controller_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// versions lists the resource versions of everything in a cage, and counts what the manager asked to be written.
func versions(t *testing.T, namespace string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, list := range []client.ObjectList{
		&v1alpha1.ClawList{}, &v1alpha1.ClawGrantList{}, &v1alpha1.ClawCredentialList{}, &v1alpha1.ClawPolicyList{}, &v1alpha1.ClawOrganizationList{},
		&corev1.SecretList{}, &corev1.ServiceList{}, &corev1.ServiceAccountList{}, &corev1.ConfigMapList{}, &corev1.ResourceQuotaList{}, &corev1.LimitRangeList{},
		&appsv1.DeploymentList{}, &appsv1.StatefulSetList{}, &networkingv1.NetworkPolicyList{}, &rbacv1.RoleList{}, &rbacv1.RoleBindingList{},
	} {
		if err := api.List(context.Background(), list, client.InNamespace(namespace)); err != nil {
			t.Fatal(err)
		}
		_ = meta.EachListItem(list, func(o runtime.Object) error {
			if item, ok := o.(client.Object); ok && (item.GetNamespace() != "" || item.GetName() == namespace) {
				out[kindOf(item)+" "+item.GetName()] = item.GetResourceVersion()
			}
			return nil
		})
	}
	return out
}

// TestQuiet is I11: at rest nothing is written, and looking again at everything writes nothing either.
func TestQuiet(t *testing.T) {
	c := newCage(t)
	c.policy()
	c.running("quiet")
	c.running("other")
	settled(t)

	// Every Claw is looked at again, because the directory has changed in a way that concerns none of them.
	look := func() {
		update(t, &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: c.name}}, func(o *v1alpha1.ClawOrganization) {
			o.Spec.Members[1].Identities["github"] = append(o.Spec.Members[1].Identities["github"], "lee-"+o.ResourceVersion)
		})
		settled(t)
	}
	look() // once more for the sibling that came later
	before, asked := versions(t, c.name), writesAbout(c.name)
	look()
	after := versions(t, c.name)
	organization := "ClawOrganization " + c.name
	if before[organization] == after[organization] {
		t.Error("the organization was not looked at")
	}
	delete(before, organization)
	delete(after, organization)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("something was written:\n%s", diff)
	}
	// Its new generation in its own status, and its policy's: nothing else.
	if n := writesAbout(c.name) - asked; n != 1 {
		t.Errorf("the manager asked the API server %d times to write, want once:\n%s", n, lastWrites())
	}
}

// settled waits until the manager has asked for no write for a second.
func settled(t *testing.T) {
	t.Helper()
	last, since := writes.Load(), time.Now()
	eventually(t, func() string {
		if now := writes.Load(); now != last {
			last, since = now, time.Now()
		}
		if time.Since(since) < time.Second {
			return "the manager keeps writing: " + lastWrites()
		}
		return ""
	})
}
