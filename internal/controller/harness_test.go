package controller_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/rand"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/controller"
	"github.com/clawstaff/clawstaff/internal/installation"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
	"github.com/clawstaff/clawstaff/internal/testing/controlplane"
	"github.com/clawstaff/clawstaff/internal/webhook/serving"
	webhookv1alpha1 "github.com/clawstaff/clawstaff/internal/webhook/v1alpha1"
)

const (
	operatorNamespace = "clawstaff-system"
	gatewayImage      = "clawstaff.dev/gateway:test"
)

// api is the API server past every cache, as an administrator, asManager as a test that tries what the manager
// may not, and own as the manager itself; a manager with all controllers runs beside.
var api, asManager, own client.Client

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Verbose() {
		ctrl.SetLogger(logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, nil)))
	} else {
		ctrl.SetLogger(logr.Discard())
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "controllers-")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	record, err := newRecord(dir)
	if err != nil {
		return 1, err
	}
	config, env, stop, err := controlplane.Run(record.keep)
	if err != nil {
		return 1, err
	}
	defer stop()
	user, err := env.AddUser(managerUser, nil)
	if err != nil {
		return 1, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done, err := startManager(ctx, config, user.Config())
	if err != nil {
		return 1, err
	}
	code := m.Run()
	cancel()
	<-done
	if code == 0 && flag.Lookup("test.run").Value.String() == "" {
		// All that the manager does was done: what was never used is not needed.
		return code, record.compare()
	}
	return code, nil
}

// managerUser is whom the manager is, as the chart installs it.
var managerUser = envtest.User{
	Name:   "system:serviceaccount:" + operatorNamespace + ":" + v1alpha1.ManagedBy,
	Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + operatorNamespace},
}

func startManager(ctx context.Context, config, user *rest.Config) (<-chan struct{}, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	var err error
	adminConfig = config
	if api, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return nil, err
	}
	if err := api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}}); err != nil {
		return nil, err
	}
	catalogue, err := connector.Builtin()
	if err != nil {
		return nil, err
	}
	if err := install(ctx); err != nil {
		return nil, err
	}
	// As the chart installs it, with the rights the chart gives and no more.
	user.QPS, user.Burst = -1, -1
	tests := rest.CopyConfig(user)
	tests.UserAgent = agentOfTests
	if asManager, err = client.New(tests, client.Options{Scheme: scheme}); err != nil {
		return nil, err
	}
	if own, err = client.New(user, client.Options{Scheme: scheme}); err != nil {
		return nil, err
	}
	keeper := installation.Keeper{Client: own, Live: own, Namespace: operatorNamespace}
	if _, err := keeper.LedgerTLS(ctx, time.Now()); err != nil {
		return nil, err
	}
	if err := keeper.WebhookSecret(ctx); err != nil {
		return nil, err
	}
	hasher, err := keeper.Hasher(ctx)
	if err != nil {
		return nil, err
	}
	certificates := serving.New(operatorNamespace)
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	webhooks = certificates.Server("127.0.0.1", port)
	mgr, err := ctrl.NewManager(counted(user), ctrl.Options{
		Scheme: scheme, Cache: controller.CacheOptions(), Metrics: metricsserver.Options{BindAddress: "0"},
		LeaderElection: true, LeaderElectionID: "clawstaff-manager", LeaderElectionNamespace: operatorNamespace, LeaderElectionReleaseOnCancel: true,
		WebhookServer: webhooks,
	})
	if err != nil {
		return nil, err
	}
	if err := certificates.Setup(mgr); err != nil {
		return nil, err
	}
	err = controller.Setup(ctx, mgr, controller.Config{
		Settings: cage.Settings{
			OperatorNamespace: operatorNamespace, GatewayImage: gatewayImage, PullPolicy: corev1.PullIfNotPresent,
			LedgerURL: "https://clawstaff-ledger.clawstaff-system.svc:4318",
		},
		Catalogue: catalogue, Hasher: hasher, Clock: clock.RealClock{},
	})
	if err != nil {
		return nil, err
	}
	if err := webhookv1alpha1.Setup(mgr, webhookv1alpha1.Options{Catalogue: catalogue, Namespace: operatorNamespace}); err != nil {
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := mgr.Start(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "the manager ended:", err)
		}
	}()
	return done, nil
}

