package v1alpha1

import (
	"context"
	"fmt"
	"strings"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/policy"
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
	revoked := old.Spec
	revoked.State = v1alpha1.CredentialRevoked
	return v.decide(ctx, c, "ClawCredential", func(r client.Reader, f *findings) error {
		reservedKeys(f, old, c)
		if what == changeMetadata || apiequality.Semantic.DeepEqual(&revoked, &c.Spec) {
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
	known := !v.unknownConnector(f, "spec.connector", c.Spec.Connector)
	if known {
		slots(f, v.Catalogue.Get(string(c.Spec.Connector)), &c.Spec.Source)
	}
	if c.Spec.Delivery == v1alpha1.DeliveryContainer {
		f.warn("spec.delivery is Container: the key is in the agent's memory too, and whoever talks the agent round can have it; with Gateway it never is")
	}
	s, err := v.surround(ctx, r, f, c, "ClawCredential")
	if err != nil || s == nil {
		return err
	}
	if !s.directory.IsMember(c.Spec.Claw.Owner) {
		f.refuse("spec.claw.owner", "%q is no member of ClawOrganization %q: name one of its directory, or have the platform add them there", c.Spec.Claw.Owner, s.organization.Name)
	}
	if err := v.byMembers(ctx, f, s, "spec.claw.owner", "a ClawCredential is written by the owner of its Claw", c.Namespace, c.Spec.Claw.Owner); err != nil {
		return err
	}
	claw, err := clawOf(ctx, f, s, c)
	if err != nil {
		return err
	}
	in, err := v.input(ctx, s, claw)
	if err != nil {
		return err
	}
	// How old the key is cannot be judged: this may be the change that replaces it.
	for _, w := range policy.CheckCredential(in, c, time.Time{}) {
		f.refuse(w.Path, "%s", w.Message)
	}
	if c.Spec.Source.Secret == nil {
		return nil
	}
	return v.lent(ctx, f, s, c)
}

// clawOf returns the Claw a credential is for, and refuses the credential where that Claw is not its owner's
// or is over. A Claw that is not there yet is what it will be: that name, of that owner.
func clawOf(ctx context.Context, f *findings, s *surroundings, c *v1alpha1.ClawCredential) (*v1alpha1.Claw, error) {
	expected := &v1alpha1.Claw{ObjectMeta: metav1.ObjectMeta{Name: string(c.Spec.Claw.Name), Namespace: c.Namespace}, Spec: v1alpha1.ClawSpec{Owner: c.Spec.Claw.Owner}}
	var claw v1alpha1.Claw
	err := s.reader.Get(ctx, client.ObjectKeyFromObject(expected), &claw, client.UnsafeDisableDeepCopy)
	switch {
	case apierrors.IsNotFound(err):
		return expected, nil
	case err != nil:
		return nil, fmt.Errorf("read Claw %s: %w", expected.Name, err)
	case claw.Spec.Owner != c.Spec.Claw.Owner:
		f.refuse("spec.claw.owner", "Claw %q has another owner than %q, and would not get the key: name a Claw of theirs", claw.Name, c.Spec.Claw.Owner)
		return expected, nil
	case claw.Spec.State == v1alpha1.ClawRevoked:
		f.refuse("spec.claw.name", "Claw %q is Revoked, and its credentials are revoked with it: name another Claw, or delete this one before its name is used again", claw.Name)
	}
	return &claw, nil
}

// slots refuses a source that fills other slots than the connector has, or not all of them.
func slots(f *findings, conn *connector.Connector, source *v1alpha1.CredentialSource) {
	path, fills, filled, how := "spec.source.secret.keys", "spec.source.secret.keys[%s]", map[string]bool{}, "say which key of the Secret holds it"
	if source.Secret != nil {
		for slot, key := range source.Secret.Keys {
			filled[slot] = key != ""
		}
	} else if source.ExternalSecret != nil {
		path, fills, how = "spec.source.externalSecret.data", "spec.source.externalSecret.data[%s]", "say where in the store it is"
		for _, d := range source.ExternalSecret.Data {
			filled[d.Slot] = true
		}
	}
	has := strings.Join(keysOf(conn.Slots), ", ")
	for _, slot := range keysOf(filled) {
		if _, ok := conn.Slots[slot]; !ok {
			f.refuse(fmt.Sprintf(fills, slot), "connector %q has no such slot; its slots are %s", conn.Name, has)
		}
	}
	for _, slot := range keysOf(conn.Slots) {
		if !filled[slot] {
			f.refuse(path, "connector %q needs slot %s: %s; its slots are %s", conn.Name, slot, how, has)
		}
	}
}
