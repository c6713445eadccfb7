// Package cages knows in which cages the manager has its rights, and watches the Secrets there. The
// manager reads no Secret anywhere else, so there is no one watch of them: each cage has its own, of
// metadata only, from when the manager is given its rights in the cage until they are taken away.
package cages

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/clawstaff/clawstaff/internal/cage"
)

// Watcher follows the RoleBindings that give the manager its rights in cages. It is a Runnable of the
// manager that leads, as the controllers are.
type Watcher struct {
	client            metadata.Interface
	informers         cache.Informers
	operatorNamespace string

	mu          sync.Mutex
	ctx         context.Context // of Start: what is opened ends with it
	open        map[string]*opened
	subscribers []subscriber
	running     sync.WaitGroup
}

// opened is one cage the manager has its rights in, as far as it knows.
type opened struct {
	close context.CancelFunc
	// entered means that the API server has shown the cage's Secrets: the rights are in force.
	entered bool
}

// Add makes a Watcher that runs with a manager.
func Add(mgr ctrl.Manager, operatorNamespace string) (*Watcher, error) {
	client, err := metadata.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("client of metadata: %w", err)
	}
	w := &Watcher{client: client, informers: mgr.GetCache(), operatorNamespace: operatorNamespace, open: map[string]*opened{}}
	return w, mgr.Add(w)
}

// Start follows the bindings until the context ends, and leaves nothing behind.
func (w *Watcher) Start(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer w.running.Wait()
	defer stop()
	w.mu.Lock()
	w.ctx = ctx
	w.mu.Unlock()
	bindings, err := w.informers.GetInformer(ctx, &rbacv1.RoleBinding{})
	if err != nil {
		return fmt.Errorf("watch RoleBindings: %w", err)
	}
	handle, err := bindings.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    w.bound,
		UpdateFunc: func(_, o any) { w.bound(o) },
		DeleteFunc: w.unbound,
	})
	if err != nil {
		return fmt.Errorf("watch RoleBindings: %w", err)
	}
	defer func() { _ = bindings.RemoveEventHandler(handle) }()
	<-ctx.Done()
	return nil
}

// Entered tells whether the manager has its rights in a cage, and they are in force.
func (w *Watcher) Entered(namespace string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	o := w.open[namespace]
	return o != nil && o.entered
}

func (w *Watcher) bound(o any) {
	b, ok := o.(*rbacv1.RoleBinding)
	switch {
	case !ok || b.Name != cage.ManagerBinding:
	case cage.IsManagerBinding(b, w.operatorNamespace):
		w.enter(b.Namespace)
	default:
		w.leave(b.Namespace)
	}
}

func (w *Watcher) unbound(o any) {
	if gone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
		o = gone.Obj
	}
	if b, ok := o.(*rbacv1.RoleBinding); ok && b.Name == cage.ManagerBinding {
		w.leave(b.Namespace)
	}
}

// enter begins to watch a cage's Secrets, unless that goes on already.
func (w *Watcher) enter(namespace string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open[namespace] != nil || w.ctx.Err() != nil {
		return
	}
	ctx, stop := context.WithCancel(w.ctx)
	o := &opened{close: stop}
	w.open[namespace] = o
	w.running.Go(func() { w.follow(ctx, namespace, o) })
}

func (w *Watcher) leave(namespace string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o := w.open[namespace]; o != nil {
		o.close()
		delete(w.open, namespace)
	}
}

// patience is between two attempts. A binding that was just made is in force a few milliseconds later, so
// the first ones are close to each other.
func patience() *wait.Backoff {
	return &wait.Backoff{Duration: 10 * time.Millisecond, Factor: 2, Steps: 10, Cap: 5 * time.Second, Jitter: 0.2}
}

// loudly is after how many failed attempts, a few seconds' worth, something is said about them.
const loudly = 10

// follow lists and watches the Secrets of one cage until the context ends, however often it has to begin anew.
func (w *Watcher) follow(ctx context.Context, namespace string, o *opened) {
	secrets := w.client.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).Namespace(namespace)
	failed := 0
	source := &toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			list, err := secrets.List(ctx, options)
			if failed++; err == nil {
				failed = 0
			} else if failed%loudly == 0 {
				ctrl.Log.WithName("cages").Error(err, "the Secrets of a cage cannot be watched", "namespace", namespace)
			}
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return secrets.Watch(ctx, options)
		},
	}
	quiet := klog.Logger{}
	reflector := toolscache.NewReflectorWithOptions(source, &metav1.PartialObjectMetadata{}, &known{watcher: w, namespace: namespace, cage: o, ctx: ctx},
		toolscache.ReflectorOptions{Name: "cages/" + namespace, TypeDescription: "Secrets", Backoff: patience(), Logger: &quiet})
	reflector.RunWithContext(klog.NewContext(ctx, quiet))
}
