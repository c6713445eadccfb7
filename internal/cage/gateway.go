package cage

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

const (
	serviceAccountDir = "/var/run/secrets/kubernetes.io/serviceaccount"
	ledgerTokenDir    = "/var/run/clawstaff/ledger"
	// tokenSeconds is how long the gateway's tokens last; the kubelet renews them.
	tokenSeconds = 3600
)

// gatewayDeployment runs one gateway, and never two: they would write one history.
func gatewayDeployment(in ClawInput) Object {
	claw := in.Claw
	name := GatewayName(claw.Name)
	return child(appsv1ac.Deployment(name, claw.Namespace), claw, v1alpha1.ComponentGateway).
		WithSpec(appsv1ac.DeploymentSpec().
			WithReplicas(1).
			WithRevisionHistoryLimit(1).
			WithStrategy(appsv1ac.DeploymentStrategy().WithType(appsv1.RecreateDeploymentStrategyType)).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(podLabels(claw, v1alpha1.ComponentGateway))).
			WithTemplate(corev1ac.PodTemplateSpec().
				WithLabels(childLabels(claw, v1alpha1.ComponentGateway)).
				WithSpec(gatewayPod(in))))
}

func gatewayPod(in ClawInput) *corev1ac.PodSpecApplyConfiguration {
	pod := corev1ac.PodSpec().
		WithServiceAccountName(GatewayName(in.Claw.Name)).
		WithAutomountServiceAccountToken(false).
		WithEnableServiceLinks(false).
		WithTerminationGracePeriodSeconds(10).
		WithSecurityContext(podSecurity()).
		WithContainers(gatewayContainer(in)).
		WithVolumes(tokenVolume(), ledgerTokenVolume())
	if in.Settings.GatewayPriorityClass != "" {
		pod.WithPriorityClassName(in.Settings.GatewayPriorityClass)
	}
	return pod
}

func gatewayContainer(in ClawInput) *corev1ac.ContainerApplyConfiguration {
	args := []string{
		"--namespace=" + in.Claw.Namespace,
		"--claw=" + in.Claw.Name,
		"--claw-uid=" + string(in.Claw.UID),
		"--pod-name=$(POD_NAME)",
		"--pod-uid=$(POD_UID)",
		"--service-address=" + in.GatewayIP,
		"--ledger-url=" + in.Settings.LedgerURL,
		"--ledger-token-file=" + ledgerTokenDir + "/token",
	}
	for _, override := range in.Settings.Resolve {
		args = append(args, "--resolve="+override)
	}
	health := func(path string) *corev1ac.ProbeApplyConfiguration {
		return corev1ac.Probe().WithHTTPGet(corev1ac.HTTPGetAction().WithPath(path).WithPort(intstr.FromInt32(HealthPort)))
	}
	return corev1ac.Container().
		WithName(ContainerGateway).
		WithImage(in.Settings.GatewayImage).
		WithImagePullPolicy(in.Settings.PullPolicy).
		WithArgs(args...).
		WithEnv(envFromField("POD_NAME", "metadata.name"), envFromField("POD_UID", "metadata.uid")).
		WithPorts(
			containerPort("proxy", ProxyPort),
			containerPort("inbound", InboundPort),
			containerPort("health", HealthPort),
			containerPort("https", TLSPort),
			containerPort("http", PlainPort),
			containerPort("dns", DNSPort).WithProtocol(corev1.ProtocolUDP),
			containerPort("dns-tcp", DNSPort)).
		WithReadinessProbe(health("/readyz").WithPeriodSeconds(1).WithFailureThreshold(3)).
		WithLivenessProbe(health("/healthz").WithInitialDelaySeconds(10).WithPeriodSeconds(10).WithFailureThreshold(3)).
		WithSecurityContext(containerSecurity()).
		WithResources(resourcesOf(in.Settings.GatewayResources, resources("20m", "32Mi"), resources("1", "128Mi"))).
		WithVolumeMounts(mount("token", serviceAccountDir, true), mount("ledger-token", ledgerTokenDir, true))
}

func containerPort(name string, port int32) *corev1ac.ContainerPortApplyConfiguration {
	return corev1ac.ContainerPort().WithName(name).WithContainerPort(port).WithProtocol(corev1.ProtocolTCP)
}

// tokenVolume is what automounting would give, asked for by this one pod alone.
func tokenVolume() *corev1ac.VolumeApplyConfiguration {
	item := corev1ac.KeyToPath().WithKey("ca.crt").WithPath("ca.crt")
	namespace := corev1ac.DownwardAPIVolumeFile().WithPath("namespace").
		WithFieldRef(corev1ac.ObjectFieldSelector().WithFieldPath("metadata.namespace"))
	return corev1ac.Volume().WithName("token").WithProjected(corev1ac.ProjectedVolumeSource().WithSources(
		corev1ac.VolumeProjection().WithServiceAccountToken(corev1ac.ServiceAccountTokenProjection().WithPath("token").WithExpirationSeconds(tokenSeconds)),
		corev1ac.VolumeProjection().WithConfigMap(corev1ac.ConfigMapProjection().WithName("kube-root-ca.crt").WithItems(item)),
		corev1ac.VolumeProjection().WithDownwardAPI(corev1ac.DownwardAPIProjection().WithItems(namespace))))
}

// ledgerTokenVolume holds a token that opens the ledger and nothing else.
func ledgerTokenVolume() *corev1ac.VolumeApplyConfiguration {
	return corev1ac.Volume().WithName("ledger-token").WithProjected(corev1ac.ProjectedVolumeSource().WithSources(
		corev1ac.VolumeProjection().WithServiceAccountToken(corev1ac.ServiceAccountTokenProjection().
			WithPath("token").WithAudience(LedgerAudience).WithExpirationSeconds(tokenSeconds))))
}
