package v1alpha1

import (
	"context"
	"fmt"
	"strings"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/connector"
)

type credentialValidator struct{ *judge }

// ValidateCreate judges all of a new credential.
func (v *credentialValidator) ValidateCreate(ctx context.Context, c *v1alpha1.ClawCredential) (admission.Warnings, error) {
	return v.decide(ctx, c, "ClawCredential", func(r client.Reader, f *findings) error {
		reservedKeys(f, nil, c)
		return v.look(ctx, r, f, c)
	})
}

// ValidateUpdate judges what an update changes; to revoke a credential is always possible.
func (v *credentialValidator) ValidateUpdate(ctx context.Context, old, c *v1alpha1.ClawCredential) (admission.Warnings, error) {
	what := changed(old, c, &old.Spec, &c.Spec)
	if what == changeNothing || what == changeMetadata && v.byManager(ctx) {
		return nil, nil
	}
	revoked := old.Spec.DeepCopy()
	revoked.State = v1alpha1.CredentialRevoked
	return v.decide(ctx, c, "ClawCredential", func(r client.Reader, f *findings) error {
		reservedKeys(f, old, c)
		if what == changeMetadata || apiequality.Semantic.DeepEqual(revoked, &c.Spec) {
			return nil
		}
		return v.look(ctx, r, f, c)
	})
}

// ValidateDelete refuses nothing.
func (v *credentialValidator) ValidateDelete(context.Context, *v1alpha1.ClawCredential) (admission.Warnings, error) {
	return nil, nil
}

func (v *credentialValidator) look(ctx context.Context, r client.Reader, f *findings, c *v1alpha1.ClawCredential) error {
	pastedKeys(f, v.Catalogue, c.Spec)
	if _, err := inCage(ctx, r, f, c, "ClawCredential"); err != nil {
		return err
	}
	if v.unknownConnector(f, "spec.connector", c.Spec.Connector) || c.Spec.Source.Secret == nil {
		return nil
	}
	slots(f, v.Catalogue.Get(string(c.Spec.Connector)), c.Spec.Source.Secret.Keys)
	return v.bySomebodyWithTheKey(ctx, f, c)
}

// slots refuses a source that fills other slots than the connector has, or not all of them.
func slots(f *findings, conn *connector.Connector, keys map[string]string) {
	const path = "spec.source.secret.keys"
	has := strings.Join(keysOf(conn.Slots), ", ")
	for _, slot := range keysOf(keys) {
		if _, ok := conn.Slots[slot]; !ok {
			f.refuse(fmt.Sprintf("%s[%s]", path, slot), "connector %q has no such slot; its slots are %s", conn.Name, has)
		}
	}
	for _, slot := range keysOf(conn.Slots) {
		if keys[slot] == "" {
			f.refuse(path, "connector %q needs slot %s: say which key of the Secret holds it; its slots are %s", conn.Name, slot, has)
		}
	}
}
