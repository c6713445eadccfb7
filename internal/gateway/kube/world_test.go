package kube

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/audit/audittest"
	"github.com/clawstaff/clawstaff/internal/pki"
	"github.com/clawstaff/clawstaff/internal/policy"
	"github.com/clawstaff/clawstaff/internal/testing/controlplane"
)

// patience bounds what should happen soon.
const patience = 30 * time.Second

var (
	roles        = kind{"/apis/rbac.authorization.k8s.io/v1", "roles"}
	roleBindings = kind{"/apis/rbac.authorization.k8s.io/v1", "rolebindings"}
)

var cages atomic.Int32

// admin starts an API server for the first test that needs one: fuzzing, which has many processes, needs none.
var admin = sync.OnceValue(func() *rest.Config {
	config, _, stop, err := controlplane.Run()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	stopAdmin = stop
	return config
})

var stopAdmin = func() {}

func TestMain(m *testing.M) {
	code := m.Run()
	stopAdmin()
	os.Exit(code)
}

// world is a cage with one Claw in it, and what the manager would have made for it.
type world struct {
	t      *testing.T
	client *client // as an administrator
	user   *rest.Config
	ref    audit.ClawRef
	log    *audittest.Log
}

const clawName = "triage"

// newWorld makes a Claw with two credentials, one for Slack and one for a model, its grant and its
// Secret, and a user with the rights of its gateway and no others.
func newWorld(t *testing.T) *world {
	t.Helper()
	namespace := fmt.Sprintf("cage-%d", cages.Add(1))
	c, err := newClient(admin(), namespace)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, client: c, log: &audittest.Log{}}
	// Namespaces have no namespace: the client's addresses are those of what is in one.
	if _, err := c.read(t.Context(), http.MethodPost, c.base+"/api/v1/namespaces", "application/json", w.encode(&corev1.Namespace{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: namespace},
	})); err != nil {
		t.Fatal(err)
	}
	w.ref = audit.ClawRef{Namespace: namespace, Name: clawName}
	w.ref.UID = w.createClaw()
	w.create(credentials, w.credential("slack-key", "slack"))
	w.create(credentials, w.credential("model-key", "anthropic"))
	w.create(secrets, w.secret())
	w.create(grants, w.grant(nil))
	w.authorize("slack-key", "model-key")
	return w
}

func (w *world) encode(o any) []byte {
	w.t.Helper()
	body, err := json.Marshal(o)
	if err != nil {
		w.t.Fatal(err)
	}
	return body
}

func (w *world) create(k kind, o any) *object {
	w.t.Helper()
	raw, err := w.client.read(w.t.Context(), http.MethodPost, w.client.url(k, "", nil), "application/json", w.encode(o))
	if err != nil {
		w.t.Fatal(err)
	}
	created, err := parseObject(raw)
	if err != nil {
		w.t.Fatal(err)
	}
	return created
}

func (w *world) patch(k kind, name string, change map[string]any) {
	w.t.Helper()
	_, err := w.client.read(w.t.Context(), http.MethodPatch, w.client.url(k, name, nil), "application/merge-patch+json", w.encode(change))
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) delete(k kind, name string) {
	w.t.Helper()
	if _, err := w.client.read(w.t.Context(), http.MethodDelete, w.client.url(k, name, nil), "", nil); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: w.ref.Namespace, Name: name}
}

// createClaw returns the UID.
func (w *world) createClaw() string {
	w.t.Helper()
	return w.create(claws, &v1alpha1.Claw{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Claw"}, ObjectMeta: w.meta(clawName),
		Spec: v1alpha1.ClawSpec{
			Owner: "sarah@acme.example", Purpose: "test", Visibility: v1alpha1.VisibilityOrganization,
			Runtime: v1alpha1.Runtime{Container: &v1alpha1.ContainerRuntime{Image: "agent"}},
		},
	}).meta.UID
}

func (w *world) credential(name string, connector v1alpha1.ConnectorName) *v1alpha1.ClawCredential {
	return &v1alpha1.ClawCredential{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ClawCredential"}, ObjectMeta: w.meta(name),
		Spec: v1alpha1.ClawCredentialSpec{
			Claw: v1alpha1.CredentialClaw{Name: clawName, Owner: "sarah@acme.example"}, Connector: connector,
			Source: v1alpha1.CredentialSource{Secret: &v1alpha1.SecretSource{Name: "source", Keys: map[string]string{"k": "k"}}},
		},
	}
}

func (w *world) secret() *corev1.Secret {
	w.t.Helper()
	ca, err := pki.NewCA("test", time.Now(), time.Hour)
	if err != nil {
		w.t.Fatal(err)
	}
	return &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: w.meta(clawName + gatewaySuffix), Type: secretType,
		Data: map[string][]byte{
			"ca.crt": ca.Cert, "ca.key": ca.Key, "upstream-ca.crt": ca.Cert, "ledger-ca.crt": ca.Cert,
			"proxy-password": []byte("password"), "resign-secret": []byte("resign"),
			"credential.slack-key.botToken": []byte("xoxb-1"), "credential.slack-key.signingSecret": []byte("sign"),
			"credential.model-key.apiKey": []byte("sk-1"), "credential.stranger.apiKey": []byte("not in the grant"),
			"credential.model-key.other": []byte("not a slot of the grant"),
		},
	}
}

