package netpol

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
)

// bench is an enforcer whose API is an indexer, whose kernel is a variable and whose socket is real.
type bench struct {
	*enforcer
	api    cache.Indexer // of pods
	kernel Ruleset
	socket string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	indexer := func() cache.Indexer {
		return cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	}
	namespaces, policies := indexer(), indexer()
	add(t, namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a"}})
	add(t, policies, &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "deny"}})
	dir := t.TempDir()
	book, err := openAddressBook(filepath.Join(dir, "book.json"))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{api: indexer(), socket: filepath.Join(dir, "socket")}
	b.enforcer = &enforcer{
		pods:       corelisters.NewPodLister(b.api),
		namespaces: corelisters.NewNamespaceLister(namespaces),
		policies:   networkinglisters.NewNetworkPolicyLister(policies),
		addresses:  book,
		install:    func(_ context.Context, _ Network, rules Ruleset) error { b.kernel = rules; return nil },
	}
	listener, err := net.Listen("unix", b.socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- b.serveOn(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return b
}

func add(t *testing.T, indexer cache.Indexer, object any) {
	t.Helper()
	if err := indexer.Add(object); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) pod(t *testing.T, name, uid string) {
	t.Helper()
	add(t, b.api, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name, UID: types.UID(uid)}})
}

// cni calls the plugin as containerd would.
func (b *bench) cni(command, sandbox, uid, address string) (string, error) {
	env := map[string]string{"CNI_COMMAND": command, "CNI_CONTAINERID": sandbox,
		"CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=a;K8S_POD_UID=" + uid}
	out, err := plugin(func(name string) string { return env[name] },
		strings.NewReader(fmt.Sprintf(
			`{"cniVersion":"1.0.0","socket":%q,"prevResult":{"cniVersion":"1.0.0","ips":[{"address":"%s/32"}]}}`, b.socket, address)))
	return string(out), err
}

func TestAPodIsGovernedBeforeItStarts(t *testing.T) {
	b := newBench(t)
	b.pod(t, "one", "uid-1")
	out, err := b.cni("ADD", "sandbox-1", "uid-1", "10.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid([]byte(out)) || !strings.Contains(out, "10.0.0.1/32") {
		t.Errorf("ADD answers %q, want the previous plugin's result", out)
	}
	if chain := b.kernel.Ingress[netip.MustParseAddr("10.0.0.1")]; chain == "" {
		t.Errorf("when ADD has answered, the rules are %+v", b.kernel)
	}
}

func TestAddWaitsForTheAPI(t *testing.T) {
	b := newBench(t)
	answered := make(chan error)
	go func() {
		_, err := b.cni("ADD", "sandbox-1", "uid-1", "10.0.0.1")
		answered <- err
	}()
	b.pod(t, "one", "uid-1") // before or after the call arrives: either must end well
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestAnAddressFollowsItsSandbox(t *testing.T) {
	b := newBench(t)
	address := netip.MustParseAddr("10.0.0.1")
	b.pod(t, "one", "uid-1")
	b.pod(t, "two", "uid-2")
	must := func(_ string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(b.cni("ADD", "sandbox-1", "uid-1", "10.0.0.1"))
	must(b.cni("ADD", "sandbox-2", "uid-2", "10.0.0.1")) // the enforcer missed the first one's end
	must(b.cni("DEL", "sandbox-1", "uid-1", "10.0.0.1")) // which comes late
	if got := b.addresses.of("uid-2"); len(got) != 1 || got[0] != address {
		t.Errorf("the second pod's addresses are %v", got)
	}
	if got := b.addresses.of("uid-1"); len(got) != 0 {
		t.Errorf("the first pod still has %v", got)
	}
	must(b.cni("DEL", "sandbox-2", "uid-2", "10.0.0.1"))
	if _, known := b.kernel.Egress[address]; known {
		t.Error("an address that is nobody's is still in the rules")
	}
}

func TestAStrangerTakesNoAddress(t *testing.T) {
	b := newBench(t)
	b.pod(t, "one", "uid-1")
	if _, err := b.cni("ADD", "sandbox-1", "uid-1", "10.0.0.1"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // no need to wait for what never comes
	if err := b.added(ctx, assignment{Sandbox: "x", PodUID: "nobody's", Address: netip.MustParseAddr("10.0.0.1")}); err == nil {
		t.Error("a pod that the API does not know is let in")
	}
	if got := b.addresses.of("uid-1"); len(got) != 1 {
		t.Errorf("the pod that had the address now has %v", got)
	}
}

func TestAPodThatTheAPIHasForgottenIsCutOff(t *testing.T) {
	b := newBench(t)
	b.pod(t, "one", "uid-1")
	if _, err := b.cni("ADD", "sandbox-1", "uid-1", "10.0.0.1"); err != nil {
		t.Fatal(err)
	}
	b.pod(t, "one", "another-uid") // deleted by force and made again, while the old sandbox lives
	if err := b.apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, known := b.kernel.Egress[netip.MustParseAddr("10.0.0.1")]; known {
		t.Error("the old sandbox has the rules of its successor")
	}
}

func TestAddressesSurviveARestart(t *testing.T) {
	b := newBench(t)
	b.pod(t, "one", "uid-1")
	if _, err := b.cni("ADD", "sandbox-1", "uid-1", "10.0.0.1"); err != nil {
		t.Fatal(err)
	}
	book, err := openAddressBook(b.addresses.file)
	if err != nil {
		t.Fatal(err)
	}
	if got := book.of("uid-1"); len(got) != 1 {
		t.Errorf("after a restart the pod has %v", got)
	}
}

func TestThePluginWithoutItsEnforcer(t *testing.T) {
	b := &bench{socket: filepath.Join(t.TempDir(), "nobody")}
	if _, err := b.cni("ADD", "sandbox-1", "uid-1", "10.0.0.1"); err == nil {
		t.Error("a pod starts without rules")
	}
	if _, err := b.cni("DEL", "sandbox-1", "uid-1", "10.0.0.1"); err != nil {
		t.Errorf("a pod cannot end: %v", err)
	}
	if out, err := b.cni("VERSION", "", "", "10.0.0.1"); err != nil || !strings.Contains(out, cniVersion) {
		t.Errorf("VERSION answers %q, %v", out, err)
	}
	if _, err := b.cni("ADD", "sandbox-1", "", "10.0.0.1"); err == nil {
		t.Error("a pod without a UID starts")
	}
}

// FuzzPlugin wants an error or a result, and no panic, from whatever the previous plugin says.
func FuzzPlugin(f *testing.F) {
	f.Add(`{"prevResult":{"ips":[{"address":"10.0.0.1/32"}]}}`)
	f.Add(`{"prevResult":{"ips":[{"address":"fe80::1/64"}]}}`)
	f.Add(`{"prevResult":null}`)
	f.Add(`{"socket":"/nobody"}`)
	f.Fuzz(func(t *testing.T, stdin string) {
		env := map[string]string{"CNI_COMMAND": "ADD", "CNI_ARGS": "K8S_POD_UID=u"}
		if _, err := plugin(func(name string) string { return env[name] }, strings.NewReader(stdin)); err == nil {
			t.Error("a pod starts without rules")
		}
	})
}
