package cel

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
	"github.com/clawstaff/clawstaff/internal/testing/controlplane"
)

// Somebody has the token of a gateway's pod, and by RBAC every right in the cage. It opens no more than what
// the gateway does itself: its entry in the status of its own grant.
func TestAStolenGatewayToken(t *testing.T) {
	children(t)
	kept(t)
	_, uid := gateway(t, "stolen", "now")
	all := bind("unused", "everything-there-is")
	rb, ok := all.(*rbacv1.RoleBinding)
	if !ok {
		t.Fatal("no RoleBinding")
	}
	rb.Name, rb.Subjects = "stolen-may-everything", []rbacv1.Subject{{Kind: "ServiceAccount", Name: "stolen-gateway", Namespace: cage}}
	if err := k8s.Create(t.Context(), rb); err != nil {
		t.Fatal(err)
	}
	p := &corev1.Pod{ObjectMeta: in("stolen-gateway-now")}
	if err := k8s.Get(t.Context(), client.ObjectKeyFromObject(p), p); err != nil {
		t.Fatal(err)
	}
	conf := rest.AnonymousClientConfig(config)
	conf.BearerToken = tokenFor(t, "stolen-gateway", p)
	thief, k := withToken(t, conf.BearerToken), kubernetes.NewForConfigOrDie(conf)
	eventually(t, "its own entry", func() error { return setGateways(t, thief, "stolen", uid) })
	eventually(t, "its rights", func() error { return thief.List(t.Context(), &corev1.ConfigMapList{}, client.InNamespace(cage)) })

	checkRefusedBy(t, setGateways(t, thief, "sibling", uid), grantsPolicy, "only the gateway of this Claw writes it")
	checkRefusedBy(t, setGateways(t, thief, "stolen", uid, "another"), grantsPolicy, "only the gateway of this Claw writes it")
	for _, part := range [][]refusal{closedCageRefusals(), grantRefusals()} {
		for _, r := range part {
			if len(orMallory(r.by)) > 0 && orMallory(r.by)[0] != "mallory" {
				continue // what others than people are stopped at
			}
			for _, a := range r.attacks {
				if a.name == "create a grant outside of cages" {
					continue // RBAC stops it there
				}
				t.Run(r.policy+"/"+a.name, func(t *testing.T) { checkRefusedBy(t, a.do(t.Context(), thief, k), r.policy, r.says) })
			}
		}
	}
}

// A token that is bound to a pod which is gone opens nothing.
func TestATokenOfAPodThatIsGone(t *testing.T) {
	thief, uid := gateway(t, "gone", "now")
	eventually(t, "while it is there", func() error { return setGateways(t, thief, "gone", uid) })
	if err := k8s.Delete(t.Context(), &corev1.Pod{ObjectMeta: in("gone-gateway-now")}, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the token is refused", func() error {
		if err := setGateways(t, thief, "gone", uid); !apierrors.IsUnauthorized(err) {
			return errStill{err}
		}
		return nil
	})
}

// ownerOfTriage gives sarah what the manager gives the owner of Claw triage, from the golden file of the builders.
func ownerOfTriage(t *testing.T) client.Client {
	t.Helper()
	file, err := os.Open(filepath.Join(controlplane.Root(), "internal", "cage", "testdata", "claw.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	found := 0
	for d := yaml.NewYAMLOrJSONDecoder(file, 4096); ; {
		u := &unstructured.Unstructured{}
		if err := d.Decode(u); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if u.GetName() != "triage-owner" {
			continue
		}
		found++
		// As the manager, so that it is seen that it may.
		if err := as(chart.ManagerUser).Create(t.Context(), u); client.IgnoreAlreadyExists(err) != nil {
			t.Fatal(err)
		}
	}
	if found != 2 {
		t.Fatalf("%d objects of the owner, want a Role and a RoleBinding", found)
	}
	return as("sarah@acme.example")
}

// An owner changes their own Claw and its credentials; not what the manager says by labels, owners and
// finalizers, not others', and not the grant.
func TestAnOwnerWhoRelabelsAClaw(t *testing.T) {
	ctx := t.Context()
	mine := claw(func(c *v1alpha1.Claw) { c.Finalizers = []string{v1alpha1.Finalizer} })
	theirs := claw(named("theirs"))
	key := credential()
	for _, obj := range []client.Object{mine, theirs, key} {
		if err := k8s.Create(ctx, obj); client.IgnoreAlreadyExists(err) != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { letGo(t, mine, theirs, key) })
	if err := as(chart.ManagerUser).Create(ctx, grant("triage")); client.IgnoreAlreadyExists(err) != nil {
		t.Fatal(err)
	}
	sarah := ownerOfTriage(t)
	change := func(obj client.Object, patch string) error {
		return sarah.Patch(ctx, obj.DeepCopyObject().(client.Object), merge(patch)) //nolint:forcetypeassert // it is one
	}
	eventually(t, "the owner's rights", func() error { return change(mine, `{"spec":{"purpose":"Another."}}`) })
	if err := change(key, `{"spec":{"state":"Revoked"}}`); err != nil {
		t.Errorf("revoke a credential: %v", err)
	}
	for _, patch := range []string{`{"metadata":{"labels":{"clawstaff.dev/claw":"theirs"}}}`, `{"metadata":{"labels":{"clawstaff.dev/team":"finance"}}}`} {
		checkRefusedBy(t, change(mine, patch), reservedKeys, "are reserved")
	}
	checkRefusedBy(t, change(mine, bogusOwner), closedCage, "not for people")
	checkRefusedBy(t, change(mine, `{"metadata":{"finalizers":null}}`), closedCage, "the finalizer")
	if err := change(mine, `{"metadata":{"labels":{"team":"finance"}}}`); err != nil {
		t.Errorf("a label of one's own: %v", err)
	}
	for what, err := range map[string]error{
		"list Claws":              sarah.List(ctx, &v1alpha1.ClawList{}, client.InNamespace(cage)),
		"see another's":           sarah.Get(ctx, client.ObjectKeyFromObject(theirs), theirs),
		"change another's":        change(theirs, `{"spec":{"purpose":"Mine."}}`),
		"widen the grant":         change(grant("triage"), `{"spec":{"visibility":"Organization"}}`),
		"read the Secret":         sarah.Get(ctx, client.ObjectKey{Namespace: cage, Name: "triage-slack"}, &corev1.Secret{}),
		"read the gateway's":      sarah.Get(ctx, client.ObjectKey{Namespace: cage, Name: "triage-gateway"}, &corev1.Secret{}),
		"write the Claw's status": sarah.Status().Patch(ctx, mine.DeepCopy(), merge(`{"status":{"state":"Active"}}`)),
	} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s: got %v, want a refusal", what, err)
		}
	}
	if err := sarah.Get(ctx, client.ObjectKeyFromObject(grant("triage")), &v1alpha1.ClawGrant{}); err != nil {
		t.Errorf("read the grant: %v", err)
	}
}

