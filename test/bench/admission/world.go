package admission

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	clawcage "github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
	"github.com/clawstaff/clawstaff/internal/testing/controlplane"
	"github.com/clawstaff/clawstaff/test/bench/load"
)

// world is an API server with all that the chart installs, an organization, and nobody who runs anything.
type world struct {
	say     func(format string, args ...any)
	env     *envtest.Environment
	dir     string        // for files of this run
	api     client.Client // as its administrator
	asOwner client.Client // as the member whose Claws are created
	owner   load.Target   // the same, for load; without a request
	version string        // of the API server
	floor   []client.Object
	hooks   *admissionregistrationv1.ValidatingWebhookConfiguration
}

// open starts an API server. What is to be measured is not installed yet: neither admission policies nor the webhook.
func open(ctx context.Context, say func(format string, args ...any)) (w *world, stop func(), err error) {
	scheme := k8sruntime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), clientgoscheme.AddToScheme(scheme)); err != nil {
		return nil, nil, err
	}
	say("admission: the chart is rendered")
	installed, err := chart.All()
	if err != nil {
		return nil, nil, err
	}
	say("admission: an API server is started")
	config, env, stopAPI, err := controlplane.Run()
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "clawstaff-admission-")
	stop = func() {
		stopAPI()
		_ = os.RemoveAll(dir) // nothing in it is worth a word
	}
	w = &world{say: say, env: env, dir: dir}
	if err == nil {
		err = w.connect(config, scheme)
	}
	if err == nil {
		err = w.install(ctx, installed)
	}
	if err != nil {
		stop()
		return nil, nil, err
	}
	return w, stop, nil
}

// connect makes clients of the administrator and of the owner.
func (w *world) connect(config *rest.Config, scheme *k8sruntime.Scheme) error {
	config.QPS, config.WarningHandler = -1, rest.NoWarnings{} // that a credential is not there yet is no news here
	var err error
	if w.api, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	asked, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	version, err := asked.ServerVersion()
	if err != nil {
		return err
	}
	w.version = version.GitVersion
	user, err := w.env.AddUser(envtest.User{Name: string(owner), Groups: []string{"members"}}, config)
	if err != nil {
		return err
	}
	own := user.Config()
	if w.asOwner, err = client.New(own, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	certificate, err := tls.X509KeyPair(own.CertData, own.KeyData)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(own.CAData) {
		return errors.New("the API server's CA is no certificate")
	}
	address, err := url.Parse(own.Host)
	if err != nil {
		return err
	}
	w.owner = load.Target{Address: address.Host, Host: address.Hostname(), Roots: roots, Certificates: []tls.Certificate{certificate}}
	return nil
}

// install creates what the chart installs, but for what runs programs, and keeps apart what is measured.
func (w *world) install(ctx context.Context, installed []client.Object) error {
	objects := []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: chart.Namespace}}}
	for _, obj := range installed {
		u, ok := obj.(*unstructured.Unstructured)
		if !ok {
			return fmt.Errorf("the chart renders %T", obj)
		}
		switch u.GetKind() {
		case "CustomResourceDefinition", "Deployment", "StatefulSet": // the first were there when the API server began
		case "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding":
			w.floor = append(w.floor, u)
		case "ValidatingWebhookConfiguration":
			w.hooks = &admissionregistrationv1.ValidatingWebhookConfiguration{}
			if err := k8sruntime.DefaultUnstructuredConverter.FromUnstructured(u.Object, w.hooks); err != nil {
				return err
			}
		default:
			objects = append(objects, u)
		}
	}
	if w.hooks == nil || len(w.floor) == 0 {
		return errors.New("the chart has no webhook or no admission policies: there is nothing to measure")
	}
	for _, obj := range append(objects, w.surroundings()...) {
		if err := w.api.Create(ctx, obj); err != nil {
			return fmt.Errorf("create %T %s: %w", obj, obj.GetName(), err)
		}
	}
	return nil
}

