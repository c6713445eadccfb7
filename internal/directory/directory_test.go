package directory

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

const namespace = "clawstaff-system"

// configMaps is a reader of ConfigMaps that counts.
type configMaps struct {
	by    map[string]*corev1.ConfigMap
	fails error
	reads int
}

func (m *configMaps) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	m.reads++
	cm, ok := m.by[key.Name]
	switch {
	case m.fails != nil:
		return m.fails
	case key.Namespace != namespace || !ok:
		return apierrors.NewNotFound(corev1.Resource("configmaps"), key.Name)
	}
	cm.DeepCopyInto(obj.(*corev1.ConfigMap))
	return nil
}

func (m *configMaps) List(context.Context, client.ObjectList, ...client.ListOption) error {
	return errors.New("nobody lists ConfigMaps for a directory")
}

func configMap(version string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{UID: "u", ResourceVersion: version}, Data: data}
}

func org(refs ...v1alpha1.ObjectName) *v1alpha1.ClawOrganization {
	o := &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: "acme", UID: "acme-1", Generation: 1}}
	o.Spec.Members = []v1alpha1.Member{{Name: "sarah", Identities: map[string][]string{"slack": {"U1"}}, Kubernetes: []string{"sarah@acme"}}}
	for _, r := range refs {
		o.Spec.DirectoryRefs = append(o.Spec.DirectoryRefs, v1alpha1.ConfigMapReference{ConfigMap: r})
	}
	return o
}

func TestProblems(t *testing.T) {
	for name, c := range map[string]struct {
		data    map[string]*corev1.ConfigMap
		refs    []v1alpha1.ObjectName
		members []v1alpha1.MemberName
		want    []Problem
		// unknown means that there may be teams nobody could read.
		unknown bool
	}{
		"the spec alone": {members: []v1alpha1.MemberName{"sarah"}},
		"files": {
			data: map[string]*corev1.ConfigMap{"people": configMap("1", map[string]string{
				"a.yaml": "members: [{name: lee}]", "b.yaml": "members: [{name: kim}]", "README.md": "not: [read"})},
			refs: []v1alpha1.ObjectName{"people"}, members: []v1alpha1.MemberName{"sarah", "lee", "kim"},
		},
		"one is missing": {
			data: map[string]*corev1.ConfigMap{"people": configMap("1", map[string]string{"a.yaml": "members: [{name: lee}]"})},
			refs: []v1alpha1.ObjectName{"gone", "people"}, members: []v1alpha1.MemberName{"sarah", "lee"}, unknown: true,
			want: []Problem{{v1alpha1.ReasonDirectoryMissing, `ConfigMap "gone", which spec.directoryRefs names, is not in namespace "clawstaff-system": whom it would name counts for nobody. Create it there, or take it out of spec.directoryRefs`}},
		},
		"nothing to read in it": {
			data: map[string]*corev1.ConfigMap{"people": configMap("1", map[string]string{"members.json": "{}"})},
			refs: []v1alpha1.ObjectName{"people"}, members: []v1alpha1.MemberName{"sarah"}, unknown: true,
			want: []Problem{{v1alpha1.ReasonDirectoryMalformed, `ConfigMap "people" in namespace "clawstaff-system" has no key that ends in .yaml, so it names nobody: put a document with members and teams under one, such as members.yaml`}},
		},
		"a malformed document beside a good one": {
			data: map[string]*corev1.ConfigMap{"people": configMap("1", map[string]string{"a.yaml": "members: lee", "b.yaml": "members: [{name: kim}]"})},
			refs: []v1alpha1.ObjectName{"people"}, members: []v1alpha1.MemberName{"sarah", "kim"},
			want: []Problem{{v1alpha1.ReasonDirectoryMalformed, `people/a.yaml: members is no list, so it names nobody`}},
		},
		"a team that cannot be read": {
			data: map[string]*corev1.ConfigMap{"people": configMap("1", map[string]string{"a.yaml": "teams: [{name: Upper}]"})},
			refs: []v1alpha1.ObjectName{"people"}, members: []v1alpha1.MemberName{"sarah"}, unknown: true,
			want: []Problem{{v1alpha1.ReasonDirectoryMalformed, `people/a.yaml: teams[0] counts for nothing: name "Upper" is none: 1 to 63 lower-case letters, digits and -`}},
		},
		"contested": {
			data: map[string]*corev1.ConfigMap{"people": configMap("1", map[string]string{
				"a.yaml": "members: [{name: lee, identities: {slack: [U1, U2], github: [U1]}, kubernetes: [sarah@acme]}, {name: kim, identities: {slack: [U1]}}]"})},
			refs: []v1alpha1.ObjectName{"people"}, members: []v1alpha1.MemberName{"sarah", "lee", "kim"},
			want: []Problem{
				{v1alpha1.ReasonIdentityContested, `Kubernetes username "sarah@acme" is claimed by lee and sarah, so it is nobody's: leave it with one of them`},
				{v1alpha1.ReasonIdentityContested, `slack identity "U1" is claimed by kim and lee and sarah, so it is nobody's: leave it with one of them`},
			},
		},
		"the same member again, who is not believed there": {
			data: map[string]*corev1.ConfigMap{"people": configMap("1", map[string]string{
				"a.yaml": "members: [{name: sarah, identities: {slack: [U9]}}, {name: lee, identities: {slack: [U9]}}]"})},
			refs: []v1alpha1.ObjectName{"people"}, members: []v1alpha1.MemberName{"sarah", "lee"},
			want: []Problem{{v1alpha1.ReasonDirectoryMalformed, `people/a.yaml: member "sarah" is named before and counts only as there: name each once`}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Reader{Client: &configMaps{by: c.data}, Namespace: namespace}
			d, problems, err := r.Of(t.Context(), org(c.refs...))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, problems); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if d.Size() != len(c.members) {
				t.Errorf("%d members, want %d", d.Size(), len(c.members))
			}
			if d.TeamsKnown() == c.unknown {
				t.Errorf("teams are known: %t", d.TeamsKnown())
			}
			for _, m := range c.members {
				if !d.IsMember(m) {
					t.Errorf("%s is no member", m)
				}
			}
		})
	}
}

