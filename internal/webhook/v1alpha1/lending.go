package v1alpha1

import (
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// lent refuses a credential whose author could not reach its source Secret in any other way: the Secret
// agrees to a credential by its name alone, and a name can be taken by whoever may delete and create
// credentials. A Secret is lent by whoever may read or write it; and to the member it names itself.
func (j *judge) lent(ctx context.Context, f *findings, s *surroundings, c *v1alpha1.ClawCredential) error {
	req, err := admission.RequestFromContext(ctx)
	if err != nil {
		return err
	}
	name, owner := string(c.Spec.Source.Secret.Name), c.Spec.Claw.Owner
	annotations, err := j.secretAnnotations(ctx, c.Namespace, name)
	if err != nil {
		return err
	}
	to := annotations[v1alpha1.AnnotationOwner]
	if to != string(owner) || !s.directory.HasUsername(owner, req.UserInfo.Username) {
		may, err := j.mayReach(ctx, c.Namespace, name)
		if err != nil {
			return err
		}
		if !may {
			f.refuse("spec.source.secret.name", "asked by user %q, who may neither read nor write Secret %q in namespace %q: a credential draws a key only for somebody who could reach it anyway. Have the key's owner write the ClawCredential, or lend the Secret to %q with the annotation %s, or be given the verb get, update or patch on that Secret",
				req.UserInfo.Username, name, c.Namespace, owner, v1alpha1.AnnotationOwner)
			return nil
		}
	}
	switch {
	case to != "" && to != string(owner):
		f.refuse("spec.source.secret.name", "Secret %q is lent to %q by its annotation %s, and this credential is for a Claw of %q: name a Secret of theirs, or change who it is lent to",
			name, to, v1alpha1.AnnotationOwner, owner)
	case annotations == nil:
		f.warn("spec.source.secret.name: there is no Secret %q yet, of type %s and with the annotation %s: %s",
			name, v1alpha1.SecretTypeCredential, v1alpha1.AnnotationCredential, c.Name)
	case annotations[v1alpha1.AnnotationCredential] == "":
		f.warn("spec.source.secret.name: Secret %q names no credential, and is not read before its annotation %s is %s",
			name, v1alpha1.AnnotationCredential, c.Name)
	case annotations[v1alpha1.AnnotationCredential] != c.Name:
		f.refuse("spec.source.secret.name", "Secret %q is ClawCredential %q's already, by its annotation %s: name another Secret, or change the annotation first",
			name, annotations[v1alpha1.AnnotationCredential], v1alpha1.AnnotationCredential)
	}
	return nil
}

// secretAnnotations reads what a Secret says of itself, and nothing of its content; nil where there is none,
// or none that the manager may see.
func (j *judge) secretAnnotations(ctx context.Context, namespace, name string) (map[string]string, error) {
	secret := &metav1.PartialObjectMetadata{}
	secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	err := j.live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, secret)
	switch {
	case apierrors.IsNotFound(err) || apierrors.IsForbidden(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the annotations of Secret %s: %w", name, err)
	case secret.Annotations == nil:
		return map[string]string{}, nil
	default:
		return secret.Annotations, nil
	}
}

// mayReach tells whether who asks may read or write a Secret.
func (j *judge) mayReach(ctx context.Context, namespace, name string) (bool, error) {
	req, err := admission.RequestFromContext(ctx)
	if err != nil {
		return false, err
	}
	for _, verb := range []string{"get", "update", "patch"} {
		may, err := j.may(ctx, req.UserInfo, authorizationv1.ResourceAttributes{
			Resource: "secrets", Verb: verb, Namespace: namespace, Name: name,
		})
		if err != nil || may {
			return may, err
		}
	}
	return false, nil
}