// letGo deletes objects, finalizers or not.
func letGo(t *testing.T, objects ...client.Object) {
	t.Helper()
	ctx := context.Background() // a test's own is over when it cleans up
	for _, obj := range objects {
		if err := client.IgnoreNotFound(k8s.Patch(ctx, obj, merge(`{"metadata":{"finalizers":null}}`))); err != nil {
			t.Error(err)
		}
		if err := client.IgnoreNotFound(k8s.Delete(ctx, obj)); err != nil {
			t.Error(err)
		}
	}
}

// A member wants another's keys, by deleting their Claw and creating it again. A member deletes nobody's Claw.
// Whoever may, and creates it under its own name, finds credentials that name another owner, and cannot make
// them name somebody else. (That the manager gives a recreated Claw nothing is shown with the manager.)
func TestAMemberWhoRecreatesAnothersClaw(t *testing.T) {
	ctx := t.Context()
	victim, key := claw(named("victim")), credential(func(c *v1alpha1.ClawCredential) { c.Name, c.Spec.Claw.Name = "victims-key", "victim" })
	for _, obj := range []client.Object{victim, key} {
		if err := k8s.Create(ctx, obj); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { letGo(t, victim, key) })
	member := as(holder(t, "clawstaff-member"))
	for what, err := range map[string]error{
		"delete it":           member.Delete(ctx, victim.DeepCopy()),
		"delete all":          member.DeleteAllOf(ctx, &v1alpha1.Claw{}, client.InNamespace(cage)),
		"see it":              member.Get(ctx, client.ObjectKeyFromObject(victim), &v1alpha1.Claw{}),
		"list":                member.List(ctx, &v1alpha1.ClawList{}, client.InNamespace(cage)),
		"see what is allowed": member.List(ctx, &v1alpha1.ClawPolicyList{}, client.InNamespace(cage)),
		"see grants":          member.List(ctx, &v1alpha1.ClawGrantList{}, client.InNamespace(cage)),
		"see events":          member.List(ctx, &corev1.EventList{}, client.InNamespace(cage)),
		"take the key":        member.Patch(ctx, key.DeepCopy(), merge(`{"spec":{"claw":{"owner":"lee@acme.example"}}}`)),
	} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("a member may %s: got %v, want a refusal", what, err)
		}
	}
	if err := member.Create(ctx, claw(named("victim"))); !apierrors.IsAlreadyExists(err) {
		t.Errorf("create it again: got %v", err)
	}
	// Somebody with every right gets further, and not to the key.
	mallory := as("mallory")
	if err := mallory.Delete(ctx, victim.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	again := claw(named("victim"), func(c *v1alpha1.Claw) { c.Spec.Owner = "mallory@acme.example" })
	if err := mallory.Create(ctx, again); err != nil {
		t.Fatal(err)
	}
	err := mallory.Patch(ctx, key.DeepCopy(), merge(`{"spec":{"claw":{"owner":"mallory@acme.example"}}}`))
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.claw is immutable") {
		t.Errorf("rename the owner in the key: got %v", err)
	}
	err = mallory.Status().Patch(ctx, key.DeepCopy(), merge(`{"status":{"clawUID":"`+string(again.UID)+`"}}`))
	checkRefusedBy(t, err, closedCage, "people write only")
}

