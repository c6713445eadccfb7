package v1alpha1

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/directory"
)

// store reads from memory as a cache does: what it gives is its own, unless it is asked to copy.
type store struct {
	client.Writer
	objects map[reflect.Type][]client.Object
	by      map[reflect.Type]map[client.ObjectKey]client.Object
	over    map[string][]client.Object // policies by whom they select
}

func (s *store) add(objects ...client.Object) {
	for _, o := range objects {
		t := reflect.TypeOf(o)
		if s.objects == nil {
			s.objects, s.by, s.over = map[reflect.Type][]client.Object{}, map[reflect.Type]map[client.ObjectKey]client.Object{}, map[string][]client.Object{}
		}
		if s.by[t] == nil {
			s.by[t] = map[client.ObjectKey]client.Object{}
		}
		s.objects[t] = append(s.objects[t], o)
		s.by[t][client.ObjectKeyFromObject(o)] = o
		if p, ok := o.(*v1alpha1.ClawPolicy); ok {
			for _, key := range selectorKeys(p) {
				s.over[key] = append(s.over[key], o)
			}
		}
	}
}

func (s *store) Get(_ context.Context, key client.ObjectKey, out client.Object, opts ...client.GetOption) error {
	found, ok := s.by[reflect.TypeOf(out)][key]
	if !ok {
		return apierrors.NewNotFound(schema.GroupResource{Resource: reflect.TypeOf(out).String()}, key.Name)
	}
	o := client.GetOptions{}
	o.ApplyOptions(opts)
	if o.UnsafeDisableDeepCopy == nil || !*o.UnsafeDisableDeepCopy {
		found = found.DeepCopyObject().(client.Object)
	}
	reflect.ValueOf(out).Elem().Set(reflect.ValueOf(found).Elem())
	return nil
}

func (s *store) List(_ context.Context, out client.ObjectList, opts ...client.ListOption) error {
	o := client.ListOptions{}
	o.ApplyOptions(opts)
	items, err := meta.GetItemsPtr(out)
	if err != nil {
		return err
	}
	from := s.objects[reflect.PointerTo(reflect.TypeOf(items).Elem().Elem())]
	if o.FieldSelector != nil {
		from = s.over[o.FieldSelector.Requirements()[0].Value]
	}
	var found []runtime.Object
	for _, obj := range from {
		switch {
		case o.Namespace != "" && obj.GetNamespace() != o.Namespace:
		case o.UnsafeDisableDeepCopy == nil || !*o.UnsafeDisableDeepCopy:
			found = append(found, obj.DeepCopyObject())
		default:
			found = append(found, obj)
		}
	}
	return meta.SetList(out, found)
}

// cageOfMany is a judge of a cage of many, and an organization with a quota.
func cageOfMany(policies, claws int) (*judge, *store) {
	catalogue, err := connector.Builtin()
	if err != nil {
		panic(err) // it is built in
	}
	s, quota := &store{}, int32(100000)
	namespace := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "acme", Labels: map[string]string{v1alpha1.LabelOrganization: "acme"}}}
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	s.add(namespace, organization("acme", func(o *v1alpha1.ClawOrganization) {
		o.UID, o.Generation, o.Spec.Quota.Claws = "acme", 1, &quota
	}))
	for i := range policies {
		s.add(clawPolicy("acme", func(p *v1alpha1.ClawPolicy) {
			p.Name = fmt.Sprintf("policy-%d", i)
			if i%10 != 0 { // a tenth of them selects the Claw
				p.Spec.Selector = v1alpha1.PolicySelector{Claws: []v1alpha1.Pattern{v1alpha1.Pattern(fmt.Sprintf("other-%d", i))}}
			}
		}))
	}
	for i := range claws {
		s.add(claw(func(c *v1alpha1.Claw) { c.Name = fmt.Sprintf("claw-%d", i) }))
	}
	for _, c := range credentials() {
		s.add(c)
	}
	j := &judge{
		Options: Options{Catalogue: catalogue, Namespace: "clawstaff-system", Clock: clock.RealClock{}},
		cached:  s, live: s, reviews: s,
	}
	j.Directory = &directory.Reader{Client: s, Namespace: j.Namespace}
	return j, s
}

