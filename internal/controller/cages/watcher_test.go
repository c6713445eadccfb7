package cages

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/testing/controlplane"
)

const operatorNamespace = "clawstaff-system"

// The one API server of this package, as its administrator sees it.
var (
	config *rest.Config
	api    client.Client
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	ctrl.SetLogger(logr.Discard())
	var stop func()
	var err error
	if config, _, stop, err = controlplane.Run(); err != nil {
		return 1, err
	}
	defer stop()
	if api, err = client.New(config, client.Options{}); err != nil {
		return 1, err
	}
	// What binds the manager must be there; what it may, the administrator may.
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: cage.ManagerRole}}
	if err := api.Create(context.Background(), role); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// told is a queue that remembers what a watcher tells.
type told struct {
	workqueue.TypedRateLimitingInterface[reconcile.Request]
}

func (q told) names() []string {
	var out []string
	for q.Len() > 0 {
		r, _ := q.Get()
		q.Done(r)
		out = append(out, r.String())
	}
	slices.Sort(out)
	return out
}

// started is a Watcher in a manager of its own, and what it tells of Secrets and of entered cages.
type started struct {
	*Watcher
	secrets, entries told
	stop             func()
}

func start(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) started {
	t.Helper()
	own := rest.CopyConfig(config)
	if wrap != nil {
		own.Wrap(wrap)
	}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	mgr, err := ctrl.NewManager(own, ctrl.Options{Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}})
	if err != nil {
		t.Fatal(err)
	}
	s := started{}
	if s.Watcher, err = Add(mgr, operatorNamespace); err != nil {
		t.Fatal(err)
	}
	newQueue := func() told {
		return told{workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())}
	}
	s.secrets, s.entries = newQueue(), newQueue()
	request := func(namespace, name string) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: namespace, Name: name}}}
	}
	bySecret := s.Secrets(func(_ context.Context, m *metav1.PartialObjectMetadata) []reconcile.Request {
		return request(m.Namespace, m.Name)
	})
	byEntry := s.Entries(func(_ context.Context, namespace string) []reconcile.Request { return request(namespace, "") })
	ctx, cancel := context.WithCancel(context.Background())
	if err := bySecret.Start(ctx, s.secrets); err != nil {
		t.Fatal(err)
	}
	if err := byEntry.Start(ctx, s.entries); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- mgr.Start(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		s.secrets.ShutDown()
		s.entries.ShutDown()
	})
	t.Cleanup(s.stop)
	return s
}

func eventually(t *testing.T, check func() string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		problem := check()
		if problem == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(problem)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// sees waits until exactly the named are told of, in any number of steps.
func (q told) sees(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	eventually(t, func() string {
		got = append(got, q.names()...)
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, want) {
			return fmt.Sprintf("told of %v, want %v", got, want)
		}
		return ""
	})
}

func create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		if err := api.Create(context.Background(), o); err != nil {
			t.Fatal(err)
		}
		if _, ok := o.(*rbacv1.RoleBinding); ok {
			t.Cleanup(func() { // other tests have cages of their own
				if err := client.IgnoreNotFound(api.Delete(context.Background(), o)); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func remove(t *testing.T, o client.Object) {
	t.Helper()
	if err := api.Delete(context.Background(), o); err != nil {
		t.Fatal(err)
	}
}

func namespace(t *testing.T, name string) string {
	t.Helper()
	create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	return name
}

func secret(namespace, name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

func binding(namespace string, changes ...func(*rbacv1.RoleBinding)) *rbacv1.RoleBinding {
	b := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: cage.ManagerBinding, Labels: map[string]string{v1alpha1.LabelOrganization: "acme"}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: cage.ManagerRole},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: v1alpha1.ManagedBy, Namespace: operatorNamespace}},
	}
	for _, change := range changes {
		change(b)
	}
	return b
}

