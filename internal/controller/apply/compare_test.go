package apply

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
)

func desired() *corev1ac.ServiceApplyConfiguration {
	return corev1ac.Service("a-gateway", "acme").
		WithLabels(map[string]string{"l": "1"}).
		WithSpec(corev1ac.ServiceSpec().
			WithSelector(map[string]string{"s": "1"}).
			WithPorts(corev1ac.ServicePort().WithName("proxy").WithPort(3128).WithTargetPort(intstr.FromInt32(3128))))
}

func live(change func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "a-gateway", Namespace: "acme", UID: "u", Labels: map[string]string{"l": "1", "more": "2"}},
		Spec: corev1.ServiceSpec{
			ClusterIP: "10.0.0.1", Selector: map[string]string{"s": "1"},
			Ports: []corev1.ServicePort{{Name: "proxy", Port: 3128, TargetPort: intstr.FromInt32(3128), Protocol: corev1.ProtocolTCP}},
		},
	}
	if change != nil {
		change(s)
	}
	return s
}

func TestCovers(t *testing.T) {
	if !covers(live(nil), desired()) {
		t.Error("defaults count as a difference")
	}
	for name, change := range map[string]func(*corev1.Service){
		"label":    func(s *corev1.Service) { s.Labels = nil },
		"selector": func(s *corev1.Service) { s.Spec.Selector["s"] = "2" },
		"port":     func(s *corev1.Service) { s.Spec.Ports[0].Port = 1 },
		"no port":  func(s *corev1.Service) { s.Spec.Ports = nil },
		"a port": func(s *corev1.Service) {
			s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Port: 22})
		},
	} {
		if covers(live(change), desired()) {
			t.Errorf("a changed %s goes unnoticed", name)
		}
	}
	// False and absent are the same: a typed object leaves out zero values.
	if !covers(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "x", Namespace: "y"}, AutomountServiceAccountToken: new(bool)},
		corev1ac.ServiceAccount("x", "y").WithAutomountServiceAccountToken(false)) {
		t.Error("false differs from false")
	}
	if !covers(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "x", Namespace: "y"}},
		corev1ac.Service("x", "y").WithSpec(corev1ac.ServiceSpec().WithPublishNotReadyAddresses(false))) {
		t.Error("absent differs from false")
	}
}

func TestStamp(t *testing.T) {
	a, b := desired(), desired()
	first, err := stamp(a)
	if err != nil {
		t.Fatal(err)
	}
	again, err := stamp(a)
	if err != nil || first != again || a.Annotations[AnnotationApplied] != first {
		t.Errorf("stamping twice: %q then %q, %v", first, again, err)
	}
	b.Spec.Selector = nil
	if other, _ := stamp(b); other == first {
		t.Error("what is no longer wanted goes unnoticed")
	}
}

func TestOurs(t *testing.T) {
	yes := true
	owner := metav1.OwnerReference{UID: "claw", Controller: &yes}
	managed := func(manager, subresource string) metav1.ManagedFieldsEntry {
		operation := metav1.ManagedFieldsOperationUpdate
		if manager == "clawstaff-manager" {
			operation = metav1.ManagedFieldsOperationApply
		}
		return metav1.ManagedFieldsEntry{Manager: manager, Operation: operation, Subresource: subresource}
	}
	borrowed := metav1.ManagedFieldsEntry{Manager: "clawstaff-manager", Operation: metav1.ManagedFieldsOperationUpdate}
	for name, c := range map[string]struct {
		owners  []metav1.OwnerReference
		managed []metav1.ManagedFieldsEntry
		want    bool
	}{
		"ours":                 {[]metav1.OwnerReference{owner}, []metav1.ManagedFieldsEntry{managed("clawstaff-manager", "")}, true},
		"status of another":    {[]metav1.OwnerReference{owner}, []metav1.ManagedFieldsEntry{managed("clawstaff-manager", ""), managed("gateway-1", "status")}, true},
		"Kubernetes' own":      {[]metav1.OwnerReference{owner}, []metav1.ManagedFieldsEntry{managed("kube-controller-manager", "")}, true},
		"planted":              {nil, []metav1.ManagedFieldsEntry{managed("kubectl", "")}, false},
		"of a former Claw":     {[]metav1.OwnerReference{{UID: "old", Controller: &yes}}, nil, false},
		"owned, uncontrolled":  {[]metav1.OwnerReference{{UID: "claw"}}, nil, false},
		"with a bogus owner":   {[]metav1.OwnerReference{owner, {UID: "bogus"}}, nil, false},
		"edited":               {[]metav1.OwnerReference{owner}, []metav1.ManagedFieldsEntry{managed("kubectl-edit", "")}, false},
		"edited in our name":   {[]metav1.OwnerReference{owner}, []metav1.ManagedFieldsEntry{managed("clawstaff-manager", ""), borrowed}, false},
		"scaled":               {[]metav1.OwnerReference{owner}, []metav1.ManagedFieldsEntry{managed("kubectl", "scale")}, false},
		"labelled by somebody": {[]metav1.OwnerReference{owner}, []metav1.ManagedFieldsEntry{managed("clawstaff-manager", ""), managed("kubectl-label", "")}, false},
	} {
		o := live(func(s *corev1.Service) { s.OwnerReferences, s.ManagedFields = c.owners, c.managed })
		if got := Ours(o, types.UID("claw")); got != c.want {
			t.Errorf("%s: ours is %v, want %v", name, got, c.want)
		}
	}
}
