package claw

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/controller/apply"
	credentialcontroller "github.com/clawstaff/clawstaff/internal/controller/credential"
	"github.com/clawstaff/clawstaff/internal/credential"
	"github.com/clawstaff/clawstaff/internal/pki"
	"github.com/clawstaff/clawstaff/internal/policy"
	"github.com/clawstaff/clawstaff/internal/secret"
)

// caLife is long: agents read the certificate once, when they start.
const caLife = 10 * 365 * 24 * time.Hour

// credentialFact is one credential the Claw names.
type credentialFact struct {
	name string
	// usable is set when the Claw may use it now; otherwise reason and message say why not.
	usable          *v1alpha1.GrantCredential
	reason, message string
	// barred means that nothing but policies keep the Claw from using it, and the compiler says which.
	barred bool
	object *v1alpha1.ClawCredential
}

// observeCredentials reads the credentials the Claw names, as their own controller has judged them.
func (r *Reconciler) observeCredentials(ctx context.Context, claw *v1alpha1.Claw, f *facts) error {
	for _, name := range cage.CredentialNames(claw) {
		var c v1alpha1.ClawCredential
		err := r.Client.Get(ctx, client.ObjectKey{Namespace: claw.Namespace, Name: name}, &c)
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("read ClawCredential %s: %w", name, err)
		}
		if err != nil {
			f.credentials = append(f.credentials, credentialFact{name: name, reason: v1alpha1.ReasonDependencyNotReady,
				message: fmt.Sprintf("ClawCredential %q does not exist", name)})
			continue
		}
		f.credentials = append(f.credentials, judge(claw, &c))
	}
	return nil
}

// judge says whether the Claw may use a credential now.
func judge(claw *v1alpha1.Claw, c *v1alpha1.ClawCredential) credentialFact {
	out := credentialFact{name: c.Name, object: c}
	ready := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady)
	refuse := func(reason, message string) credentialFact {
		out.reason, out.message = reason, fmt.Sprintf("ClawCredential %q: %s", c.Name, message)
		return out
	}
	switch {
	case c.DeletionTimestamp != nil:
		return refuse(v1alpha1.ReasonDependencyNotReady, "it is being deleted")
	case c.Spec.State == v1alpha1.CredentialRevoked:
		return refuse(v1alpha1.ReasonCredentialRevoked, "it is Revoked")
	case string(c.Spec.Claw.Name) != claw.Name:
		return refuse(v1alpha1.ReasonClawMismatch, "it is for another Claw: spec.claw.name must be this one")
	case ready == nil || ready.ObservedGeneration != c.Generation:
		return refuse(v1alpha1.ReasonDependencyNotReady, "it has not been looked at yet")
	case ready.Status != metav1.ConditionTrue && ready.Reason == v1alpha1.ReasonRevoked:
		return refuse(v1alpha1.ReasonCredentialRevoked, ready.Message)
	case ready.Status != metav1.ConditionTrue:
		out.barred = byPolicy[ready.Reason]
		return refuse(ready.Reason, ready.Message)
	case c.Status.ClawUID != string(claw.UID) || c.Spec.Claw.Owner != claw.Spec.Owner:
		return refuse(v1alpha1.ReasonDependencyNotReady, "it is not bound to this Claw yet")
	}
	granted := granted(c)
	out.usable = &granted
	return out
}

// byPolicy are the reasons for which a credential is not ready that policies give.
var byPolicy = map[string]bool{
	v1alpha1.ReasonSourceNotAllowed: true, v1alpha1.ReasonStoreNotAllowed: true,
	v1alpha1.ReasonDeliveryNotAllowed: true, v1alpha1.ReasonKeyTooOld: true,
}

// granted is a credential as a grant lists it.
func granted(c *v1alpha1.ClawCredential) v1alpha1.GrantCredential {
	return v1alpha1.GrantCredential{
		Name: v1alpha1.ObjectName(c.Name), Connector: c.Spec.Connector, Version: c.Status.Version,
		Slots: credential.SlotNames(c), Delivery: c.Spec.Delivery,
	}
}

// usable lists the credentials the compiler judges: those that can be used, and with barred those that
// policies keep from being so, for it to say by which one.
func (f *facts) usable(barred bool) []policy.UsableCredential {
	var out []policy.UsableCredential
	for _, c := range f.credentials {
		if c.usable == nil && (!barred || !c.barred) {
			continue
		}
		u := policy.UsableCredential{GrantCredential: granted(c.object), Source: c.object.Spec.Source}
		if at := c.object.Status.LastRotatedAt; at != nil {
			u.RotatedAt = at.Time
		}
		out = append(out, u)
	}
	return out
}

