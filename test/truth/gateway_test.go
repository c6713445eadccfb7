package truth

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/rand"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/audit/audittest"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/gateway/inbound"
	"github.com/clawstaff/clawstaff/internal/gateway/kube"
	"github.com/clawstaff/clawstaff/internal/gateway/state"
	"github.com/clawstaff/clawstaff/internal/pki"
	"github.com/clawstaff/clawstaff/internal/policy"
	"github.com/clawstaff/clawstaff/internal/secret"
	"github.com/clawstaff/clawstaff/internal/testing/controlplane"
)

// bare is an API server with nothing but the CRDs: where nobody mends grants, a gateway can be shown any.
var bare = sync.OnceValues(func() (*rest.Config, error) {
	config, _, stop, err := controlplane.Run()
	if err == nil {
		atTheEnd(stop)
	}
	return config, err
})

// gatewayOf runs what a gateway knows the world by, and looks at it until it sees want.
func gatewayOf(t *testing.T, w *world, want string, look func(ctx context.Context, api client.Client, watcher *kube.Watcher, grant *v1alpha1.ClawGrant) (string, error)) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	config, err := bare()
	if err != nil {
		t.Fatal(err)
	}
	api, grant := w.makeBare(t, config)
	watcher, err := kube.New(kube.Config{
		REST: config, PodName: "triage-gateway-0", PodUID: "pod-uid", Log: &audittest.Log{},
		Claw: audit.ClawRef{Namespace: grant.Namespace, Name: "triage", UID: string(w.claw.UID)},
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = watcher.Run(ctx)
	}()
	defer func() { cancel(); <-ended }()
	return until(ctx, want, func() (string, error) { return look(ctx, api, watcher, grant) })
}

// makeBare creates what the gateway reads. The grant's UID and hash are those of what there is, unless the
// case has changed them.
func (w *world) makeBare(t *testing.T, config *rest.Config) (client.Client, *v1alpha1.ClawGrant) {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, clientgoscheme.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	api, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	namespace := "cage-" + rand.String(6)
	ca, err := pki.NewCA("test", time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	create := func(o client.Object) {
		if err := api.Create(t.Context(), o); err != nil {
			t.Fatalf("create %T %s: %v", o, o.GetName(), err)
		}
	}
	create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	original := policy.Compile(w.input()).Grant
	claw := w.claw.DeepCopy()
	claw.ObjectMeta = metav1.ObjectMeta{Namespace: namespace, Name: "triage"}
	create(claw)
	for _, c := range w.credentials() {
		c := c.DeepCopy()
		c.ObjectMeta = metav1.ObjectMeta{Namespace: namespace, Name: c.Name}
		create(c)
	}
	grant := &v1alpha1.ClawGrant{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "triage"}, Spec: *w.grant.DeepCopy()}
	if grant.Spec.ClawUID == original.ClawUID {
		grant.Spec.ClawUID = string(claw.UID)
	}
	if grant.Spec.Hash == original.Hash {
		grant.Spec.Hash = policy.Hash(&grant.Spec)
	}
	create(grant)
	create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: cage.GatewayName("triage")}, Type: cage.SecretTypeGateway,
		Data: map[string][]byte{
			cage.KeyCACert: ca.Cert, cage.KeyCAKey: ca.Key, cage.KeyProxyPassword: []byte("password"), cage.KeyResignSecret: []byte("resign"),
			cage.KeyLedgerCA: ca.Cert, cage.CredentialKey("triage-anthropic", "apiKey"): []byte("sk"),
			cage.CredentialKey("triage-slack", "botToken"): []byte("xoxb"), cage.CredentialKey("triage-slack", "signingSecret"): []byte("sign"),
		}})
	w.claw.UID = claw.UID
	return api, grant
}

// enforces shows whether a gateway that is given the grant lets a model be asked, with a key.
var enforces = view{what: "a gateway with this grant lets the model be asked", live: func(t *testing.T, w *world, want string) string {
	t.Helper()
	return gatewayOf(t, w, want, func(_ context.Context, _ client.Client, watcher *kube.Watcher, _ *v1alpha1.ClawGrant) (string, error) {
		snapshot := watcher.Current()
		if !snapshot.Active() {
			return "no: " + snapshot.Reason, nil
		}
		c := asking
		c.At = w.now
		v := policy.DecideCall(snapshot.Grant, c)
		if v.Allowed && snapshot.Keys[v.Credential]["apiKey"].Empty() {
			return "no: it has no key", nil
		}
		return verdict(v), nil
	})
}}