// surroundings are what makes a benchmark of it: an owner with rights whom the API server's own limits on parallel
// requests leave alone, and a leader that is none, so that the manager stays on standby.
func (w *world) surroundings() []client.Object {
	now := metav1.NewMicroTime(time.Now())
	holder, seconds := "benchmark", int32(24*60*60)
	name := metav1.ObjectMeta{Name: "admission-benchmark"}
	user := rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: string(owner)}
	return []client.Object{
		&rbacv1.ClusterRole{ObjectMeta: name, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"claws"}, Verbs: []string{"create"}},
			{APIGroups: []string{""}, Resources: []string{"services"}, Verbs: []string{"create"}}, // to see whether the cage is closed
		}},
		&rbacv1.ClusterRoleBinding{ObjectMeta: name, Subjects: []rbacv1.Subject{user},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name.Name}},
		&flowcontrolv1.FlowSchema{ObjectMeta: name, Spec: flowcontrolv1.FlowSchemaSpec{
			PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: flowcontrolv1.PriorityLevelConfigurationNameExempt},
			MatchingPrecedence:         2,
			Rules: []flowcontrolv1.PolicyRulesWithSubjects{{
				Subjects: []flowcontrolv1.Subject{{Kind: flowcontrolv1.SubjectKindUser, User: &flowcontrolv1.UserSubject{Name: string(owner)}}},
				ResourceRules: []flowcontrolv1.ResourcePolicyRule{{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"},
					Namespaces: []string{"*"}}},
			}},
		}},
		&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: chart.Namespace, Name: managerName}, Spec: coordinationv1.LeaseSpec{
			HolderIdentity: &holder, LeaseDurationSeconds: &seconds, AcquireTime: &now, RenewTime: &now,
		}},
	}
}

// found makes the organization, its directory, and of its cage the namespace, as the manager would. Without the
// controllers of Kubernetes a ResourceQuota would admit nothing.
func (w *world) found(ctx context.Context, members int) error {
	_, maps, err := directory(members)
	if err != nil {
		return err
	}
	org := organization(maps)
	if err := w.api.Apply(ctx, clawcage.ForOrganization(org)[0], client.FieldOwner(v1alpha1.ManagedBy)); err != nil {
		return err
	}
	for i := range maps {
		if err := w.api.Create(ctx, &maps[i]); err != nil {
			return err
		}
	}
	return w.api.Create(ctx, org)
}

// fill puts Claws into the cage, and the credentials of those that will be asked for.
func (w *world) fill(ctx context.Context, claws, members int) error {
	now := time.Now()
	var objects []client.Object
	for i := range distinct {
		for _, c := range credentials(claw(asked(i), 0, 0, now)) {
			objects = append(objects, c)
		}
	}
	for i := range claws {
		objects = append(objects, claw(fmt.Sprintf("claw-%d", i), i%members, 0, now))
	}
	return w.create(ctx, "objects", objects)
}

// asked is the name of a Claw that is asked for and never made.
func asked(i int) string { return fmt.Sprintf("asked-%d", i) }

// writers create in parallel.
const writers = 24

// create creates many objects at once and says how far it is.
func (w *world) create(ctx context.Context, what string, objects []client.Object) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var next, done atomic.Int64
	failures := make([]error, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for ctx.Err() == nil {
				n := int(next.Add(1)) - 1
				if n >= len(objects) {
					return
				}
				if err := w.api.Create(ctx, objects[n]); err != nil {
					failures[i] = fmt.Errorf("create %s: %w", objects[n].GetName(), err)
					cancel() // the others need not go on
					return
				}
				done.Add(1)
			}
		})
	}
	over := make(chan struct{})
	go func() { wg.Wait(); close(over) }()
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.say("admission: %d of %d %s are there", done.Load(), len(objects), what)
		case <-over:
			return errors.Join(failures...)
		}
	}
}

// targets are creations of Claws that the first and the last of so many policies allow, as a dry run: what is there
// stays as it is.
func (w *world) targets(last int) ([]load.Target, error) {
	path := fmt.Sprintf("/apis/%s/namespaces/%s/claws?dryRun=All&fieldManager=benchmark", v1alpha1.GroupVersion, cage)
	out := make([]load.Target, distinct)
	for i := range out {
		c := claw(asked(i), 0, last, time.Now())
		c.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Claw"}
		body, err := json.Marshal(c)
		if err != nil {
			return nil, err
		}
		out[i] = w.owner
		out[i].Request = out[i].Post(path, string(body), "Accept: application/json")
	}
	return out, nil
}

// patience is how long something is waited for that takes no time on a machine that is idle.
const patience = time.Minute

// until tries f until it has no error.
func until(ctx context.Context, what string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: still after %s: %w", what, patience, err)
		case <-tick.C:
		}
	}
}
