package cel

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	cagepkg "github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/policy"
	"github.com/clawstaff/clawstaff/internal/testing/chart"
)

// The largest grant the compiler gives can be stored, beside what the API server keeps about its fields. Were it
// not, the one before it, which may give more, would stay in force.
func TestLargestGrantIsStored(t *testing.T) {
	members := 0
	var largest v1alpha1.ClawGrantSpec
	for step := 32768; step > 0; step /= 2 {
		got := policy.Compile(crowd(members + step)).Grant
		if len(got.Channels) > 0 {
			members, largest = members+step, got
		}
	}
	if members < 10000 {
		t.Fatalf("a grant holds %d members only", members)
	}
	claw := &v1alpha1.Claw{ObjectMeta: metav1.ObjectMeta{Name: "crowded", Namespace: cage, UID: "crowded"}}
	object, err := cagepkg.Grant(claw, largest)
	if err != nil {
		t.Fatal(err)
	}
	manager := as(chart.ManagerUser)
	if err := manager.Apply(t.Context(), object, client.FieldOwner(v1alpha1.ManagedBy), client.ForceOwnership); err != nil {
		t.Fatalf("a grant for %d members: %.300s", members, err)
	}
	if err := manager.Delete(t.Context(), grant("crowded")); err != nil {
		t.Fatal(err)
	}
}

// crowd is a Claw that speaks with everybody of an organization of so many members.
func crowd(members int) policy.Input {
	org := &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: "acme"}, Spec: v1alpha1.ClawOrganizationSpec{Namespace: cage}}
	file := policy.DirectoryFile{Name: "crowd.yaml"}
	for i := range members {
		id := fmt.Sprintf("T0A/U%05d", i)
		file.Members = append(file.Members, v1alpha1.Member{Name: v1alpha1.MemberName(id[5:]), Identities: map[string][]string{"slack": {id}}})
	}
	rule := v1alpha1.ChannelRule{Connector: "slack", Channels: []v1alpha1.Pattern{"C0ALL"}, Users: []v1alpha1.Pattern{"*"}}
	claw := &v1alpha1.Claw{ObjectMeta: metav1.ObjectMeta{Name: "crowded", Namespace: cage, UID: "crowded"}, Spec: v1alpha1.ClawSpec{
		Owner: file.Members[0].Name, Visibility: v1alpha1.VisibilityOrganization,
		Channels: []v1alpha1.ChannelRequest{{ChannelRule: rule, Credential: "key"}},
		Runtime:  v1alpha1.Runtime{Container: &v1alpha1.ContainerRuntime{Image: "agent"}},
	}}
	p := v1alpha1.ClawPolicy{ObjectMeta: metav1.ObjectMeta{Name: "all", Namespace: cage}, Spec: v1alpha1.ClawPolicySpec{
		Selector: v1alpha1.PolicySelector{All: true},
		Allow:    v1alpha1.PolicyRules{Visibility: []v1alpha1.Visibility{v1alpha1.VisibilityOrganization}, Channels: []v1alpha1.ChannelRule{rule}},
	}}
	return policy.Input{
		Organization: org, Claw: claw, Policies: []v1alpha1.ClawPolicy{p}, Directory: policy.NewDirectory(org, file),
		Catalogue: policy.Connectors{"slack": {policy.ResourceChannel: {}}}, SkipCredentials: true, Now: time.Now(),
	}
}
