package claw

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
)

// proof is what the kubelet has written about the probes of a Claw's agent pods.
type proof struct {
	// addresses of pods that have proved that they reach their gateway and nothing else.
	addresses []string
	// pending counts live pods that have not.
	pending int
	// open is what a probe found reachable, in its own words; empty if none said so.
	open string
}

// prove reads the proof. What a pod says about itself counts for nothing: only its container's state
// does, which the kubelet writes, of a pod that is exactly what we made.
func prove(claw *v1alpha1.Claw, f *facts, image string) proof {
	var out proof
	for i := range f.agentPods {
		pod := &f.agentPods[i]
		if pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
			continue
		}
		status := probeStatus(pod)
		if !madeByUs(claw, pod, f, image) || status == nil || !passed(status, f.gatewayPods, pod.Spec.NodeName) {
			out.pending++
			if out.open == "" {
				out.open = finding(status)
			}
			continue
		}
		for _, ip := range pod.Status.PodIPs {
			out.addresses = append(out.addresses, ip.IP)
		}
	}
	slices.Sort(out.addresses)
	out.addresses = slices.Compact(out.addresses)
	return out
}

// madeByUs checks that the pod is our StatefulSet's and that its first container is our probe, run as we
// run it: a pod's image can be changed in place, and its labels can be anybody's.
func madeByUs(claw *v1alpha1.Claw, pod *corev1.Pod, f *facts, image string) bool {
	owner := metav1.GetControllerOf(pod)
	if owner == nil || owner.Kind != "StatefulSet" || f.statefulSet == "" || owner.UID != f.statefulSet {
		return false
	}
	spec := &pod.Spec
	if len(spec.InitContainers) == 0 || len(spec.EphemeralContainers) > 0 || spec.HostNetwork || spec.ServiceAccountName != cage.AgentName(claw.Name) {
		return false
	}
	first := spec.InitContainers[0]
	return first.Name == cage.ContainerProbe && first.Image == image && first.RestartPolicy == nil &&
		slices.Equal(first.Command, []string{"/probe"}) && len(first.Args) == 0 &&
		len(first.VolumeMounts) == 0 && toldOurPlan(claw, first.Env)
}

// toldOurPlan checks that the probe reads its plan where we write it, and nowhere else.
func toldOurPlan(claw *v1alpha1.Claw, env []corev1.EnvVar) bool {
	plans := 0
	for _, v := range env {
		if v.Name != cage.EnvProbePlan {
			continue
		}
		if v.ValueFrom == nil || v.ValueFrom.ConfigMapKeyRef == nil || v.ValueFrom.ConfigMapKeyRef.Name != cage.ProbeName(claw.Name) {
			return false
		}
		plans++
	}
	return plans == 1
}

func probeStatus(pod *corev1.Pod) *corev1.ContainerStatus {
	for i := range pod.Status.InitContainerStatuses {
		if pod.Status.InitContainerStatuses[i].Name == cage.ContainerProbe {
			return &pod.Status.InitContainerStatuses[i]
		}
	}
	return nil
}

// passed tells whether the probe ended well. Where the gateway runs on the same node, its image of the
// same name must be the same one.
func passed(status *corev1.ContainerStatus, gateways []corev1.Pod, node string) bool {
	if status.State.Terminated == nil || status.State.Terminated.ExitCode != 0 || status.ContainerID == "" {
		return false
	}
	for i := range gateways {
		if gateways[i].Spec.NodeName != node || gateways[i].DeletionTimestamp != nil {
			continue
		}
		for _, c := range gateways[i].Status.ContainerStatuses {
			if c.Name == cage.ContainerGateway && c.ImageID != "" && c.ImageID != status.ImageID {
				return false
			}
		}
	}
	return true
}

// maxFinding bounds what is repeated of a probe's own words.
const maxFinding = 512

// finding is what a probe that failed has said.
func finding(status *corev1.ContainerStatus) string {
	if status == nil {
		return ""
	}
	for _, state := range []corev1.ContainerState{status.State, status.LastTerminationState} {
		if t := state.Terminated; t != nil && t.ExitCode != 0 && strings.HasPrefix(t.Message, "the agent reaches ") {
			message, _, _ := strings.Cut(t.Message, "\n")
			if len(message) > maxFinding {
				message = strings.ToValidUTF8(message[:maxFinding], "") + "..."
			}
			return message
		}
	}
	return ""
}