// grantsBarred tells whether the grant lists a credential that its own controller has not let go yet.
func (f *facts) grantsBarred() bool {
	return slices.ContainsFunc(f.result.Grant.Credentials, func(g v1alpha1.GrantCredential) bool {
		return slices.ContainsFunc(f.credentials, func(c credentialFact) bool { return c.barred && c.name == string(g.Name) })
	})
}

// observeKeys reads the Claw's own keys, or makes them, and gathers the values of the credentials that
// the grant uses.
func (r *Reconciler) observeKeys(ctx context.Context, claw *v1alpha1.Claw, f *facts) error {
	var kept corev1.Secret
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: claw.Namespace, Name: cage.GatewayName(claw.Name)}, &kept)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("read the gateway's Secret: %w", err)
	}
	if !apply.Ours(&kept, claw.UID) || string(kept.Type) != cage.SecretTypeGateway {
		kept = corev1.Secret{} // none, planted, or tampered with: somebody may know what is in it
	}
	if f.keys, err = keysOf(claw, kept.Data, r.Clock.Now()); err != nil {
		return err
	}
	f.slots = map[string][]byte{}
	if f.result.Grant.State != v1alpha1.GrantActive {
		return nil // a gateway that denies everything needs no key
	}
	for _, granted := range f.result.Grant.Credentials {
		if err := r.slots(ctx, f, granted, kept.Data); err != nil {
			return err
		}
	}
	return nil
}

// slots adds the values of one credential, of exactly the version that was judged. While a rotation is
// being judged, the gateway keeps what it has.
func (r *Reconciler) slots(ctx context.Context, f *facts, granted v1alpha1.GrantCredential, kept map[string][]byte) error {
	object := f.credential(string(granted.Name))
	if object == nil {
		return nil
	}
	values, err := credentialcontroller.Read(ctx, r.Live, object, r.Catalogue)
	if err != nil || r.Hasher.Version(values) != granted.Version {
		values = credential.Slots{}
		for _, slot := range granted.Slots {
			if v, ok := kept[cage.CredentialKey(object.Name, slot)]; ok {
				values[slot] = secret.New(v)
			}
		}
		if r.Hasher.Version(values) != granted.Version {
			return nil // its controller is about to say so
		}
	}
	for slot, v := range values {
		f.slots[cage.CredentialKey(object.Name, slot)] = v.Reveal()
	}
	return nil
}

func (f *facts) credential(name string) *v1alpha1.ClawCredential {
	for _, c := range f.credentials {
		if c.name == name {
			return c.object
		}
	}
	return nil
}

// keysOf keeps the keys there are and makes those that are missing. They are made once.
func keysOf(claw *v1alpha1.Claw, kept map[string][]byte, now time.Time) (cage.Keys, error) {
	k := cage.Keys{
		CACert: kept[cage.KeyCACert], CAKey: kept[cage.KeyCAKey],
		ProxyPassword: kept[cage.KeyProxyPassword], ResignSecret: kept[cage.KeyResignSecret],
	}
	if !(pki.Pair{Cert: k.CACert, Key: k.CAKey}).Readable() {
		ca, err := pki.NewCA(fmt.Sprintf("Claw %s/%s", claw.Namespace, claw.Name), now, caLife)
		if err != nil {
			return k, err
		}
		k.CACert, k.CAKey = ca.Cert, ca.Key
	}
	if len(k.ProxyPassword) == 0 {
		k.ProxyPassword = random()
	}
	if len(k.ResignSecret) == 0 {
		k.ResignSecret = random()
	}
	return k, nil
}

// random is 192 bits as text that needs no escaping anywhere.
func random() []byte {
	raw := make([]byte, 24)
	_, _ = rand.Read(raw) // never fails
	return []byte(base64.RawURLEncoding.EncodeToString(raw))
}

// upstreamCA reads the organization's own roots from the operator's namespace.
func (r *Reconciler) upstreamCA(ctx context.Context, f *facts) ([]byte, error) {
	ref := f.organization.Spec.UpstreamCAs
	if ref == nil {
		return nil, nil
	}
	var cm corev1.ConfigMap
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: r.Settings.OperatorNamespace, Name: string(ref.ConfigMap)}, &cm)
	if apierrors.IsNotFound(err) {
		// Without them some providers are not believed, which is safe; and it says so in no other place.
		f.rootsMissing = fmt.Sprintf("ConfigMap %q of the operator's namespace, with the organization's own roots, does not exist", ref.ConfigMap)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the organization's roots: %w", err)
	}
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(cm.Data)) {
		text.WriteString(cm.Data[key])
		text.WriteString("\n")
	}
	roots, err := pki.Certificates([]byte(text.String()))
	if err != nil {
		f.rootsMissing = fmt.Sprintf("ConfigMap %q of the operator's namespace, with the organization's own roots: %v", ref.ConfigMap, err)
		return nil, nil
	}
	return roots, nil
}
