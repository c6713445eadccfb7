// Package controller wires the controllers to a manager and its caches.
package controller

import (
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/cluster"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/controller/cages"
	"github.com/clawstaff/clawstaff/internal/controller/claw"
	credentialcontroller "github.com/clawstaff/clawstaff/internal/controller/credential"
	"github.com/clawstaff/clawstaff/internal/controller/index"
	"github.com/clawstaff/clawstaff/internal/controller/organization"
	"github.com/clawstaff/clawstaff/internal/controller/platform"
	"github.com/clawstaff/clawstaff/internal/controller/policy"
	"github.com/clawstaff/clawstaff/internal/credential"
	"github.com/clawstaff/clawstaff/internal/directory"
	"github.com/clawstaff/clawstaff/internal/probe"
)

// Config is what the controllers are given.
type Config struct {
	Settings  cage.Settings
	Outside   []probe.Target
	Catalogue *connector.Catalogue
	Hasher    credential.Hasher
	Clock     clock.PassiveClock
	// Directory, where there is one, is given what it reads by, so that the webhook can share it.
	Directory *directory.Reader
}

// CacheOptions select what the manager caches: our kinds, and of everything else only what carries our
// labels, so that memory follows the number of Claws and not the size of the cluster. Of Secrets it caches
// nothing: package cages watches them where it may.
func CacheOptions() cache.Options {
	managed := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy})}
	ofClaws := cache.ByObject{Label: exists(v1alpha1.LabelClaw)}
	return cache.Options{
		DefaultTransform: slim,
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Pod{}:                   ofClaws,
			&corev1.PersistentVolumeClaim{}: ofClaws,
			&corev1.ConfigMap{}:             managed,
			&corev1.Service{}:               managed,
			&corev1.ServiceAccount{}:        managed,
			&corev1.ResourceQuota{}:         managed,
			&corev1.LimitRange{}:            managed,
			&appsv1.Deployment{}:            managed,
			&appsv1.StatefulSet{}:           managed,
			&networkingv1.NetworkPolicy{}:   managed,
			&rbacv1.Role{}:                  managed,
			&rbacv1.RoleBinding{}:           managed,
		},
	}
}

func exists(label string) labels.Selector {
	r, err := labels.NewRequirement(label, selection.Exists, nil)
	if err != nil {
		return labels.Nothing()
	}
	return labels.NewSelector().Add(*r)
}

// slim drops from cached objects what nothing here reads: of managed fields only who manages is of interest.
func slim(o any) (any, error) {
	accessor, err := meta.Accessor(o)
	if err != nil {
		return o, nil //nolint:nilerr // not an object: kept as it is
	}
	managed := accessor.GetManagedFields()
	for i := range managed {
		managed[i].FieldsV1 = nil
	}
	accessor.SetManagedFields(managed)
	return o, nil
}

// platformKeep is how long facts about the cluster itself are kept.
const platformKeep = time.Minute

// Setup adds every controller to the manager.
func Setup(ctx context.Context, mgr ctrl.Manager, c Config) error {
	if err := index.Register(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	inCages, err := cages.Add(mgr, c.Settings.OperatorNamespace)
	if err != nil {
		return err
	}
	operator, err := operatorConfigMaps(mgr, c.Settings.OperatorNamespace)
	if err != nil {
		return err
	}
	directories := c.Directory
	if directories == nil {
		directories = &directory.Reader{}
	}
	directories.Client, directories.Namespace = operator, c.Settings.OperatorNamespace
	recorder := mgr.GetEventRecorder(v1alpha1.ManagedBy)
	organizations := &organization.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: recorder, Clock: c.Clock, OperatorNamespace: c.Settings.OperatorNamespace,
		Cages: inCages, Directory: directories,
	}
	if err := organizations.SetupWithManager(mgr, operator); err != nil {
		return err
	}
	if err := (&policy.Reconciler{Client: mgr.GetClient(), Clock: c.Clock, Directory: directories}).SetupWithManager(mgr, operator, inCages); err != nil {
		return err
	}
	credentials := &credentialcontroller.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: recorder, Clock: c.Clock, Catalogue: c.Catalogue, Hasher: c.Hasher,
		Directory: directories,
	}
	if err := credentials.SetupWithManager(mgr, operator, inCages); err != nil {
		return err
	}
	claws := &claw.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: recorder, Clock: c.Clock, Catalogue: c.Catalogue, Hasher: c.Hasher,
		Settings: c.Settings, Outside: c.Outside, Directory: directories,
		Platform: &platform.Reader{Live: mgr.GetAPIReader(), OperatorNamespace: c.Settings.OperatorNamespace, Clock: c.Clock, Keep: platformKeep},
	}
	return claws.SetupWithManager(mgr, operator, inCages)
}

// operatorConfigMaps caches the ConfigMaps of the operator's own namespace.
func operatorConfigMaps(mgr ctrl.Manager, namespace string) (cache.Cache, error) {
	return apart(mgr, map[client.Object]cache.ByObject{
		&corev1.ConfigMap{}: {Namespaces: map[string]cache.Config{namespace: {}}},
	})
}

// apart is a cache beside the manager's, which has one selector for each kind.
func apart(mgr ctrl.Manager, objects map[client.Object]cache.ByObject) (cache.Cache, error) {
	c, err := cluster.New(mgr.GetConfig(), func(o *cluster.Options) {
		o.Scheme = mgr.GetScheme()
		o.Cache = cache.Options{ByObject: objects, DefaultTransform: slim}
	})
	if err != nil {
		return nil, err
	}
	return c.GetCache(), mgr.Add(c)
}
