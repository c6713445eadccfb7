package journey

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// childKinds are the kinds of what the manager makes in a cage. Pods are not among them: those are made by
// what is; nor is the workspace, which nobody makes again.
var childKinds = []schema.GroupVersionKind{
	{Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy"},
	{Version: "v1", Kind: "ResourceQuota"},
	{Version: "v1", Kind: "LimitRange"},
	{Version: "v1", Kind: "ServiceAccount"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "Role"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "RoleBinding"},
	{Version: "v1", Kind: "ConfigMap"},
	{Version: "v1", Kind: "Service"},
	{Group: "clawstaff.dev", Version: "v1alpha1", Kind: "ClawGrant"},
	{Group: "apps", Version: "v1", Kind: "StatefulSet"},
	{Group: "apps", Version: "v1", Kind: "Deployment"},
	{Version: "v1", Kind: "Secret"},
}

// Children are the objects the manager made for the Claw and for its cage.
func (j *Journey) Children(ctx context.Context) ([]*unstructured.Unstructured, error) {
	var children []*unstructured.Unstructured
	for _, kind := range childKinds {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind)
		if err := j.Client.List(ctx, list, ctrlclient.InNamespace(Namespace), ctrlclient.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}); err != nil {
			return nil, err
		}
		for i := range list.Items {
			if of, some := list.Items[i].GetLabels()[v1alpha1.LabelClaw]; !some || of == Claw {
				children = append(children, &list.Items[i])
			}
		}
	}
	return children, nil
}

// Saboteur is a client that no admission policy of ours stops, as Kubernetes' own controllers are not:
// the tests need somebody who can break what nobody should.
func (j *Journey) Saboteur() (ctrlclient.Client, error) {
	config := rest.CopyConfig(j.Config)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:kube-system:saboteur",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated", "system:masters"},
	}
	return ctrlclient.New(config, ctrlclient.Options{Scheme: j.Client.Scheme()})
}

// WatchedKinds are the kinds of everything in a cage that somebody could write at rest.
func WatchedKinds() []schema.GroupVersionKind {
	return append([]schema.GroupVersionKind{
		{Version: "v1", Kind: "Pod"},
		{Version: "v1", Kind: "PersistentVolumeClaim"},
		{Group: "clawstaff.dev", Version: "v1alpha1", Kind: "Claw"},
		{Group: "clawstaff.dev", Version: "v1alpha1", Kind: "ClawPolicy"},
		{Group: "clawstaff.dev", Version: "v1alpha1", Kind: "ClawCredential"},
	}, childKinds...)
}

// Versions are the resource versions of everything in the cage, by kind and name.
func (j *Journey) Versions(ctx context.Context) (map[string]string, error) {
	versions := map[string]string{}
	for _, kind := range WatchedKinds() {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind)
		if err := j.Client.List(ctx, list, ctrlclient.InNamespace(Namespace)); err != nil {
			return nil, err
		}
		for _, object := range list.Items {
			versions[object.GetKind()+"/"+object.GetName()] = object.GetResourceVersion()
		}
	}
	return versions, nil
}

// SystemPods are the UIDs of the pods of the manager and the ledger, sorted.
func (j *Journey) SystemPods(ctx context.Context) ([]string, error) {
	var pods corev1.PodList
	if err := j.Client.List(ctx, &pods, ctrlclient.InNamespace(SystemNS)); err != nil {
		return nil, err
	}
	var uids []string
	for _, pod := range pods.Items {
		uids = append(uids, pod.Name+" "+string(pod.UID))
	}
	slices.Sort(uids)
	return uids, nil
}
