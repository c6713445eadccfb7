// This file is the enforcer: it keeps the node's rules equal to what the API server says.

package netpol

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// Config is where the enforcer stands and whom it talks to.
type Config struct {
	Network    Network
	Kubeconfig string
	Socket     string // where the CNI plugin reports pods
	State      string // file of what it reported
}

// enforcer joins two sources: the API says what a pod may do, and the CNI plugin says which address is whose. The API's own
// word on addresses comes too late for a pod that connects from its first instruction.
type enforcer struct {
	network    Network
	pods       corelisters.PodLister
	namespaces corelisters.NamespaceLister
	policies   networkinglisters.NetworkPolicyLister
	install    func(context.Context, Network, Ruleset) error

	mu        sync.Mutex // guards what follows, and the table
	addresses *addressBook
	installed *Ruleset
}

// Run enforces until ctx is done. The rules stay behind: with no enforcer, known pods keep theirs and new ones get nothing.
func Run(ctx context.Context, config Config) error {
	addresses, err := openAddressBook(config.State)
	if err != nil {
		return err
	}
	restConfig, err := clientcmd.BuildConfigFromFlags("", config.Kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(restConfig)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	e := &enforcer{
		network:    config.Network,
		pods:       factory.Core().V1().Pods().Lister(),
		namespaces: factory.Core().V1().Namespaces().Lister(),
		policies:   factory.Networking().V1().NetworkPolicies().Lister(),
		install:    Install,
		addresses:  addresses,
	}
	if addresses.empty() { // a new cluster: nothing passes before the first word of the API
		if err := Install(ctx, config.Network, Compile(Cluster{})); err != nil {
			return err
		}
	}
	dirty := make(chan struct{}, 1)
	if err := notify(factory, dirty); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("stopped before the API server told of all %s", kind)
		}
	}
	if err := e.apply(ctx); err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- e.serve(ctx, config.Socket) }()
	return e.loop(ctx, dirty, failed)
}

// notify marks the rules dirty at every change that can matter.
func notify(factory informers.SharedInformerFactory, dirty chan<- struct{}) error {
	mark := func() {
		select {
		case dirty <- struct{}{}:
		default: // already marked
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { mark() },
		UpdateFunc: func(any, any) { mark() },
		DeleteFunc: func(any) { mark() },
	}
	for _, informer := range []cache.SharedIndexInformer{
		factory.Core().V1().Pods().Informer(),
		factory.Core().V1().Namespaces().Informer(),
		factory.Networking().V1().NetworkPolicies().Informer(),
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}
	return nil
}

func (e *enforcer) loop(ctx context.Context, dirty <-chan struct{}, failed <-chan error) error {
	var retry <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-dirty:
		case <-retry:
		}
		retry = nil
		if err := e.apply(ctx); err != nil {
			slog.Error("the rules were not replaced; trying again", "error", err)
			retry = time.After(time.Second)
		}
	}
}

// apply compiles what is known now and installs it if it differs.
func (e *enforcer) apply(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	cluster, err := e.cluster()
	if err != nil {
		return err
	}
	rules := Compile(cluster)
	if e.installed != nil && reflect.DeepEqual(*e.installed, rules) {
		return nil
	}
	for _, err := range rules.Invalid {
		slog.Warn("part of a policy is ignored, so allows nothing", "error", err)
	}
	if err := e.install(ctx, e.network, rules); err != nil {
		return err
	}
	e.installed = &rules
	return nil
}

// cluster gathers the compiler's input. A pod without an address of ours, such as one of the host's network, is not in it;
// an address without a pod in the API is not either, so it stays cut off.
func (e *enforcer) cluster() (Cluster, error) {
	cluster := Cluster{Namespaces: map[string]labels.Set{}}
	namespaces, err := e.namespaces.List(labels.Everything())
	if err != nil {
		return cluster, err
	}
	for _, namespace := range namespaces {
		cluster.Namespaces[namespace.Name] = namespace.Labels
	}
	if cluster.Policies, err = e.policies.List(labels.Everything()); err != nil {
		return cluster, err
	}
	pods, err := e.pods.List(labels.Everything())
	if err != nil {
		return cluster, err
	}
	for _, pod := range pods {
		if ips := e.addresses.of(string(pod.UID)); len(ips) > 0 {
			cluster.Pods = append(cluster.Pods, Pod{
				Namespace: pod.Namespace, Name: pod.Name, Labels: pod.Labels, IPs: ips, Ports: ports(pod),
			})
		}
	}
	return cluster, nil
}

func ports(pod *corev1.Pod) []corev1.ContainerPort {
	var all []corev1.ContainerPort
	for _, container := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
		all = append(all, container.Ports...)
	}
	return all
}

// added returns when the new pod's rules are in place; its containers start after that.
func (e *enforcer) added(ctx context.Context, a assignment) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !e.exists(a.PodUID) { // the kubelet may hear of the pod before we do
		select {
		case <-ctx.Done():
			return fmt.Errorf("the API server did not tell of pod %s in time", a.PodUID)
		case <-ticker.C:
		}
	}
	e.mu.Lock()
	err := e.addresses.put(a)
	e.mu.Unlock()
	if err != nil {
		return err
	}
	return e.apply(ctx)
}

func (e *enforcer) exists(podUID string) bool {
	pods, err := e.pods.List(labels.Everything())
	return err == nil && slices.ContainsFunc(pods, func(pod *corev1.Pod) bool { return string(pod.UID) == podUID })
}

// inPlace puts the table back if somebody has removed it.
func (e *enforcer) inPlace(ctx context.Context) error {
	if Installed(ctx, e.network) {
		return nil
	}
	e.mu.Lock()
	e.installed = nil
	e.mu.Unlock()
	return e.apply(ctx)
}

func (e *enforcer) removed(ctx context.Context, sandbox string) error {
	e.mu.Lock()
	err := e.addresses.remove(sandbox)
	e.mu.Unlock()
	if err != nil {
		return err
	}
	return e.apply(ctx)
}