// A directory is built anew when something of it changed, and only then; and it heals by itself.
func TestKept(t *testing.T) {
	people := &configMaps{by: map[string]*corev1.ConfigMap{}}
	r := &Reader{Client: people, Namespace: namespace}
	o := org("people")
	look := func(o *v1alpha1.ClawOrganization) any {
		t.Helper()
		d, _, err := r.Of(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	missing := look(o)
	if look(o) != missing {
		t.Error("built again although nothing changed")
	}
	people.by["people"] = configMap("1", map[string]string{"a.yaml": "members: [{name: lee}]"})
	first := look(o)
	if first == missing || look(o) != first {
		t.Error("a ConfigMap that came makes no difference, or one each time")
	}
	people.by["people"] = configMap("2", map[string]string{"a.yaml": "members: []"})
	second := look(o)
	if second == first {
		t.Error("a ConfigMap that changed makes no difference")
	}
	o.Generation++
	if look(o) == second {
		t.Error("a spec that changed makes no difference")
	}
	again := org("people")
	again.UID = "acme-2"
	if look(again) == look(o) {
		t.Error("an organization of the same name has the directory of the former one")
	}
}

// What somebody only asks for is not kept, or whoever is refused would decide who is a member.
func TestPendingIsNotKept(t *testing.T) {
	r := &Reader{Client: &configMaps{}, Namespace: namespace}
	pending := org()
	pending.Spec.Members = append(pending.Spec.Members, v1alpha1.Member{Name: "mallory"})
	d, _, err := r.OfPending(t.Context(), r.Client, pending)
	if err != nil || !d.IsMember("mallory") {
		t.Fatalf("the organization that is asked for is not read: %v", err)
	}
	if d, _, err = r.Of(t.Context(), org()); err != nil || d.IsMember("mallory") {
		t.Errorf("what was asked for is believed: %v", err)
	}
}

func TestWhatCannotBeAskedForIsAnError(t *testing.T) {
	r := &Reader{Client: &configMaps{fails: errors.New("no connection")}, Namespace: namespace}
	if d, _, err := r.Of(t.Context(), org("people")); err == nil || d != nil {
		t.Errorf("got %v, %v", d, err)
	}
}

func TestKeptIsBounded(t *testing.T) {
	var k kept
	for i := range maxKept + 10 {
		k.put(fmt.Sprint(i), "v", joined{})
	}
	if len(k.by) != maxKept {
		t.Errorf("%d are kept, want %d", len(k.by), maxKept)
	}
}

func objectNames(names []string) []v1alpha1.ObjectName {
	out := make([]v1alpha1.ObjectName, 0, len(names))
	for _, n := range names {
		out = append(out, v1alpha1.ObjectName(n))
	}
	return out
}
