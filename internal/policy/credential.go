package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// CheckCredential says why the policies over the Claw do not let it use a credential, by paths in the
// credential; nothing if they do. The Claw may not exist yet: its name and owner are what policies select by.
// RotatedAt is when the value was last changed; zero if that is not known yet.
func CheckCredential(in Input, cred *v1alpha1.ClawCredential, rotatedAt time.Time) []v1alpha1.Withheld {
	if cred == nil {
		return nil
	}
	claw := &v1alpha1.Claw{}
	claw.Namespace, claw.Name, claw.Spec.Owner = cred.Namespace, string(cred.Spec.Claw.Name), cred.Spec.Claw.Owner
	in.Claw = claw
	return NewCredentialCheck(in).Check(cred, rotatedAt)
}

// CredentialCheck judges the credentials of one Claw: what policies say of it is gathered once for all.
type CredentialCheck struct {
	ceiling ceiling
	claw    string
	now     time.Time
}

// NewCredentialCheck gathers what the policies over in.Claw say of its credentials.
func NewCredentialCheck(in Input) *CredentialCheck {
	return &CredentialCheck{ceiling: newCeiling(&in, directoryOf(in), in.Claw), claw: in.Claw.Name, now: in.Now}
}

// Check is CheckCredential for a credential whose spec.claw is that Claw.
func (c *CredentialCheck) Check(cred *v1alpha1.ClawCredential, rotatedAt time.Time) []v1alpha1.Withheld {
	k := key{source: &cred.Spec.Source, delivery: cred.Spec.Delivery, rotatedAt: rotatedAt, fresh: rotatedAt.IsZero(), claw: c.claw}
	var out []v1alpha1.Withheld
	for _, m := range c.ceiling.misfits(k, c.now) {
		same := func(w v1alpha1.Withheld) bool { return w.Path == m.path }
		if len(out) < maxWithheld && !slices.ContainsFunc(out, same) { // the first reason for a path stands
			out = append(out, v1alpha1.Withheld{Path: m.path, Reason: m.reason, Policy: m.policy, Message: cut(m.message, maxMessage)})
		}
	}
	return out
}

// CredentialOutlives is when a credential that fits now will not any more, because its value is too old by then;
// zero if that does not happen by itself.
func CredentialOutlives(in Input, cred *v1alpha1.ClawCredential, rotatedAt time.Time) time.Time {
	if cred == nil || rotatedAt.IsZero() {
		return time.Time{}
	}
	claw := &v1alpha1.Claw{}
	claw.Namespace, claw.Name, claw.Spec.Owner = cred.Namespace, string(cred.Spec.Claw.Name), cred.Spec.Claw.Owner
	c := newCeiling(&in, directoryOf(in), claw)
	if _, days, ok := c.maxAge(); ok && in.Now.Before(after(rotatedAt, days)) {
		return after(rotatedAt, days)
	}
	return time.Time{}
}

// key is what policies judge a credential by.
type key struct {
	source    *v1alpha1.CredentialSource
	delivery  v1alpha1.Delivery
	rotatedAt time.Time
	fresh     bool // it was not read yet, so its age is no matter
	claw      string
}

// misfit is one thing in a credential that is not as policies want it.
type misfit struct {
	path    string
	reason  v1alpha1.WithheldReason
	policy  string
	message string
}

// misfits lists all that is wrong with a key.
func (c *ceiling) misfits(k key, now time.Time) []misfit {
	var out []misfit
	required := func(path string, by source, asked, requires, remedy string) {
		out = append(out, misfit{path, v1alpha1.WithheldRequired, by.policy(), requirement(by, asked, requires, remedy)})
	}
	delivery := k.delivery
	if delivery == "" {
		delivery = v1alpha1.DeliveryGateway
	}
	for _, r := range c.require {
		require := &r.rule.Credentials
		if kinds := kindsOf(k.source); len(require.Sources) > 0 && !subset(kinds, require.Sources) {
			required("spec.source", r.by, "asked for a key from source "+list(kinds), "one of the sources "+list(require.Sources), "take the key from there")
		}
		if len(require.Delivery) > 0 && !slices.Contains(require.Delivery, delivery) {
			required("spec.delivery", r.by, fmt.Sprintf("asked for delivery %s", delivery), "one of the deliveries "+list(require.Delivery), "set spec.delivery to that")
		}
	}
	if by, days, ok := c.maxAge(); ok && !k.fresh && !k.youngerThan(days, now) {
		age := "the key's age is not known"
		if !k.rotatedAt.IsZero() {
			age = "the key was last changed at " + stamp(k.rotatedAt)
		}
		required("status.lastRotatedAt", by, age, fmt.Sprintf("a change every %d days", days), "replace the key's value at its source")
	}
	if e := k.source.ExternalSecret; e != nil {
		out = append(out, c.storeMisfits(e, k.claw)...)
	}
	return out
}

