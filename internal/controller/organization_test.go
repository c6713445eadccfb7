package controller_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
)

var gibibyte = resource.MustParse("1Gi")

func TestCageIsMadeAndKept(t *testing.T) {
	two := int32(2)
	c := newCage(t, func(o *v1alpha1.ClawOrganization) { o.Spec.Quota.Claws = &two })
	org := c.organizationReady(v1alpha1.ReasonReady)
	if org.Status.Namespace != c.name || len(org.Finalizers) != 1 {
		t.Errorf("namespace %q, finalizers %v", org.Status.Namespace, org.Finalizers)
	}
	deny := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.DefaultDeny}}
	for name, spoil := range map[string]func(){
		"deleted": func() { remove(t, deny) },
		"opened": func() {
			update(t, deny, func(p *networkingv1.NetworkPolicy) { p.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{}} })
		},
	} {
		spoil()
		eventually(t, func() string {
			if !get(t, deny) || len(deny.Spec.Egress) > 0 || len(deny.Spec.PolicyTypes) != 2 {
				return "the default deny is " + name + " and not back"
			}
			return ""
		})
	}
	// What gives containers a share is as it should be again, and nobody else's.
	limits := &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.QuotaName}}
	update(t, limits, func(l *corev1.LimitRange) { l.Spec.Limits = nil })
	eventually(t, func() string {
		if !get(t, limits) || len(limits.Spec.Limits) != 1 {
			return "containers have no limits"
		}
		return ""
	})
	// Labels that make it a cage come back.
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.name}}
	update(t, namespace, func(n *corev1.Namespace) { delete(n.Labels, "pod-security.kubernetes.io/enforce") })
	eventually(t, func() string {
		get(t, namespace)
		if namespace.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
			return "pods are not restricted"
		}
		return ""
	})
	// The quota counts Claws, and goes when it is not wanted any more.
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.QuotaName}}
	if !get(t, quota) {
		t.Fatal("there is no quota")
	}
	if n := quota.Spec.Hard["count/claws.clawstaff.dev"]; n.Value() != 2 {
		t.Errorf("quota %v", quota.Spec.Hard)
	}
	update(t, org, func(o *v1alpha1.ClawOrganization) { o.Spec.Quota = v1alpha1.Quota{} })
	gone(t, quota)
	// Claws are counted.
	create(t, c.clawOf("one"), c.clawOf("two"))
	eventually(t, func() string {
		get(t, org)
		if org.Status.Claws != 2 {
			return "the Claws are not counted"
		}
		return ""
	})
}

