package controller_test

import (
	"context"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
)

// gatewayPod makes the pod a Deployment's ReplicaSet would, as the template has it, and has it be ready.
func gatewayPod(t *testing.T, claw *v1alpha1.Claw) *corev1.Pod {
	t.Helper()
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: claw.Namespace, Name: cage.GatewayName(claw.Name)}}
	eventually(t, func() string {
		if !get(t, d) {
			get(t, claw)
			return "there is no Deployment: " + brief(claw.Status.Conditions)
		}
		return ""
	})
	pod := podOf(claw, d.Name+"-"+rand.String(5), d.Spec.Template, "ReplicaSet", d.UID)
	create(t, pod)
	kubelet(t, pod, func(s *corev1.PodStatus) { ready(s, cage.ContainerGateway) })
	return pod
}

// agentPod makes the pod a StatefulSet would.
func agentPod(t *testing.T, claw *v1alpha1.Claw, status func(*corev1.PodStatus)) *corev1.Pod {
	t.Helper()
	s := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: claw.Namespace, Name: cage.AgentName(claw.Name)}}
	eventually(t, func() string {
		if !get(t, s) {
			get(t, claw)
			return "there is no StatefulSet: " + brief(claw.Status.Conditions)
		}
		return ""
	})
	pod := podOf(claw, s.Name+"-0", s.Spec.Template, "StatefulSet", s.UID)
	create(t, pod)
	kubelet(t, pod, status)
	return pod
}

func podOf(claw *v1alpha1.Claw, name string, template corev1.PodTemplateSpec, owner string, uid types.UID) *corev1.Pod {
	yes := true
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: claw.Namespace, Name: name, Labels: template.Labels},
		Spec:       template.Spec,
	}
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: owner, Name: name, UID: uid, Controller: &yes}}
	// The API server has no StatefulSet controller that would make the claim.
	pod.Spec.Volumes = append(slices.Clone(pod.Spec.Volumes), corev1.Volume{Name: "workspace", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	return pod
}

// kubelet writes a pod's status.
func kubelet(t *testing.T, pod *corev1.Pod, change func(*corev1.PodStatus)) {
	t.Helper()
	eventually(t, func() string {
		if !get(t, pod) {
			return "the pod is gone"
		}
		change(&pod.Status)
		if err := api.Status().Update(context.Background(), pod); err != nil {
			return err.Error()
		}
		return ""
	})
}

func ready(s *corev1.PodStatus, container string) {
	s.Phase = corev1.PodRunning
	s.PodIP, s.PodIPs = "10.0.0.7", []corev1.PodIP{{IP: "10.0.0.7"}}
	s.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	s.ContainerStatuses = []corev1.ContainerStatus{{Name: container, Ready: true, ContainerID: "c://1", ImageID: "sha256:1", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
}

// proved is the status of an agent pod whose probe has ended well.
func proved(s *corev1.PodStatus) {
	ready(s, cage.ContainerAgent)
	s.PodIP, s.PodIPs = "10.0.0.9", []corev1.PodIP{{IP: "10.0.0.9"}}
	s.InitContainerStatuses = []corev1.ContainerStatus{{
		Name: cage.ContainerProbe, ContainerID: "c://0", ImageID: "sha256:1",
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 0, ContainerID: "c://0"}},
	}}
}

// enforce plays the gateway: it says that it enforces the grant as it is now.
func enforce(t *testing.T, claw *v1alpha1.Claw, gateway *corev1.Pod) {
	t.Helper()
	grant := &v1alpha1.ClawGrant{ObjectMeta: metav1.ObjectMeta{Namespace: claw.Namespace, Name: claw.Name}}
	// Until the status has settled on the grant, as a gateway that follows every change would.
	eventually(t, func() string {
		if !get(t, grant) {
			return "there is no grant"
		}
		word := v1alpha1.GrantGateway{PodUID: string(gateway.UID), PodName: gateway.Name, Enforcing: grant.Spec.Hash, State: grant.Spec.State, Since: metav1.Now()}
		if len(grant.Status.Gateways) == 1 && grant.Status.Gateways[0].Enforcing == word.Enforcing && grant.Status.Gateways[0].State == word.State {
			get(t, claw)
			if claw.Spec.State != v1alpha1.ClawRevoked && wants(claw.Status.Conditions, v1alpha1.ConditionGatewayReady, v1alpha1.ReasonReady) != "" {
				return "the gateway's word is not taken: " + brief(claw.Status.Conditions)
			}
			return ""
		}
		grant.Status.Gateways = []v1alpha1.GrantGateway{word}
		if err := api.Status().Update(context.Background(), grant); err != nil {
			return err.Error()
		}
		return "the grant may have changed meanwhile"
	})
}
