package admission

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// arm is what stands between a request and the store.
type arm int

// The arms, each one thing away from the next.
const (
	nothing  arm = iota // schema and CEL of the kinds, as everywhere
	policed             // and the chart's admission policies
	agreeing            // and a webhook that says yes to everything
	judged              // and the chart's webhook instead
	arms
)

// switching makes and unmakes what the arms are of.
type switching struct {
	*world
	// agreeable is the configuration of the webhook that agrees.
	agreeable *admissionregistrationv1.ValidatingWebhookConfiguration
	at        arm
}

// hooksOf is the webhook of an arm.
func (s *switching) hooksOf(a arm) *admissionregistrationv1.ValidatingWebhookConfiguration {
	switch a {
	case agreeing:
		return s.agreeable
	case judged:
		return s.hooks
	default:
		return nil
	}
}

// to goes to an arm and returns when the API server has noticed.
func (s *switching) to(ctx context.Context, a arm) error {
	for _, other := range []arm{agreeing, judged} {
		if err := s.ensure(ctx, s.hooksOf(other), other == a); err != nil {
			return err
		}
	}
	for _, obj := range s.floor {
		if err := s.ensure(ctx, obj, a != nothing); err != nil {
			return err
		}
	}
	want := state{closed: a != nothing}
	if hooks := s.hooksOf(a); hooks != nil {
		want.hook = clawHook(hooks).Name
	}
	looks := 3
	if (a == nothing) != (s.at == nothing) {
		looks = policyLooks
	}
	s.at = a
	calm := 0 // all of it is noticed at about the same time
	return until(ctx, "switching what admits", func(ctx context.Context) error {
		got, err := s.state(ctx)
		if err != nil {
			return err
		}
		if calm++; got != want {
			calm = 0
			return fmt.Errorf("closed cage %t and webhook %q, want %t and %q", got.closed, got.hook, want.closed, want.hook)
		}
		if calm < looks {
			return errors.New("it was noticed just now")
		}
		return nil
	})
}

// policyLooks, 50 ms apart, take longer than the second in which the API server reads admission policies anew.
const policyLooks = 22

// ensure sees that an object is there, or not.
func (s *switching) ensure(ctx context.Context, obj client.Object, there bool) error {
	if !there {
		return client.IgnoreNotFound(s.api.Delete(ctx, obj))
	}
	fresh, ok := obj.DeepCopyObject().(client.Object)
	if !ok {
		return fmt.Errorf("%T is no object", obj)
	}
	fresh.SetResourceVersion("")
	fresh.SetUID("")
	if err := s.api.Create(ctx, fresh); !apierrors.IsAlreadyExists(err) {
		return err
	}
	return nil
}

// state is what the API server shows to do.
type state struct {
	closed bool   // the cage is
	hook   string // that refuses what no webhook of ours may let in
}

var refusal = regexp.MustCompile(`admission webhook "([^"]+)" denied the request`)

// state asks for what is refused by one and the other.
func (s *switching) state(ctx context.Context) (state, error) {
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: cage, Name: "foreign"}}
	service.Spec.Ports = []corev1.ServicePort{{Port: 1}}
	err := s.asOwner.Create(ctx, service, client.DryRunAll)
	if err != nil && !strings.Contains(err.Error(), "ValidatingAdmissionPolicy") {
		return state{}, fmt.Errorf("a Service in the cage: %w", err)
	}
	got := state{closed: err != nil}
	bad := claw("refused", 0, 0, time.Now())
	bad.Spec.Owner = "refused@nowhere.example"
	err = s.asOwner.Create(ctx, bad, client.DryRunAll)
	if err == nil {
		return got, nil
	}
	match := refusal.FindStringSubmatch(err.Error())
	if match == nil {
		return state{}, fmt.Errorf("a Claw of nobody's: %w", err)
	}
	got.hook = match[1]
	return got, nil
}

// clawHook is the webhook of a configuration that is asked about Claws.
func clawHook(c *admissionregistrationv1.ValidatingWebhookConfiguration) *admissionregistrationv1.ValidatingWebhook {
	for i := range c.Webhooks {
		for _, rule := range c.Webhooks[i].Rules {
			for _, resource := range rule.Resources {
				if resource == "claws" {
					return &c.Webhooks[i]
				}
			}
		}
	}
	return &admissionregistrationv1.ValidatingWebhook{}
}

// agreeableTo is the chart's configuration, with the same conditions, that leads to another webhook.
func agreeableTo(hooks *admissionregistrationv1.ValidatingWebhookConfiguration, url string, authority []byte) *admissionregistrationv1.ValidatingWebhookConfiguration {
	out := &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "agreeable"}}
	hook := clawHook(hooks).DeepCopy()
	hook.Name = "agreeable." + v1alpha1.GroupVersion.Group
	hook.ClientConfig = admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: authority}
	out.Webhooks = []admissionregistrationv1.ValidatingWebhook{*hook}
	return out
}