// webhooks is the manager's webhook. The API server does not ask it, so that what it would refuse can be tried.
var webhooks webhook.Server

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// install creates the chart's rights, the policy that keeps the manager to where they are for, and its webhook's
// configuration with nothing to ask about.
func install(ctx context.Context) error {
	rights, err := chart.Render("templates/manager-rbac.yaml")
	if err != nil {
		return err
	}
	home, err := chart.Render("templates/manager-at-home.yaml")
	if err != nil {
		return err
	}
	hooks := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	if err := chart.RenderAs("templates/webhook.yaml", hooks); err != nil {
		return err
	}
	for i := range hooks.Webhooks {
		hooks.Webhooks[i].ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"nothing": "has-this"}}
	}
	for _, o := range append(append(rights, home...), hooks) {
		if err := api.Create(ctx, o); err != nil {
			return fmt.Errorf("create %T %s: %w", o, o.GetName(), err)
		}
	}
	return nil
}

// refused are paths the manager is refused for now, as if its rights were not in force.
var refused sync.Map

// refuse refuses the manager what is at a path, until the returned function is called.
func refuse(path string) func() {
	refused.Store(path, true)
	return func() { refused.Delete(path) }
}

func refusal(r *http.Request) *http.Response {
	found := false
	refused.Range(func(path, _ any) bool {
		found = strings.Contains(r.URL.Path+"/", path.(string)+"/")
		return !found
	})
	if !found {
		return nil
	}
	status := apierrors.NewForbidden(corev1.Resource("things"), "", errors.New("as a test has it")).Status()
	body, _ := json.Marshal(status)
	return &http.Response{
		StatusCode: http.StatusForbidden, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// writes counts what the manager asks the API server to write, and journal has all of it.
var (
	writes  atomic.Int64
	journal struct {
		sync.Mutex
		lines []string
	}
)

type countingTransport struct{ http.RoundTripper }

func (c countingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	looks.note(r)
	if response := refusal(r); response != nil {
		return response, nil
	}
	// Events are told, not kept, and no state; nor is it who leads.
	if r.Method != http.MethodGet && !strings.Contains(r.URL.Path, "/events") && !strings.Contains(r.URL.Path, "/leases") {
		writes.Add(1)
		journal.Lock()
		journal.lines = append(journal.lines, r.Method+" "+r.URL.Path)
		journal.Unlock()
	}
	return c.RoundTripper.RoundTrip(r)
}

func lastWrites() string {
	journal.Lock()
	defer journal.Unlock()
	return strings.Join(journal.lines[max(0, len(journal.lines)-20):], "\n")
}

// writesAbout counts those about an organization and its cage, which have one name. What other tests left behind
// is looked at at times of its own.
func writesAbout(name string) int {
	journal.Lock()
	defer journal.Unlock()
	n := 0
	for _, line := range journal.lines {
		if strings.Contains(line+"/", "/"+name+"/") {
			n++
		}
	}
	return n
}

func counted(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(rt http.RoundTripper) http.RoundTripper { return countingTransport{rt} })
	return config
}

func kindOf(o client.Object) string {
	name := fmt.Sprintf("%T", o)
	return name[strings.LastIndex(name, ".")+1:]
}

// patience is how long a condition is waited for. It is generous: tests of many packages share a machine.
const patience = 60 * time.Second

// eventually waits until check returns "", and fails with what it said last.
func eventually(t *testing.T, check func() string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		problem := check()
		if problem == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("gave up after %s: %s", patience, problem)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// cageOf is an organization of a test's own, with two members, and its cage.
type cageOf struct {
	t    *testing.T
	name string
}

const (
	sarah = v1alpha1.MemberName("sarah@acme.example")
	lee   = v1alpha1.MemberName("lee@acme.example")
)

func organizationOf(name string, changes ...func(*v1alpha1.ClawOrganization)) *v1alpha1.ClawOrganization {
	o := &v1alpha1.ClawOrganization{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.ClawOrganizationSpec{
			Members: []v1alpha1.Member{
				{Name: sarah, Identities: map[string][]string{"slack": {"T01ACME/U01SARAH"}}, Kubernetes: []string{"sarah"}},
				{Name: lee, Identities: map[string][]string{"slack": {"T01ACME/U01LEE"}}},
			},
			Teams: []v1alpha1.Team{{Name: "support", Members: []v1alpha1.MemberName{sarah, lee}}},
		},
	}
	for _, change := range changes {
		change(o)
	}
	return o
}

func newCage(t *testing.T, changes ...func(*v1alpha1.ClawOrganization)) cageOf {
	t.Helper()
	c := cageOf{t, "org-" + rand.String(6)}
	create(t, organizationOf(c.name, changes...))
	c.organizationReady(v1alpha1.ReasonReady)
	return c
}

func create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		if err := api.Create(context.Background(), o); err != nil {
			t.Fatalf("create %T %s: %v", o, o.GetName(), err)
		}
	}
}