// TestAdoption: a namespace is adopted only if its label says so, and nothing in it could have been planted.
func TestAdoption(t *testing.T) {
	named := func(prefix string, labelled bool) string {
		name := prefix + "-" + rand.String(5)
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
		if labelled {
			namespace.Labels[v1alpha1.LabelOrganization] = name
		}
		create(t, namespace)
		return name
	}
	create1 := func(name string) cageOf {
		create(t, organizationOf(name))
		return cageOf{t, name}
	}
	t.Run("unlabelled", func(t *testing.T) {
		c := create1(named("foreign", false))
		org := c.organizationReady(v1alpha1.ReasonNamespaceNotOurs)
		if problem := wants(org.Status.Conditions, v1alpha1.ConditionStalled, v1alpha1.ReasonNamespaceNotOurs); problem != "" {
			t.Error(problem)
		}
		if get(t, &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: cage.DefaultDeny}}) {
			t.Error("a foreign namespace was closed")
		}
	})
	t.Run("of another organization", func(t *testing.T) {
		c := newCage(t)
		thief := organizationOf("thief-"+rand.String(5), func(o *v1alpha1.ClawOrganization) { o.Spec.Namespace = v1alpha1.ObjectName(c.name) })
		create(t, thief)
		cageOf{t, thief.Name}.organizationReady(v1alpha1.ReasonNamespaceNotOurs)
		// The one that has it goes on.
		c.policy()
		c.running("triage")
		c.organizationReady(v1alpha1.ReasonReady)
	})
	t.Run("reserved", func(t *testing.T) {
		for _, name := range []string{"default", "kube-public", operatorNamespace} {
			cageOf{t, create1(name).name}.organizationReady(v1alpha1.ReasonNamespaceNotOurs)
			remove(t, &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: name}})
		}
	})
	t.Run("with all at once", func(t *testing.T) {
		name := named("gitops", true)
		c := cageOf{t, name}
		claw := c.claw("triage")
		c.policy()
		create(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "settings"}},
			&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "default"}})
		create1(name)
		c.organizationReady(v1alpha1.ReasonReady)
		condition(t, claw, v1alpha1.ConditionCredentialsReady, v1alpha1.ReasonReady)
	})
	t.Run("with strangers", func(t *testing.T) {
		for kind, stranger := range map[string]func(string) client.Object{
			"NetworkPolicy": func(n string) client.Object {
				return &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: n, Name: "open"}}
			},
			"Secret": func(n string) client.Object {
				return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: n, Name: "opaque"}}
			},
			"ServiceAccount": func(n string) client.Object {
				return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: n, Name: "robot"}}
			},
			// What makes pods later, or leads a Service elsewhere.
			"ReplicaSet": func(n string) client.Object {
				return &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: n, Name: "seed"}, Spec: appsv1.ReplicaSetSpec{Selector: seeds, Template: seed(nil)}}
			},
			"DaemonSet": func(n string) client.Object {
				return &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: n, Name: "seed"}, Spec: appsv1.DaemonSetSpec{Selector: seeds, Template: seed(nil)}}
			},
			"Job": func(n string) client.Object {
				return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: n, Name: "seed"}, Spec: batchv1.JobSpec{Template: seed(once)}}
			},
			"CronJob": func(n string) client.Object {
				return &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Namespace: n, Name: "seed"}, Spec: batchv1.CronJobSpec{
					Schedule: "0 0 1 1 *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: seed(once)}}}}
			},
			"ReplicationController": func(n string) client.Object {
				template := seed(nil)
				return &corev1.ReplicationController{ObjectMeta: metav1.ObjectMeta{Namespace: n, Name: "seed"}, Spec: corev1.ReplicationControllerSpec{Template: &template}}
			},
			"EndpointSlice": func(n string) client.Object {
				return &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: n, Name: "seed"}, AddressType: discoveryv1.AddressTypeIPv4}
			},
			"Pod": func(n string) client.Object {
				owner := metav1.OwnerReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "gone", UID: "1", Controller: new(true)}
				return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: n, Name: "seed", OwnerReferences: []metav1.OwnerReference{owner}}, Spec: seed(nil).Spec}
			},
		} {
			name := named("full", true)
			o := stranger(name)
			create(t, o)
			c := create1(name)
			org := c.organizationReady(v1alpha1.ReasonNamespaceNotEmpty)
			for _, x := range org.Status.Conditions {
				if x.Type == v1alpha1.ConditionReady && !strings.Contains(x.Message, kind+" "+o.GetName()) {
					t.Errorf("the message does not name it: %s", x.Message)
				}
			}
		}
	})
}

var seeds = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "seed"}}

// seed is the template of a pod that somebody wants in a cage.
func seed(change func(*corev1.PodSpec)) corev1.PodTemplateSpec {
	spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}
	if change != nil {
		change(&spec)
	}
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: seeds.MatchLabels}, Spec: spec}
}

func once(s *corev1.PodSpec) { s.RestartPolicy = corev1.RestartPolicyNever }

// TestOrganizationIsGone: the finalizer can be taken away by whoever administers the cluster. Agents whose
// organization is gone may do nothing any more, and go on when it is there again.
func TestOrganizationIsGone(t *testing.T) {
	c := newCage(t)
	c.policy()
	claw := c.running("triage")
	org := &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: c.name}}
	remove(t, org)
	update(t, org, func(o *v1alpha1.ClawOrganization) { o.Finalizers = nil })
	eventually(t, func() string {
		if g := grantOf(t, claw); g.Spec.State != v1alpha1.GrantStopped || len(g.Spec.AgentIPs)+len(g.Spec.Models) > 0 {
			return "the grant still gives something"
		}
		return ""
	})
	condition(t, claw, v1alpha1.ConditionReady, v1alpha1.ReasonNotACage)
	create(t, organizationOf(c.name))
	c.organizationReady(v1alpha1.ReasonReady)
	eventually(t, func() string {
		if g := grantOf(t, claw); g.Spec.State != v1alpha1.GrantActive {
			return "the grant stays closed"
		}
		return ""
	})
}

func TestPolicyStatus(t *testing.T) {
	c := newCage(t)
	p := c.policy(func(p *v1alpha1.ClawPolicy) {
		p.Spec.Selector = v1alpha1.PolicySelector{Claws: []v1alpha1.Pattern{"sel*"}}
	})
	create(t, c.clawOf("selected"), c.clawOf("other"))
	selected := func(n int32) {
		t.Helper()
		eventually(t, func() string {
			get(t, p)
			if p.Status.SelectedClaws != n || wants(p.Status.Conditions, v1alpha1.ConditionAccepted, v1alpha1.ReasonReady) != "" {
				return brief(p.Status.Conditions)
			}
			return ""
		})
	}
	selected(1)
	update(t, p, func(p *v1alpha1.ClawPolicy) { p.Spec.Selector.Teams = []v1alpha1.TeamName{"support"} })
	selected(2)
	update(t, &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: c.name}}, func(o *v1alpha1.ClawOrganization) { o.Spec.Teams = nil })
	selected(1)
}
