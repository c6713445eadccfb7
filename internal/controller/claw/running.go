package claw

import (
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/controller/apply"
)

// setGateway is True when the gateway that runs has said that it enforces this very grant.
func setGateway(c *apply.Conditions, f facts) {
	kind := v1alpha1.ConditionGatewayReady
	live := livePods(f.gatewayPods)
	if len(live) == 0 {
		if quotaExceeded(f.deployment) {
			c.False(kind, v1alpha1.ReasonQuotaExceeded, "the organization's quota has no room for the gateway's pod: delete a Claw, or have the platform raise spec.quota")
			return
		}
		if f.gatewayIP == "" {
			c.False(kind, v1alpha1.ReasonProgressing, "waiting for the address of the gateway's Service, which its agent knows it by")
			return
		}
		c.False(kind, v1alpha1.ReasonProgressing, "waiting for the gateway's pod")
		return
	}
	for _, pod := range live {
		if problem := failing(pod, cage.ContainerGateway); problem != "" {
			c.False(kind, v1alpha1.ReasonProgressing, "the gateway's container "+problem)
			return
		}
		if !podReady(pod) {
			c.False(kind, v1alpha1.ReasonProgressing, "waiting for the gateway to be ready")
			return
		}
		word := f.word(pod)
		if word == nil || word.Enforcing != f.result.Grant.Hash || word.State != f.result.Grant.State {
			c.False(kind, v1alpha1.ReasonProgressing, "waiting for the gateway to enforce the grant")
			return
		}
	}
	message := "the gateway enforces the grant"
	if f.rootsMissing != "" {
		message += "; " + f.rootsMissing
	}
	c.True(kind, v1alpha1.ReasonReady, message)
}

// setNetwork is True when every agent pod there is has proved its cage.
func setNetwork(c *apply.Conditions, f facts) {
	kind := v1alpha1.ConditionNetworkEnforced
	switch stopped := f.stopped(); {
	case stopped != nil:
		c.False(kind, stopped.reason, stopped.message)
	case f.hold != nil:
		c.False(kind, f.hold.reason, f.hold.message)
	case f.suspended:
		c.False(kind, v1alpha1.ReasonScheduleClosed, suspendedMessage(f))
	case f.proof.open != "":
		c.False(kind, v1alpha1.ReasonNetworkNotEnforced, f.proof.open+
			": the agent is not started, because this cluster's network does not enforce the cage's NetworkPolicies")
	case f.proof.pending > 0 || len(f.proof.addresses) == 0:
		c.False(kind, v1alpha1.ReasonProgressing, "waiting for the agent's pod to prove that it reaches its gateway only")
	default:
		c.True(kind, v1alpha1.ReasonReady, "the agent's pod has proved that it reaches its gateway only")
	}
}

// setRuntime is True when the agent's pod is ready.
func setRuntime(c *apply.Conditions, f facts) {
	kind := v1alpha1.ConditionRuntimeReady
	switch live, stopped := livePods(f.agentPods), f.stopped(); {
	case stopped != nil:
		c.False(kind, stopped.reason, stopped.message)
	case f.hold != nil:
		c.False(kind, f.hold.reason, f.hold.message)
	case f.suspended:
		c.False(kind, v1alpha1.ReasonScheduleClosed, suspendedMessage(f))
	case len(live) == 0:
		c.False(kind, v1alpha1.ReasonProgressing, "waiting for the agent's pod")
	default:
		for _, pod := range live {
			if problem := failing(pod, cage.ContainerAgent); problem != "" {
				c.False(kind, v1alpha1.ReasonAgentFailing, "the agent's container "+problem)
				return
			}
			if !podReady(pod) {
				c.False(kind, v1alpha1.ReasonProgressing, "waiting for the agent to be ready")
				return
			}
		}
		c.True(kind, v1alpha1.ReasonReady, "the agent is ready")
	}
}

// suspendedMessage says why the agent does not run, and until when.
func suspendedMessage(f facts) string {
	return "the agent is suspended, because its schedule is closed; it is started again, with its workspace, when that opens" + atOpening(f)
}

// atOpening is when a schedule that is closed opens, as the end of a sentence.
func atOpening(f facts) string {
	if f.opens.IsZero() {
		return ""
	}
	return ", at " + f.opens.UTC().Format(time.RFC3339)
}

func livePods(pods []corev1.Pod) []*corev1.Pod {
	var out []*corev1.Pod
	for i := range pods {
		phase := pods[i].Status.Phase
		if pods[i].DeletionTimestamp == nil && phase != corev1.PodFailed && phase != corev1.PodSucceeded {
			out = append(out, &pods[i])
		}
	}
	return out
}

func podReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// failing says in stable words why a container does not run, or "" where it does or is about to.
func failing(pod *corev1.Pod, container string) string {
	for _, status := range pod.Status.ContainerStatuses {
		if status.Name != container || status.State.Waiting == nil {
			continue
		}
		switch reason := status.State.Waiting.Reason; reason {
		case "CrashLoopBackOff":
			if t := status.LastTerminationState.Terminated; t != nil {
				return fmt.Sprintf("keeps ending with exit code %d", t.ExitCode)
			}
			return "keeps ending"
		case "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName":
			return "cannot be started: its image cannot be pulled"
		case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
			return "cannot be started: " + reason
		}
	}
	return ""
}

func quotaExceeded(d *appsv1.Deployment) bool {
	if d == nil {
		return false
	}
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue && strings.Contains(c.Message, "exceeded quota") {
			return true
		}
	}
	return false
}