// A key that is somebody else's, or in a store that no policy lists, is not borrowed by naming it: with the
// webhook down nothing is admitted that names one, and around it there is no way.
func TestACredentialThatNamesAForeignSecretOrStore(t *testing.T) {
	ctx := t.Context()
	foreign := secret(in("foreign"), v1alpha1.SecretTypeCredential)
	foreign.Annotations = map[string]string{v1alpha1.AnnotationCredential: "somebody-elses"}
	if err := k8s.Create(ctx, foreign); err != nil {
		t.Fatal(err)
	}
	member := as(holder(t, "clawstaff-member"))
	for what, err := range map[string]error{
		"have it lent to oneself": member.Patch(ctx, foreign.DeepCopy(), merge(`{"metadata":{"annotations":{"clawstaff.dev/credential":"mine"}}}`)),
		"read it":                 member.Get(ctx, client.ObjectKeyFromObject(foreign), &corev1.Secret{}),
		"make it anew":            member.Delete(ctx, foreign.DeepCopy()),
	} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("a member may %s: got %v, want a refusal", what, err)
		}
	}
	// What External Secrets Operator obeys, people do not write in a cage; nor where it would put the key.
	installExternalSecrets(t)
	external := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"secretStoreRef": map[string]any{"kind": "ClusterSecretStore", "name": "vault"}}}}
	external.SetGroupVersionKind(externalSecret)
	external.SetNamespace(cage)
	external.SetName("rogue")
	clusterBound := &rbacv1.ClusterRole{ObjectMeta: clusterScoped("external-secrets"), Rules: []rbacv1.PolicyRule{{APIGroups: []string{externalSecret.Group}, Resources: []string{"*"}, Verbs: []string{"*"}}}}
	for _, obj := range []client.Object{clusterBound, bind("mallory", "external-secrets")} {
		if err := k8s.Create(ctx, obj); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "an ExternalSecret of one's own is refused by the cage", func() error {
		if err := as("mallory").Create(ctx, external.DeepCopy()); !refusedBy(err, closedCage) {
			return errStill{err}
		}
		return nil
	})
	checkRefusedBy(t, as("mallory").Create(ctx, secret(in("mine-external"), v1alpha1.SecretTypeCredential)), closedCage, "people write only")
	if err := as(chart.ManagerUser).Create(ctx, external.DeepCopy(), client.DryRunAll); err != nil {
		t.Errorf("the manager: %v", err)
	}
}

var externalSecret = schema.GroupVersionKind{Group: "external-secrets.io", Version: "v1", Kind: "ExternalSecret"}

// installExternalSecrets makes the API server know the kind, as External Secrets Operator would.
func installExternalSecrets(t *testing.T) {
	t.Helper()
	crd := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": "externalsecrets.external-secrets.io"},
		"spec": map[string]any{
			"group": externalSecret.Group, "scope": "Namespaced",
			"names": map[string]any{"kind": externalSecret.Kind, "plural": "externalsecrets"},
			"versions": []any{map[string]any{"name": externalSecret.Version, "served": true, "storage": true, "schema": map[string]any{
				"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}},
		},
	}}
	if err := k8s.Create(t.Context(), crd); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the kind is there", func() error {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(externalSecret.GroupVersion().WithKind("ExternalSecretList"))
		return k8s.List(t.Context(), list)
	})
}

// Deleting a Claw and leaving its children would leave an agent running without anybody's word. It is taken as
// every deletion is, and the Claw stays until the manager has taken down what runs.
func TestAnOrphaningDelete(t *testing.T) {
	ctx := t.Context()
	c := claw(named("orphaning"), func(c *v1alpha1.Claw) { c.Finalizers = []string{v1alpha1.Finalizer} })
	if err := k8s.Create(ctx, c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { letGo(t, c) })
	mallory := as("mallory")
	if err := mallory.Delete(ctx, c.DeepCopy(), client.PropagationPolicy(metav1.DeletePropagationOrphan)); err != nil {
		t.Fatal(err)
	}
	if err := k8s.Get(ctx, client.ObjectKeyFromObject(c), c); err != nil {
		t.Fatalf("it is gone: %v", err)
	}
	checkRefusedBy(t, mallory.Patch(ctx, c.DeepCopy(), merge(`{"metadata":{"finalizers":null}}`)), closedCage, "the finalizer clawstaff.dev/teardown")
	checkRefusedBy(t, mallory.Patch(ctx, c.DeepCopy(), merge(`{"metadata":{"finalizers":["orphan"]}}`)), closedCage, "the finalizer clawstaff.dev/teardown")
	if err := as(chart.ManagerUser).Patch(ctx, c.DeepCopy(), merge(`{"metadata":{"finalizers":["orphan"]}}`)); err != nil {
		t.Errorf("the manager: %v", err)
	}
}