// update changes an object, however often it changes in between.
func update[T client.Object](t *testing.T, o T, change func(T)) {
	t.Helper()
	eventually(t, func() string {
		if err := api.Get(context.Background(), client.ObjectKeyFromObject(o), o); err != nil {
			return err.Error()
		}
		change(o)
		if err := api.Update(context.Background(), o); err != nil {
			return err.Error()
		}
		return ""
	})
}

func remove(t *testing.T, o client.Object, options ...client.DeleteOption) {
	t.Helper()
	if err := client.IgnoreNotFound(api.Delete(context.Background(), o, options...)); err != nil {
		t.Fatalf("delete %T %s: %v", o, o.GetName(), err)
	}
}

func get(t *testing.T, o client.Object) bool {
	t.Helper()
	err := api.Get(context.Background(), client.ObjectKeyFromObject(o), o)
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatalf("get %T %s: %v", o, o.GetName(), err)
	}
	return err == nil
}

func (c cageOf) organizationReady(reason string) *v1alpha1.ClawOrganization {
	c.t.Helper()
	o := &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: c.name}}
	eventually(c.t, func() string {
		get(c.t, o)
		return wants(o.Status.Conditions, v1alpha1.ConditionReady, reason)
	})
	return o
}

// wants says how a condition's reason differs from the wanted one.
func wants(conditions []metav1.Condition, kind, reason string) string {
	got := meta.FindStatusCondition(conditions, kind)
	if got == nil || got.Reason != reason {
		return fmt.Sprintf("%s is not %s: %s", kind, reason, brief(conditions))
	}
	return ""
}

func brief(conditions []metav1.Condition) string {
	var lines []string
	for _, c := range conditions {
		lines = append(lines, fmt.Sprintf("%s=%s %s (%s)", c.Type, c.Status, c.Reason, c.Message))
	}
	return "\n  " + strings.Join(lines, "\n  ")
}

// policyFor allows everything the tests' Claws ask for.
func (c cageOf) policy(changes ...func(*v1alpha1.ClawPolicy)) *v1alpha1.ClawPolicy {
	p := &v1alpha1.ClawPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "everything", Namespace: c.name},
		Spec: v1alpha1.ClawPolicySpec{
			Selector: v1alpha1.PolicySelector{All: true},
			Allow: v1alpha1.PolicyRules{
				Visibility: []v1alpha1.Visibility{v1alpha1.VisibilityPrivate, v1alpha1.VisibilityTeam},
				Channels:   []v1alpha1.ChannelRule{{Connector: "slack", Channels: []v1alpha1.Pattern{"*"}, Users: []v1alpha1.Pattern{"*"}}},
				Models:     []v1alpha1.ModelRule{{Connector: "anthropic", Models: []v1alpha1.Pattern{"claude-*"}}},
			},
		},
	}
	for _, change := range changes {
		change(p)
	}
	create(c.t, p)
	return p
}