// asking is the context of a request by somebody.
func asking(ctx context.Context, user string) context.Context {
	return admission.NewContextWithRequest(ctx, admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		UserInfo: authenticationv1.UserInfo{Username: user},
	}})
}

// What a Claw costs the webhook itself, without the API server, in a cage of many policies and Claws.
func BenchmarkClaw(b *testing.B) {
	for _, policies := range []int{10, 1000} {
		b.Run(fmt.Sprintf("%d policies, 5000 Claws", policies), func(b *testing.B) {
			j, _ := cageOfMany(policies, 5000)
			v, c, ctx := &clawValidator{j}, wise(), asking(b.Context(), sarah)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.ValidateCreate(ctx, c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPolicy(b *testing.B) {
	j, _ := cageOfMany(1000, 5000)
	v, p, ctx := &policyValidator{j}, clawPolicy("acme"), asking(b.Context(), admin)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.ValidateCreate(ctx, p); err != nil {
			b.Fatal(err)
		}
	}
}

// What is read is the cache's own, so nothing of it may be changed by judging, whatever the answer is.
func TestJudgingChangesNothingItReads(t *testing.T) {
	j, s := cageOfMany(20, 20)
	ctx := asking(t.Context(), sarah)
	before := map[reflect.Type][]client.Object{}
	for kind, objects := range s.objects {
		for _, o := range objects {
			before[kind] = append(before[kind], o.DeepCopyObject().(client.Object))
		}
	}
	end := metav1.Now()
	for _, c := range []*v1alpha1.Claw{
		wise(), claw(), wise(func(c *v1alpha1.Claw) { c.Spec.Channels[0].Credential, c.Spec.ExpiresAt = "shared", &end }),
		wise(func(c *v1alpha1.Claw) {
			c.Spec.Visibility, c.Spec.Teams = v1alpha1.VisibilityPrivate, nil
			c.Spec.Models[0].Models = []v1alpha1.Pattern{"*"}
		}),
	} {
		_, _ = (&clawValidator{j}).ValidateCreate(ctx, c) // refused or not
		_, _ = (&clawValidator{j}).ValidateUpdate(ctx, claw(), c)
	}
	_, _ = (&policyValidator{j}).ValidateCreate(ctx, clawPolicy("acme", func(p *v1alpha1.ClawPolicy) { p.Spec.Deny = p.Spec.Allow }))
	for _, o := range []*v1alpha1.ClawOrganization{organization("acme"), organization("acme", func(o *v1alpha1.ClawOrganization) { o.Spec.Members = nil })} {
		_, _ = (&organizationValidator{j}).ValidateUpdate(ctx, organization("acme", func(o *v1alpha1.ClawOrganization) { o.Spec.Teams = nil }), o)
	}
	store := credential(func(c *v1alpha1.ClawCredential) {
		c.Spec.Source = v1alpha1.CredentialSource{ExternalSecret: &v1alpha1.ExternalSecretSource{
			SecretStoreRef: v1alpha1.StoreReference{Kind: v1alpha1.StoreOfCluster, Name: "vault"}, Data: []v1alpha1.ExternalSecretData{{Slot: "botToken", Key: "a"}}}}
	})
	_, _ = (&credentialValidator{j}).ValidateCreate(ctx, store)
	for kind, objects := range s.objects {
		for i, o := range objects {
			if !reflect.DeepEqual(before[kind][i], o) {
				t.Errorf("%T %s was changed", o, o.GetName())
			}
		}
	}
}

// Create answers questions about rights: nobody here has any but their own.
func (s *store) Create(context.Context, client.Object, ...client.CreateOption) error {
	return errors.New("nobody was to be asked")
}