// youngerThan reports whether the key was changed less than some days ago. One of unknown age, or judged at no time, was not.
func (k *key) youngerThan(days int32, now time.Time) bool {
	return !k.rotatedAt.IsZero() && !now.IsZero() && now.Before(after(k.rotatedAt, days))
}

// maxAge is the least that is required.
func (c *ceiling) maxAge() (by source, days int32, ok bool) {
	for _, r := range c.require {
		if d := r.rule.Credentials.MaxAgeDays; d != 0 && (!ok || d < days) {
			by, days, ok = r.by, d, true
		}
	}
	return by, days, ok
}

// kindsOf lists where a key comes from: the schema allows one, and who has more must fit by all.
func kindsOf(s *v1alpha1.CredentialSource) []v1alpha1.SourceKind {
	var out []v1alpha1.SourceKind
	if s.ExternalSecret != nil {
		out = append(out, v1alpha1.SourceExternalSecret)
	}
	if s.Secret != nil {
		out = append(out, v1alpha1.SourceSecret)
	}
	return out
}

// subset reports whether there are kinds, and all of them are among the required.
func subset(kinds, required []v1alpha1.SourceKind) bool {
	return len(kinds) > 0 && !slices.ContainsFunc(kinds, func(k v1alpha1.SourceKind) bool { return !slices.Contains(required, k) })
}

// storeMisfits judges where in a store of External Secrets a key is: somebody must allow it, and nobody deny it.
func (c *ceiling) storeMisfits(e *v1alpha1.ExternalSecretSource, claw string) []misfit {
	const path = "spec.source.externalSecret"
	var out []misfit
	for _, d := range c.deny.stores {
		if d.rule.StoreReference == e.SecretStoreRef && len(d.rule.Keys) == 0 {
			out = append(out, deniedStore(path+".secretStoreRef", d.by, "store "+nameOf(e.SecretStoreRef)))
		}
	}
	known := false
	for _, a := range c.allow.stores {
		known = known || a.rule.StoreReference == e.SecretStoreRef && len(a.rule.Keys) > 0
	}
	if !known {
		return append(out, c.storeNotAllowed(path+".secretStoreRef", "store "+nameOf(e.SecretStoreRef), claw))
	}
	for i, item := range e.Data {
		if by, ok := c.keyDenied(e.SecretStoreRef, item.Key); ok {
			out = append(out, deniedStore(fmt.Sprintf("%s.data[%d].key", path, i), by, fmt.Sprintf("key %q of store %s", item.Key, nameOf(e.SecretStoreRef))))
		} else if !c.keyAllowed(e.SecretStoreRef, item.Key) {
			out = append(out, c.storeNotAllowed(fmt.Sprintf("%s.data[%d].key", path, i), fmt.Sprintf("key %q of store %s", item.Key, nameOf(e.SecretStoreRef)), claw))
		}
	}
	return out
}

func (c *ceiling) keyDenied(store v1alpha1.StoreReference, key string) (source, bool) {
	for _, d := range c.deny.stores {
		if d.rule.StoreReference == store && slices.ContainsFunc(d.rule.Keys, func(p v1alpha1.Pattern) bool { return deniesKey(p, key) }) {
			return d.by, true
		}
	}
	return source{}, false
}

func (c *ceiling) keyAllowed(store v1alpha1.StoreReference, key string) bool {
	for _, a := range c.allow.stores {
		if a.rule.StoreReference == store && slices.ContainsFunc(a.rule.Keys, func(p v1alpha1.Pattern) bool {
			_, prefix, _ := split(p)
			return Matches(p, key) && (!prefix || !climbs(key))
		}) {
			return true
		}
	}
	return false
}

func nameOf(s v1alpha1.StoreReference) string { return fmt.Sprintf("%s/%s", s.Kind, s.Name) }

func deniedStore(path string, by source, what string) misfit {
	return misfit{path, v1alpha1.WithheldDenied, by.policy(),
		fmt.Sprintf("asked for %s; %s denies it, and a denial wins over every allow: take the key from elsewhere, or %s", what, by, by.change())}
}

func (c *ceiling) storeNotAllowed(path, what, claw string) misfit {
	var allowed offer
	for _, a := range c.allow.stores {
		for _, p := range a.rule.Keys {
			allowed.add(a.by, fmt.Sprintf("%s %s", nameOf(a.rule.StoreReference), p))
		}
	}
	return misfit{path, v1alpha1.WithheldNotAllowed, "",
		fmt.Sprintf("asked for %s; %s", what, c.instead(fmt.Sprintf("Claw %q", claw), "stores and keys", &allowed))}
}
