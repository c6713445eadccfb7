package v1alpha1

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// cageOf returns the organization whose cage a namespace is, or nil where it is none: the namespace says
// whose it is by a label only the manager can set, and the organization must say the same.
func cageOf(ctx context.Context, r client.Reader, namespace string) (*v1alpha1.ClawOrganization, error) {
	label, err := organizationLabel(ctx, r, namespace)
	if err != nil || label == "" {
		return nil, err
	}
	var org v1alpha1.ClawOrganization
	if err := r.Get(ctx, client.ObjectKey{Name: label}, &org); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	if org.Cage() != namespace {
		return nil, nil
	}
	return &org, nil
}

// organizationLabel returns which organization a namespace says it is of; empty where it is of none or missing.
func organizationLabel(ctx context.Context, r client.Reader, namespace string) (string, error) {
	ns := metav1.PartialObjectMetadata{}
	ns.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := r.Get(ctx, client.ObjectKey{Name: namespace}, &ns); err != nil {
		return "", client.IgnoreNotFound(err)
	}
	return ns.Labels[v1alpha1.LabelOrganization], nil
}

// inCage returns the organization of an object's namespace, and refuses the object where there is none.
func inCage(ctx context.Context, r client.Reader, f *findings, obj client.Object, kind string) (*v1alpha1.ClawOrganization, error) {
	org, err := cageOf(ctx, r, obj.GetNamespace())
	if err == nil && org == nil {
		f.refuse("metadata.namespace", "namespace %q is no organization's cage: create the %s in the namespace of a ClawOrganization, or have the platform create a ClawOrganization with spec.namespace %q",
			obj.GetNamespace(), kind, obj.GetNamespace())
	}
	return org, err
}

// unknownConnector refuses a connector the catalogue lacks.
func (j *judge) unknownConnector(f *findings, path string, name v1alpha1.ConnectorName) bool {
	if j.Catalogue.Known(string(name)) {
		return false
	}
	f.refuse(path, "the catalogue has no connector %q; it has %s", name, strings.Join(j.Catalogue.Names(), ", "))
	return true
}

// keysOf returns the keys of all maps, sorted.
func keysOf[V any](of ...map[string]V) []string {
	all := map[string]V{}
	for _, m := range of {
		maps.Copy(all, m)
	}
	return slices.Sorted(maps.Keys(all))
}

// forbidden is a refusal of an operation rather than of an object's content.
func forbidden(resource string, obj client.Object, format string, args ...any) error {
	return apierrors.NewForbidden(v1alpha1.GroupVersion.WithResource(resource).GroupResource(), obj.GetName(), fmt.Errorf(format, args...))
}