// goesOn shows whether what was begun under the grant goes on when it is written again as it is in the world; at
// first the key has version 1.
var goesOn = view{what: "what was begun before goes on under this grant", live: func(t *testing.T, w *world, want string) string {
	t.Helper()
	next := w.grant.DeepCopy()
	w.grant.Credentials[0].Version = "1"
	w.grant.Hash = policy.Hash(w.grant)
	var first *state.Snapshot
	return gatewayOf(t, w, want, func(ctx context.Context, api client.Client, watcher *kube.Watcher, grant *v1alpha1.ClawGrant) (string, error) {
		now := watcher.Current()
		switch {
		case !now.Active():
			return "not begun", nil
		case len(now.Grant.AgentIPs) == 0: // the gateway has written its word into the status meanwhile
			first = now
			if err := api.Get(ctx, client.ObjectKeyFromObject(grant), grant); err != nil {
				return "", err
			}
			grant.Spec.Credentials[0].Version = next.Credentials[0].Version
			grant.Spec.AgentIPs = []string{"10.0.0.9"} // so that there is news in any case
			grant.Spec.Hash = policy.Hash(&grant.Spec)
			return "no news yet", api.Update(ctx, grant)
		}
		select {
		case <-first.Done:
			return "no: it is judged again", nil
		default:
			return open, nil
		}
	})
}}

// fixed is a state.Source of one snapshot.
type fixed struct{ snapshot *state.Snapshot }

func (f fixed) Current() *state.Snapshot { return f.snapshot }

// delivers shows where a gateway with the grant takes a message of Slack's, and whether it takes a second one.
var delivers = view{what: "where the gateway takes messages", live: func(t *testing.T, w *world, _ string) string {
	t.Helper()
	arrived := make(chan string, 8)
	agent := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.Host)
		arrived <- "to " + host + r.URL.Path
	}))
	var err error
	if agent.Listener, err = net.Listen("tcp", "0.0.0.0:0"); err != nil {
		t.Fatal(err)
	}
	agent.Start()
	defer agent.Close()

	grant := w.grant.DeepCopy()
	if len(grant.AgentIPs) == 0 {
		grant.AgentIPs = []string{"127.0.0.1"}
	}
	grant.AgentPort = int32(agent.Listener.Addr().(*net.TCPAddr).Port)
	log := &audittest.Log{}
	handler := inbound.New(inbound.Config{Log: log, Source: fixed{&state.Snapshot{Grant: grant, ResignSecret: secret.New([]byte("resign")),
		Keys: map[string]map[string]secret.Value{"triage-slack": {"signingSecret": secret.New([]byte("sign"))}}}}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = handler.Run(ctx)
	}()
	defer func() { cancel(); <-ended }()

	first := toldOf(t, handler, log, arrived, "Ev1")
	if second := toldOf(t, handler, log, arrived, "Ev2"); second != first {
		return first + ", and then no more: " + second
	}
	return first
}}

// toldOf sends a message of Lee's, and returns where it arrived, or the rule by which it did not.
func toldOf(t *testing.T, handler http.Handler, log *audittest.Log, arrived <-chan string, id string) string {
	t.Helper()
	body := fmt.Appendf(nil, `{"type":"event_callback","team_id":"T01ACME","api_app_id":"A1","event_id":%q,"event_time":%d,"event":`+
		`{"type":"message","channel_type":"channel","user":"U01LEE","team":"T01ACME","text":"hello","ts":"1800000000.000100","channel":"C0SUPPORT","event_ts":"1800000000.000100"}}`,
		id, time.Now().Unix())
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte("sign"))
	fmt.Fprintf(mac, "v0:%s:%s", timestamp, body)
	r := httptest.NewRequest(http.MethodPost, inbound.SlackPath, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Slack-Request-Timestamp", timestamp)
	r.Header.Set("X-Slack-Signature", "v0="+hex.EncodeToString(mac.Sum(nil)))
	before := len(log.Records())
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, r)
	timeout := time.After(patience)
	for {
		for _, record := range log.Records()[before:] {
			if record.Phase == audit.PhaseDecision && record.Decision != audit.Allowed {
				return record.Rule
			}
		}
		select {
		case where := <-arrived:
			return where
		case <-timeout:
			return fmt.Sprintf("nowhere; answered with %d", answer.Code)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