// A cage is watched from when it is bound until it is not, and nothing outside is.
func TestWatchesWhereItIsBound(t *testing.T) {
	w := start(t, nil)
	in, out := namespace(t, "bound"), namespace(t, "unbound")
	create(t, secret(in, "before"), secret(out, "foreign"))
	create(t, binding(in),
		// Whoever may write RoleBindings does not lead the manager anywhere by one that gives it nothing.
		binding(out, func(b *rbacv1.RoleBinding) { b.RoleRef.Name = "view" }))
	w.entries.sees(t, in+"/")
	w.secrets.sees(t, in+"/before")
	if !w.Entered(in) || w.Entered(out) {
		t.Errorf("entered %v and %v", w.Entered(in), w.Entered(out))
	}
	later := secret(in, "later")
	create(t, later, secret(out, "later"))
	w.secrets.sees(t, in+"/later")
	later.Labels = map[string]string{"changed": "yes"}
	if err := api.Update(context.Background(), later); err != nil {
		t.Fatal(err)
	}
	w.secrets.sees(t, in+"/later")
	remove(t, later)
	w.secrets.sees(t, in+"/later")

	// What happens while the manager has no rights is seen when it has them again.
	remove(t, binding(in))
	eventually(t, func() string {
		if w.Entered(in) {
			return "still entered"
		}
		return ""
	})
	create(t, secret(in, "meanwhile"))
	create(t, binding(in))
	w.entries.sees(t, in+"/")
	w.secrets.sees(t, in+"/before", in+"/meanwhile")
}

// Another manager that takes over finds every cage there is.
func TestTakesOver(t *testing.T) {
	in := namespace(t, "taken-over")
	create(t, binding(in), secret(in, "a"))
	for range 2 {
		w := start(t, nil)
		w.secrets.sees(t, in+"/a")
		if !w.Entered(in) {
			t.Error("not entered")
		}
		w.stop()
	}
}

// Rights come into force a while after they are given.
func TestWaitsForRights(t *testing.T) {
	in := namespace(t, "lagging")
	var refused, asked atomic.Int64
	refused.Store(1)
	w := start(t, func(rt http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if strings.Contains(r.URL.Path, in+"/secrets") && refused.Load() > 0 {
				asked.Add(1)
				return &http.Response{StatusCode: http.StatusForbidden, Body: http.NoBody, Request: r, Header: http.Header{}}, nil
			}
			return rt.RoundTrip(r)
		})
	})
	create(t, binding(in), secret(in, "a"))
	eventually(t, func() string {
		if asked.Load() < 3 {
			return "it gives up"
		}
		return ""
	})
	if w.Entered(in) {
		t.Error("entered without rights")
	}
	refused.Store(0)
	w.entries.sees(t, in+"/")
	w.secrets.sees(t, in+"/a")
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Only what is in an entered cage is reconciled.
func TestInside(t *testing.T) {
	w := start(t, nil)
	in := namespace(t, "inside")
	create(t, binding(in))
	w.entries.sees(t, in+"/")
	var seen []string
	inside := w.Inside(reconcile.Func(func(_ context.Context, r reconcile.Request) (reconcile.Result, error) {
		seen = append(seen, r.Namespace)
		return reconcile.Result{}, nil
	}))
	for _, ns := range []string{"default", in} {
		if _, err := inside.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKey{Namespace: ns, Name: "x"}}); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(seen, []string{in}) {
		t.Errorf("reconciled in %v, want %s only", seen, in)
	}
}

// watching counts the goroutines that watch cages.
func watching() int {
	var text strings.Builder
	_ = pprof.Lookup("goroutine").WriteTo(&text, 2)
	n := 0
	for _, stack := range strings.Split(text.String(), "\n\n") {
		if strings.Contains(stack, "cages.(*Watcher).follow") {
			n++
		}
	}
	return n
}

// Nothing is left of a cage that is given up, nor of a watcher that ends.
func TestLeavesNothingBehind(t *testing.T) {
	none := func() string {
		if n := watching(); n != 0 {
			return fmt.Sprintf("%d goroutines still watch cages", n)
		}
		return ""
	}
	eventually(t, none)
	w := start(t, nil)
	const cages = 30
	for i := range cages {
		create(t, binding(namespace(t, fmt.Sprintf("many-%d", i))))
	}
	eventually(t, func() string {
		for i := range cages {
			if !w.Entered(fmt.Sprintf("many-%d", i)) {
				return "not all are entered"
			}
		}
		return ""
	})
	many := watching()
	for i := range cages - 1 {
		remove(t, binding(fmt.Sprintf("many-%d", i)))
	}
	eventually(t, func() string {
		if n := watching(); n > many/2 {
			return fmt.Sprintf("%d goroutines watched %d cages, and %d still do", many, cages, n)
		}
		return ""
	})
	w.stop()
	if problem := none(); problem != "" {
		t.Error(problem)
	}
}
