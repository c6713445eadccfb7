// Package credential reads keys from where people keep them, and tells whether
// two of them are the same without keeping either.
package credential

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/secret"
)

// Slots are the values of a credential, by the connector's slot.
type Slots map[string]secret.Value

// Names lists the slots in order.
func (s Slots) Names() []string { return slices.Sorted(maps.Keys(s)) }

// Refusal says why a source cannot be used, and how to mend it. It never holds a value.
type Refusal struct {
	// Reason is one of the condition reasons.
	Reason string
	// Message is for people.
	Message string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Message }

func refuse(reason, format string, args ...any) error {
	return &Refusal{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// SourceName names the Secret that a credential's key is read from; empty if it has no source.
func SourceName(cred *v1alpha1.ClawCredential) string {
	switch source := cred.Spec.Source; {
	case source.Secret != nil:
		return string(source.Secret.Name)
	case source.ExternalSecret != nil:
		return TargetName(cred.Name)
	default:
		return ""
	}
}

// SlotNames are the connector's slots that a credential says it fills, in order.
func SlotNames(cred *v1alpha1.ClawCredential) []string {
	return slices.Sorted(maps.Keys(keysOf(cred)))
}

// keysOf says under which key of the Secret each slot is.
func keysOf(cred *v1alpha1.ClawCredential) map[string]string {
	if from := cred.Spec.Source.Secret; from != nil {
		return from.Keys
	}
	keys := map[string]string{}
	if from := cred.Spec.Source.ExternalSecret; from != nil {
		for _, d := range from.Data {
			keys[d.Slot] = d.Slot
		}
	}
	return keys
}

// FromSecret takes a credential's slots out of its source Secret, which is nil if there is none. The
// Secret must agree to it: it has our type, and names this credential. Otherwise whoever may write a
// ClawCredential could borrow any Secret of the namespace.
func FromSecret(cred *v1alpha1.ClawCredential, source *corev1.Secret, conn *connector.Connector) (Slots, error) {
	if conn == nil {
		return nil, refuse(v1alpha1.ReasonUnknownConnector,
			"the catalogue has no connector %q: correct spec.connector", cred.Spec.Connector)
	}
	name := SourceName(cred)
	if name == "" {
		return nil, refuse(v1alpha1.ReasonSecretRefused, "spec.source names no source: set spec.source.secret")
	}
	if source == nil {
		return nil, missing(cred, name)
	}
	if string(source.Type) != v1alpha1.SecretTypeCredential {
		return nil, refuse(v1alpha1.ReasonSecretRefused,
			"Secret %q has type %q: a credential is read only from a Secret of type %s", name, source.Type, v1alpha1.SecretTypeCredential)
	}
	if named := source.Annotations[v1alpha1.AnnotationCredential]; named != cred.Name {
		return nil, refuse(v1alpha1.ReasonSecretRefused,
			"Secret %q does not name this credential: set its annotation %s: %s", name, v1alpha1.AnnotationCredential, cred.Name)
	}
	// Whoever lent the key to a member has lent it to nobody else.
	if owner, lent := source.Annotations[v1alpha1.AnnotationOwner]; lent && owner != string(cred.Spec.Claw.Owner) {
		return nil, refuse(v1alpha1.ReasonSecretRefused,
			"Secret %q is lent to member %q by its annotation %s, and spec.claw.owner is %q: name that member, or a Secret that is lent to this one",
			name, owner, v1alpha1.AnnotationOwner, cred.Spec.Claw.Owner)
	}
	return slots(cred, source, conn)
}

func missing(cred *v1alpha1.ClawCredential, name string) error {
	if cred.Spec.Source.ExternalSecret != nil {
		return refuse(v1alpha1.ReasonDependencyNotReady, "External Secrets Operator has not read the store yet: Secret %q, which it makes, does not exist", name)
	}
	return refuse(v1alpha1.ReasonSecretNotFound,
		"Secret %q does not exist: create it with type %s and annotation %s: %s",
		name, v1alpha1.SecretTypeCredential, v1alpha1.AnnotationCredential, cred.Name)
}

func slots(cred *v1alpha1.ClawCredential, source *corev1.Secret, conn *connector.Connector) (Slots, error) {
	keys, field := keysOf(cred), "spec.source.secret.keys"
	if cred.Spec.Source.ExternalSecret != nil {
		field = "spec.source.externalSecret.data"
	}
	out := Slots{}
	for _, slot := range SlotNames(cred) {
		key := keys[slot]
		if _, ok := conn.Slots[slot]; !ok {
			return nil, refuse(v1alpha1.ReasonSecretRefused, "%s[%s]: connector %s has no such slot: it has %s",
				field, slot, conn.Name, strings.Join(slices.Sorted(maps.Keys(conn.Slots)), ", "))
		}
		value, ok := source.Data[key]
		if !ok {
			return nil, refuse(v1alpha1.ReasonSecretRefused, "Secret %q has no key %q, which %s[%s] names", source.Name, key, field, slot)
		}
		// A key with white space around it would be refused by the provider, or end a header early.
		trimmed := strings.TrimSpace(string(value))
		if trimmed == "" || strings.ContainsFunc(trimmed, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return nil, refuse(v1alpha1.ReasonSecretRefused, "key %q of Secret %q is empty, or has white space or control characters in it", key, source.Name)
		}
		out[slot] = secret.New([]byte(trimmed))
	}
	if inject, _ := conn.Inject(); inject != "" && out[inject].Empty() {
		return nil, refuse(v1alpha1.ReasonSecretRefused, "%s: slot %q of connector %s is missing: it is the key that calls are made with", field, inject, conn.Name)
	}
	return out, nil
}