// credential is a key for a Claw, and the Secret it is in. The value is its own unless given.
func (c cageOf) credential(claw, name string, changes ...func(*v1alpha1.ClawCredential, *corev1.Secret)) *v1alpha1.ClawCredential {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: c.name, Annotations: map[string]string{v1alpha1.AnnotationCredential: name}},
		Type:       v1alpha1.SecretTypeCredential,
		StringData: map[string]string{"bot": "xoxb-" + rand.String(20), "signing": rand.String(20), "key": "sk-" + rand.String(20)},
	}
	cred := &v1alpha1.ClawCredential{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: c.name},
		Spec: v1alpha1.ClawCredentialSpec{
			Claw:      v1alpha1.CredentialClaw{Name: v1alpha1.ObjectName(claw), Owner: sarah},
			Connector: "slack",
			Source: v1alpha1.CredentialSource{Secret: &v1alpha1.SecretSource{
				Name: v1alpha1.ObjectName(name), Keys: map[string]string{"botToken": "bot", "signingSecret": "signing"},
			}},
		},
	}
	for _, change := range changes {
		change(cred, s)
	}
	if s.Name != "" {
		create(c.t, s)
	}
	create(c.t, cred)
	return cred
}

func anthropic(cred *v1alpha1.ClawCredential, _ *corev1.Secret) {
	cred.Spec.Connector, cred.Spec.Source.Secret.Keys = "anthropic", map[string]string{"apiKey": "key"}
}

// clawOf is an agent of Sarah's that speaks in one channel and asks one model.
func (c cageOf) clawOf(name string, changes ...func(*v1alpha1.Claw)) *v1alpha1.Claw {
	claw := &v1alpha1.Claw{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: c.name},
		Spec: v1alpha1.ClawSpec{
			Owner: sarah, Purpose: "a test", Visibility: v1alpha1.VisibilityTeam, Teams: []v1alpha1.TeamName{"support"},
			Channels: []v1alpha1.ChannelRequest{{Credential: v1alpha1.ObjectName(name + "-slack"), ChannelRule: v1alpha1.ChannelRule{
				Connector: "slack", Channels: []v1alpha1.Pattern{"C0SUPPORT"}, Users: []v1alpha1.Pattern{"*"}}}},
			Models: []v1alpha1.ModelRequest{{Credential: v1alpha1.ObjectName(name + "-anthropic"), ModelRule: v1alpha1.ModelRule{
				Connector: "anthropic", Models: []v1alpha1.Pattern{"claude-sonnet-5"}}}},
			Runtime: v1alpha1.Runtime{Container: &v1alpha1.ContainerRuntime{Image: "agent:test"}},
		},
	}
	for _, change := range changes {
		change(claw)
	}
	return claw
}

// claw creates a Claw and its credentials.
func (c cageOf) claw(name string, changes ...func(*v1alpha1.Claw)) *v1alpha1.Claw {
	c.t.Helper()
	claw := c.clawOf(name, changes...)
	create(c.t, claw)
	ofItsOwner := func(cred *v1alpha1.ClawCredential, _ *corev1.Secret) { cred.Spec.Claw.Owner = claw.Spec.Owner }
	c.credential(name, name+"-slack", ofItsOwner)
	c.credential(name, name+"-anthropic", anthropic, ofItsOwner)
	return claw
}

// condition waits for a Claw's condition to have a reason.
func condition(t *testing.T, claw *v1alpha1.Claw, kind, reason string) {
	t.Helper()
	eventually(t, func() string {
		if !get(t, claw) {
			return "the Claw is gone"
		}
		return wants(claw.Status.Conditions, kind, reason)
	})
}

// running plays the kubelet and the gateway until the Claw is ready.
func (c cageOf) running(name string, changes ...func(*v1alpha1.Claw)) *v1alpha1.Claw {
	c.t.Helper()
	claw := c.claw(name, changes...)
	gateway := gatewayPod(c.t, claw)
	agentPod(c.t, claw, proved)
	enforce(c.t, claw, gateway)
	condition(c.t, claw, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	return claw
}
