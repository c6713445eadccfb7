package truth

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/pki"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
	"github.com/clawstaff/clawstaff/internal/testing/operator"
)

// What there is beside the organizations of cases.
const (
	kimsDirectory = "kims-directory"
	ownRoots      = "own-roots"
	presentClass  = "sandboxed"
)

var (
	stops   []func()
	stopsMu sync.Mutex
)

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	stopsMu.Lock()
	defer stopsMu.Unlock()
	for _, stop := range stops {
		stop()
	}
	os.Exit(code)
}

func atTheEnd(stop func()) {
	stopsMu.Lock()
	defer stopsMu.Unlock()
	stops = append(stops, stop)
}

// running is the operator, started for the first case that needs it.
var running = sync.OnceValues(func() (*operator.Operator, error) {
	ctx, cancel := context.WithCancel(context.Background())
	o, stop, err := operator.Run(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	atTheEnd(func() { cancel(); stop() })
	if err := o.Play(ctx); err != nil {
		return nil, err
	}
	roots, err := pki.NewCA("own roots", time.Now(), time.Hour)
	if err != nil {
		return nil, err
	}
	for _, object := range []client.Object{
		&nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: presentClass}, Handler: presentClass},
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: chart.Namespace, Name: kimsDirectory},
			Data: map[string]string{"people.yaml": "members:\n- {name: kim@acme.example, identities: {slack: [T01ACME/U01KIM]}}\nteams:\n- {name: support, members: [kim@acme.example]}\n"}},
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: chart.Namespace, Name: ownRoots}, Data: map[string]string{"roots.pem": string(roots.Cert)}},
	} {
		if err := o.API.Create(ctx, object); err != nil {
			return nil, err
		}
	}
	return o, nil
})

// patience is how long something is waited for. It is generous: tests of many packages share a machine.
const patience = 45 * time.Second

// until looks until it sees what is wanted, and returns what it saw last.
func until(ctx context.Context, want string, look func() (string, error)) string {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := look()
		if err != nil {
			got = err.Error()
		}
		if got == want {
			return got
		}
		select {
		case <-ctx.Done():
			return got
		case <-tick.C:
		}
	}
}

// live is a view of what the operator makes of a world, which gets an organization of its own.
func live(what string, look func(ctx context.Context, o *operator.Operator, name string) (string, error)) view {
	return view{what: what, live: func(t *testing.T, w *world, want string) string {
		t.Helper()
		o, err := running()
		if err != nil {
			t.Fatal(err)
		}
		name := "org-" + rand.String(6)
		if err := w.makeReal(t.Context(), o, name); err != nil {
			return refused(t, err)
		}
		return until(t.Context(), want, func() (string, error) { return look(t.Context(), o, name) })
	}}
}

// refused says which field the API server, or what it asks, does not take.
func refused(t *testing.T, err error) string {
	t.Helper()
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil || len(status.Status().Details.Causes) == 0 {
		t.Fatalf("make the world: %v", err)
	}
	return "refused: " + status.Status().Details.Causes[0].Field
}

// makeReal creates a world's objects at the API server, in an organization of the given name.
func (w *world) makeReal(ctx context.Context, o *operator.Operator, name string) error {
	org := w.organization.DeepCopy()
	org.ObjectMeta = metav1.ObjectMeta{Name: name}
	if err := o.API.Create(ctx, org); err != nil {
		return err
	}
	ready := until(ctx, name, func() (string, error) {
		var org v1alpha1.ClawOrganization
		err := o.API.Get(ctx, client.ObjectKey{Name: name}, &org)
		return org.Status.Namespace, err
	})
	if ready != name {
		return fmt.Errorf("the organization has no cage: %s", ready)
	}
	in := func(name string) func(client.Object) client.Object {
		return func(o client.Object) client.Object {
			o.SetNamespace(name)
			o.SetUID("")
			o.SetCreationTimestamp(metav1.Time{})
			return o
		}
	}(name)
	objects := []client.Object{in(w.policy.DeepCopy()), in(w.claw.DeepCopy())}
	for _, c := range w.credentials() {
		objects = append(objects, in(c.DeepCopy()), &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: c.Name, Annotations: map[string]string{v1alpha1.AnnotationCredential: c.Name}},
			Type:       v1alpha1.SecretTypeCredential, StringData: map[string]string{"bot": "xoxb-" + name, "signing": "sign-" + name, "key": "sk-" + name, "other": "sk-other-" + name},
		})
	}
	for _, object := range objects {
		if err := o.API.Create(ctx, object); err != nil {
			return fmt.Errorf("create %T %s: %w", object, object.GetName(), err)
		}
	}
	return nil
}