// grant is what the Claw may do, changed as the test wants, with its hash.
func (w *world) grant(change func(*v1alpha1.ClawGrantSpec)) *v1alpha1.ClawGrant {
	spec := v1alpha1.ClawGrantSpec{
		ClawUID: w.ref.UID, State: v1alpha1.GrantActive, Visibility: v1alpha1.VisibilityOrganization,
		AgentIPs: []string{"10.0.0.1"}, AgentPort: 8080, AgentPath: "/messages",
		Audience: []v1alpha1.GrantAudience{{Connector: "slack", Principals: []string{"T1/U1"}}},
		Channels: []v1alpha1.ChannelRequest{{
			ChannelRule: v1alpha1.ChannelRule{Connector: "slack", Channels: []v1alpha1.Pattern{"C1"}, Users: []v1alpha1.Pattern{"*"}}, Credential: "slack-key",
		}},
		Tools: []v1alpha1.ToolRequest{{
			ToolRule: v1alpha1.ToolRule{Connector: "slack", Actions: []v1alpha1.Action{v1alpha1.ActionRead}}, Credential: "slack-key",
		}},
		Models: []v1alpha1.ModelRequest{{
			ModelRule: v1alpha1.ModelRule{Connector: "anthropic", Models: []v1alpha1.Pattern{"claude-*"}}, Credential: "model-key",
		}},
		Credentials: []v1alpha1.GrantCredential{
			{Name: "slack-key", Connector: "slack", Slots: []string{"botToken", "signingSecret"}},
			{Name: "model-key", Connector: "anthropic", Slots: []string{"apiKey"}},
		},
	}
	if change != nil {
		change(&spec)
	}
	spec.Hash = policy.Hash(&spec)
	return &v1alpha1.ClawGrant{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ClawGrant"},
		ObjectMeta: w.meta(clawName), Spec: spec,
	}
}

// regrant changes the grant, as the manager does.
func (w *world) regrant(change func(*v1alpha1.ClawGrantSpec)) {
	w.t.Helper()
	var spec map[string]any
	if err := json.Unmarshal(w.encode(w.grant(change).Spec), &spec); err != nil {
		w.t.Fatal(err)
	}
	w.patch(grants, clawName, map[string]any{"spec": spec})
}

// authorize makes the gateway's user: the Role is the one of a Claw's gateway.
func (w *world) authorize(named ...string) {
	w.t.Helper()
	name := w.ref.Namespace + "-gateway"
	w.user = rest.CopyConfig(admin())
	w.user.Impersonate.UserName = name
	read := []string{"get", "list", "watch"}
	w.create(roles, &rbacv1.Role{
		TypeMeta: metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "Role"}, ObjectMeta: w.meta("gateway"),
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"claws", "clawgrants"}, ResourceNames: []string{clawName}, Verbs: read},
			{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"clawcredentials"}, ResourceNames: named, Verbs: read},
			{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{clawName + gatewaySuffix}, Verbs: read},
			{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"clawgrants/status"}, ResourceNames: []string{clawName}, Verbs: []string{"patch", "update"}},
		},
	})
	w.create(roleBindings, &rbacv1.RoleBinding{
		TypeMeta: metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "RoleBinding"}, ObjectMeta: w.meta("gateway"),
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "gateway"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: name}},
	})
}

// start runs a gateway's Watcher until the test ends.
func (w *world) start(change func(*Config)) *Watcher {
	w.t.Helper()
	cfg := Config{REST: w.user, Claw: w.ref, PodName: "triage-gateway-x", PodUID: "pod-1", Log: w.log, SystemRoots: x509.NewCertPool()}
	if change != nil {
		change(&cfg)
	}
	watcher, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := watcher.Run(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	w.t.Cleanup(func() { cancel(); <-ended })
	return watcher
}

// active starts a Watcher and waits until it allows something.
func (w *world) active(change func(*Config)) *Watcher {
	w.t.Helper()
	watcher := w.start(change)
	w.eventually("the grant is in force", func() bool { return watcher.Current().Active() && watcher.Ready() })
	return watcher
}

func (w *world) eventually(what string, is func() bool) {
	w.t.Helper()
	deadline := time.After(patience)
	for !is() {
		select {
		case <-deadline:
			w.t.Fatalf("it did not happen that %s", what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// closed waits for a snapshot's Done.
func (w *world) closed(done <-chan struct{}) {
	w.t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		w.t.Fatal("Done was not closed")
	}
}

func (w *world) gateways() []v1alpha1.GrantGateway {
	w.t.Helper()
	o, err := w.client.get(w.t.Context(), grants, clawName)
	if err != nil || o == nil {
		w.t.Fatal(o, err)
	}
	var g v1alpha1.ClawGrant
	if err := json.Unmarshal(o.raw, &g); err != nil {
		w.t.Fatal(err)
	}
	return g.Status.Gateways
}

// recorded waits for a control record.
func (w *world) recorded(operation string) audit.Record {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	r, err := w.log.Wait(ctx, func(r audit.Record) bool { return r.Operation == operation })
	if err != nil {
		w.t.Fatalf("no record of %s: %v", operation, err)
	}
	return r
}
