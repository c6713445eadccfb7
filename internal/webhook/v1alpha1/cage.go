package v1alpha1

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// cageOf returns the organization whose cage a namespace is, or nil where it is none: the namespace says
// whose it is by a label only the manager can set, and the organization must say the same.
func cageOf(ctx context.Context, r client.Reader, namespace string) (*v1alpha1.ClawOrganization, error) {
	label, err := organizationLabel(ctx, r, namespace)
	if err != nil || label == "" {
		return nil, err
	}
	var org v1alpha1.ClawOrganization
	if err := r.Get(ctx, client.ObjectKey{Name: label}, &org, client.UnsafeDisableDeepCopy); err != nil {
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
	if err := r.Get(ctx, client.ObjectKey{Name: namespace}, &ns, client.UnsafeDisableDeepCopy); err != nil {
		return "", client.IgnoreNotFound(err)
	}
	return ns.Labels[v1alpha1.LabelOrganization], nil
}

// neverACage reports whether a namespace is Kubernetes' or the operator's own.
func (j *judge) neverACage(namespace string) bool {
	return namespace == "default" || namespace == j.Namespace || strings.HasPrefix(namespace, "kube-")
}

// surroundings are what an object in a cage is judged by, all read by one reader. They may be the cache's
// own: whoever looks at them changes nothing of them.
type surroundings struct {
	reader       client.Reader
	organization *v1alpha1.ClawOrganization
	directory    *policy.Directory
	now          time.Time
}

// surround finds an object's surroundings, and refuses it where it is in no cage; then there are none.
func (j *judge) surround(ctx context.Context, r client.Reader, f *findings, obj client.Object, kind string) (*surroundings, error) {
	org, err := cageOf(ctx, r, obj.GetNamespace())
	if err != nil {
		return nil, err
	}
	if org == nil {
		remedy := ""
		if !j.neverACage(obj.GetNamespace()) {
			remedy = fmt.Sprintf(", or have the platform create a ClawOrganization with spec.namespace %q", obj.GetNamespace())
		}
		f.refuse("metadata.namespace", "namespace %q is no organization's cage: create the %s in the namespace of a ClawOrganization%s", obj.GetNamespace(), kind, remedy)
		return nil, nil
	}
	dir, _, err := j.Directory.OfWith(ctx, j.configMaps(r), org)
	if err != nil {
		return nil, err
	}
	return &surroundings{reader: r, organization: org, directory: dir, now: j.Clock.Now()}, nil
}

// configMaps is who reads ConfigMaps of the operator's namespace: those are not in the manager's own cache.
func (j *judge) configMaps(r client.Reader) client.Reader {
	if r == j.live {
		return j.live
	}
	return j.Directory.Client
}

// input is what a Claw's request is judged by.
func (j *judge) input(ctx context.Context, s *surroundings, claw *v1alpha1.Claw) (policy.Input, error) {
	policies, err := j.policiesOver(ctx, s, claw)
	if err != nil {
		return policy.Input{}, err
	}
	class, err := s.runtimeClass(ctx)
	return policy.Input{
		Organization: s.organization, Directory: s.directory, Claw: claw, Policies: policies,
		Catalogue: j.Catalogue, RuntimeClassName: class, Now: s.now, SkipCredentials: true,
	}, err
}

// runtimeClass is what agents of the organization run in: where the class it prefers is missing, the cluster's default.
func (s *surroundings) runtimeClass(ctx context.Context) (string, error) {
	sandbox := s.organization.Spec.Sandbox
	if sandbox.RuntimeClass != v1alpha1.RuntimeClassPreferred || sandbox.RuntimeClassName == "" {
		return string(sandbox.RuntimeClassName), nil
	}
	var class nodev1.RuntimeClass
	err := s.reader.Get(ctx, client.ObjectKey{Name: string(sandbox.RuntimeClassName)}, &class, client.UnsafeDisableDeepCopy)
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	return string(sandbox.RuntimeClassName), err
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