var (
	admitted = live("the API server takes all of it", func(context.Context, *operator.Operator, string) (string, error) { return open, nil })

	ownersBinding = live("the username that the owner's rights are bound to", func(ctx context.Context, o *operator.Operator, name string) (string, error) {
		var b rbacv1.RoleBinding
		err := o.API.Get(ctx, client.ObjectKey{Namespace: name, Name: cage.OwnerName("triage")}, &b)
		var users []string
		for _, s := range b.Subjects {
			users = append(users, s.Name)
		}
		return strings.Join(users, " "), err
	})
	principals = live("the principals of Slack in the grant", func(ctx context.Context, o *operator.Operator, name string) (string, error) {
		var g v1alpha1.ClawGrant
		if err := o.API.Get(ctx, client.ObjectKey{Namespace: name, Name: "triage"}, &g); err != nil || len(g.Spec.Audience) == 0 {
			return "nobody", err
		}
		return fmt.Sprint(g.Spec.Audience[0].Principals), nil
	})
	agentRuntime = live("the runtime class of the agent's pods", func(ctx context.Context, o *operator.Operator, name string) (string, error) {
		var claw v1alpha1.Claw
		if err := o.API.Get(ctx, client.ObjectKey{Namespace: name, Name: "triage"}, &claw); err != nil {
			return "", err
		}
		if c := meta.FindStatusCondition(claw.Status.Conditions, v1alpha1.ConditionRuntimeReady); c != nil && c.Reason == v1alpha1.ReasonRuntimeClassMissing {
			return "held: " + c.Reason, nil
		}
		var s appsv1.StatefulSet
		if err := o.API.Get(ctx, client.ObjectKey{Namespace: name, Name: cage.AgentName("triage")}, &s); err != nil {
			return "", err
		}
		if class := s.Spec.Template.Spec.RuntimeClassName; class != nil {
			return *class, nil
		}
		return fmt.Sprint(nil), nil
	})
	upstreamRoots = live("whom the gateway believes", func(ctx context.Context, o *operator.Operator, name string) (string, error) {
		s, err := gatewaySecret(ctx, o, name)
		if err != nil {
			return "", err
		}
		if len(s.Data[cage.KeyUpstreamCA]) > 0 {
			return "the organization's too", nil
		}
		return "the system's only", nil
	})
	keyIs = live("the reason in Ready of the model's credential", func(ctx context.Context, o *operator.Operator, name string) (string, error) {
		var c v1alpha1.ClawCredential
		if err := o.API.Get(ctx, client.ObjectKey{Namespace: name, Name: "triage-anthropic"}, &c); err != nil {
			return "", err
		}
		if ready := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
			return ready.Reason, nil
		}
		return "not looked at", nil
	})
	agentKeys = live("what the agent's own Secret holds of the model's credential", func(ctx context.Context, o *operator.Operator, name string) (string, error) {
		// Once the gateway has the key, the agent has it too if it is to.
		s, err := gatewaySecret(ctx, o, name)
		if err != nil {
			return "", err
		}
		key := s.Data[cage.CredentialKey("triage-anthropic", "apiKey")]
		var agent corev1.Secret
		if err := o.API.Get(ctx, client.ObjectKey{Namespace: name, Name: cage.AgentName("triage")}, &agent); err != nil || len(key) == 0 {
			return "not made yet", err
		}
		for _, value := range agent.Data {
			if string(value) == string(key) {
				return "a key", nil
			}
		}
		return "no key", nil
	})
)

func gatewaySecret(ctx context.Context, o *operator.Operator, name string) (*corev1.Secret, error) {
	var s corev1.Secret
	return &s, o.API.Get(ctx, client.ObjectKey{Namespace: name, Name: cage.GatewayName("triage")}, &s)
}
