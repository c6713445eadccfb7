// Package index names the fields that caches are indexed by, so that the work
// for a change is proportional to what it touches.
package index

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/credential"
)

// The indexed fields.
const (
	// OrganizationCage finds organizations by the name of their namespace.
	OrganizationCage = "cage"
	// OrganizationRuntimeClass finds organizations by the runtime class they ask for.
	OrganizationRuntimeClass = "runtimeClass"
	// OrganizationUpstreamCAs finds organizations by the ConfigMap of their roots.
	OrganizationUpstreamCAs = "upstreamCAs"
	// OrganizationDirectory finds organizations by the ConfigMaps of their directory.
	OrganizationDirectory = "directory"
	// ClawCredential finds Claws by the credentials they name.
	ClawCredential = "credential"
	// CredentialClaw finds credentials by the Claw they name.
	CredentialClaw = "claw"
	// CredentialSecret finds credentials by the Secret their key is read from.
	CredentialSecret = "secret"
	// CredentialFingerprint finds credentials, in all namespaces, by the fingerprints of their values.
	CredentialFingerprint = "fingerprint"
	// PodClaw finds pods by the Claw they are a part of.
	PodClaw = "claw"
	// BindingOrganization finds the RoleBindings that give the manager its rights in cages, by organization.
	BindingOrganization = "organization"
)

// Register adds every index.
func Register(ctx context.Context, indexer client.FieldIndexer) error {
	for _, i := range []struct {
		object client.Object
		field  string
		values client.IndexerFunc
	}{
		{&v1alpha1.ClawOrganization{}, OrganizationCage, of(func(o *v1alpha1.ClawOrganization) []string { return []string{o.Cage()} })},
		{&v1alpha1.ClawOrganization{}, OrganizationRuntimeClass, of(runtimeClass)},
		{&v1alpha1.ClawOrganization{}, OrganizationUpstreamCAs, of(upstreamCAs)},
		{&v1alpha1.ClawOrganization{}, OrganizationDirectory, of(directory)},
		{&v1alpha1.Claw{}, ClawCredential, of(cage.CredentialNames)},
		{&v1alpha1.ClawCredential{}, CredentialClaw, of(func(c *v1alpha1.ClawCredential) []string { return []string{string(c.Spec.Claw.Name)} })},
		{&v1alpha1.ClawCredential{}, CredentialSecret, of(sourceSecret)},
		{&v1alpha1.ClawCredential{}, CredentialFingerprint, of(func(c *v1alpha1.ClawCredential) []string { return c.Status.Fingerprints })},
		{&corev1.Pod{}, PodClaw, of(func(p *corev1.Pod) []string { return []string{p.Labels[v1alpha1.LabelClaw]} })},
		{&rbacv1.RoleBinding{}, BindingOrganization, of(bindingOrganization)},
	} {
		if err := indexer.IndexField(ctx, i.object, i.field, i.values); err != nil {
			return fmt.Errorf("index %T by %s: %w", i.object, i.field, err)
		}
	}
	return nil
}

// of turns a typed function into an indexer's.
func of[T client.Object](values func(T) []string) client.IndexerFunc {
	return func(o client.Object) []string {
		if t, ok := o.(T); ok {
			return values(t)
		}
		return nil
	}
}

func runtimeClass(o *v1alpha1.ClawOrganization) []string {
	if o.Spec.Sandbox.RuntimeClassName == "" {
		return nil
	}
	return []string{string(o.Spec.Sandbox.RuntimeClassName)}
}

func upstreamCAs(o *v1alpha1.ClawOrganization) []string {
	if o.Spec.UpstreamCAs == nil {
		return nil
	}
	return []string{string(o.Spec.UpstreamCAs.ConfigMap)}
}

func directory(o *v1alpha1.ClawOrganization) []string {
	var out []string
	for _, ref := range o.Spec.DirectoryRefs {
		out = append(out, string(ref.ConfigMap))
	}
	return out
}

func bindingOrganization(b *rbacv1.RoleBinding) []string {
	if b.Name != cage.ManagerBinding {
		return nil
	}
	return []string{b.Labels[v1alpha1.LabelOrganization]}
}

func sourceSecret(c *v1alpha1.ClawCredential) []string {
	if name := credential.SourceName(c); name != "" {
		return []string{name}
	}
	return nil
}

// OrganizationOf returns the organization whose cage a namespace is, or nil. Where two claim it, it is
// the one that has it: the other one stays Stalled.
func OrganizationOf(ctx context.Context, c client.Reader, namespace string) (*v1alpha1.ClawOrganization, error) {
	var list v1alpha1.ClawOrganizationList
	if err := c.List(ctx, &list, client.MatchingFields{OrganizationCage: namespace}); err != nil {
		return nil, fmt.Errorf("find the organization of namespace %s: %w", namespace, err)
	}
	for i := range list.Items {
		if list.Items[i].Status.Namespace == namespace {
			return &list.Items[i], nil
		}
	}
	if len(list.Items) == 1 {
		return &list.Items[0], nil
	}
	return nil, nil
}
