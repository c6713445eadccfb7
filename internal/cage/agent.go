package cage

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

const (
	agentDir       = "/etc/clawstaff"
	credentialsDir = "/run/clawstaff/credentials"
	workspacePath  = "/workspace"
	tmpSize        = "1Gi"
)

// agentStatefulSet runs the agent behind its probe.
func agentStatefulSet(in ClawInput) Object {
	claw := in.Claw
	name := AgentName(claw.Name)
	return child(appsv1ac.StatefulSet(name, claw.Namespace), claw, v1alpha1.ComponentAgent).
		WithSpec(appsv1ac.StatefulSetSpec().
			WithReplicas(in.Agent.Replicas).
			WithRevisionHistoryLimit(1).
			WithServiceName(name).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(podLabels(claw, v1alpha1.ComponentAgent))).
			WithVolumeClaimTemplates(workspace(claw)).
			WithTemplate(corev1ac.PodTemplateSpec().
				WithLabels(childLabels(claw, v1alpha1.ComponentAgent)).
				WithAnnotations(map[string]string{annotationIdentity: identity(in)}).
				WithSpec(agentPod(in))))
}

// annotationIdentity restarts an agent when the keys it was started with are no longer its gateway's: it
// reads them once. They change only when somebody removes or alters the Secrets they are kept in.
const annotationIdentity = "clawstaff.dev/identity"

func identity(in ClawInput) string {
	h := sha256.New()
	for _, part := range [][]byte{in.Keys.CACert, in.Keys.ResignSecret, []byte(proxyURL(in))} {
		fmt.Fprintf(h, "%d:", len(part))
		h.Write(part)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// workspace outlives pods and a revocation, but not the Claw itself: another Claw of the same name,
// perhaps of another owner, must not find it.
func workspace(claw *v1alpha1.Claw) *corev1ac.PersistentVolumeClaimApplyConfiguration {
	size := int64(1)
	if c := claw.Spec.Runtime.Container; c != nil && c.Workspace.SizeGiB > 0 {
		size = int64(c.Workspace.SizeGiB)
	}
	storage := corev1.ResourceList{corev1.ResourceStorage: *resource.NewQuantity(size<<30, resource.BinarySI)}
	template := &corev1ac.PersistentVolumeClaimApplyConfiguration{}
	return template.
		WithName(workspaceVolume).
		WithLabels(childLabels(claw, v1alpha1.ComponentAgent)).
		WithOwnerReferences(ownerReference(claw)).
		WithSpec(corev1ac.PersistentVolumeClaimSpec().
			WithAccessModes(corev1.ReadWriteOnce).
			WithResources(corev1ac.VolumeResourceRequirements().WithRequests(storage)))
}

func agentPod(in ClawInput) *corev1ac.PodSpecApplyConfiguration {
	pod := corev1ac.PodSpec().
		WithServiceAccountName(AgentName(in.Claw.Name)).
		WithAutomountServiceAccountToken(false).
		WithEnableServiceLinks(false).
		WithTerminationGracePeriodSeconds(10).
		WithSecurityContext(podSecurity()).
		// The gateway is the only resolver an agent is told of, and names are asked for as they are: there are no domains
		// to search in.
		WithDNSPolicy(corev1.DNSNone).
		WithDNSConfig(corev1ac.PodDNSConfig().
			WithNameservers(in.GatewayIP).
			WithOptions(corev1ac.PodDNSConfigOption().WithName("ndots").WithValue("1"))).
		WithInitContainers(probeContainer(in)).
		WithContainers(agentContainer(in)).
		WithVolumes(
			// It is on the node's disk: what it takes there, its neighbours miss.
			corev1ac.Volume().WithName("tmp").WithEmptyDir(corev1ac.EmptyDirVolumeSource().WithSizeLimit(resource.MustParse(tmpSize))),
			// Only the certificate: the rest of this Secret is in the environment already.
			corev1ac.Volume().WithName("ca").WithSecret(corev1ac.SecretVolumeSource().
				WithSecretName(AgentName(in.Claw.Name)).
				WithItems(corev1ac.KeyToPath().WithKey(KeyCACert).WithPath(KeyCACert))))
	if len(in.Agent.Files) > 0 {
		pod.WithVolumes(credentialFiles(in))
	}
	if in.Agent.RuntimeClassName != "" {
		pod.WithRuntimeClassName(in.Agent.RuntimeClassName)
	}
	return pod
}

// credentialFiles is a volume in memory with the keys that are delivered into the container. It follows from
// what the Claw asks for alone, so that no change of a key, a credential or a grant restarts an agent: what
// is not there is left out, and what comes, changes or goes does so in the files, within a minute or two.
func credentialFiles(in ClawInput) *corev1ac.VolumeApplyConfiguration {
	secret := corev1ac.SecretVolumeSource().WithSecretName(AgentName(in.Claw.Name)).WithOptional(true).WithDefaultMode(0o440)
	for _, f := range in.Agent.Files {
		secret.WithItems(corev1ac.KeyToPath().WithKey(CredentialKey(f.Credential, f.Slot)).WithPath(f.Credential + "/" + f.Slot))
	}
	return corev1ac.Volume().WithName(credentialsVolume).WithSecret(secret)
}

// probeContainer runs first, under the same sandbox and restrictions as the agent: what it cannot
// reach, the agent cannot.
func probeContainer(in ClawInput) *corev1ac.ContainerApplyConfiguration {
	plan := corev1ac.EnvVar().WithName(EnvProbePlan).WithValueFrom(corev1ac.EnvVarSource().
		WithConfigMapKeyRef(corev1ac.ConfigMapKeySelector().WithName(ProbeName(in.Claw.Name)).WithKey(KeyProbePlan)))
	return corev1ac.Container().
		WithName(ContainerProbe).
		WithImage(in.Settings.GatewayImage).
		WithImagePullPolicy(in.Settings.PullPolicy).
		WithCommand("/probe").
		WithEnv(plan).
		WithTerminationMessagePolicy(corev1.TerminationMessageFallbackToLogsOnError).
		WithSecurityContext(containerSecurity()).
		WithResources(resourcesOf(corev1.ResourceRequirements{}, resources("20m", "32Mi"), resources("500m", "64Mi")))
}

func agentContainer(in ClawInput) *corev1ac.ContainerApplyConfiguration {
	spec := &in.Claw.Spec
	c := corev1ac.Container().
		WithName(ContainerAgent).
		WithImagePullPolicy(corev1.PullIfNotPresent).
		WithEnv(agentEnv(in)...).
		WithPorts(containerPort("agent", in.Grant.AgentPort)).
		WithReadinessProbe(corev1ac.Probe().
			WithTCPSocket(corev1ac.TCPSocketAction().WithPort(intstr.FromInt32(in.Grant.AgentPort))).
			WithPeriodSeconds(1).WithFailureThreshold(3)).
		WithSecurityContext(containerSecurity()).
		WithResources(resourcesOf(spec.Resources, resources("100m", "256Mi"), resources("1", "1Gi"))).
		WithVolumeMounts(mount(workspaceVolume, workspacePath, false), mount("tmp", "/tmp", false), mount("ca", agentDir, true))
	if len(in.Agent.Files) > 0 {
		c.WithVolumeMounts(mount(credentialsVolume, credentialsDir, true))
	}
	if run := spec.Runtime.Container; run != nil {
		c.WithImage(run.Image)
		if len(run.Command) > 0 {
			c.WithCommand(run.Command...)
		}
	}
	return c
}

// agentEnv is how unchanged software finds its gateway, believes its certificates, and holds
// placeholders where it expects keys. What we set wins over what the Claw's author set.
func agentEnv(in ClawInput) []*corev1ac.EnvVarApplyConfiguration {
	secret := AgentName(in.Claw.Name)
	ca := agentDir + "/" + KeyCACert
	vars := map[string]*corev1ac.EnvVarApplyConfiguration{}
	set := func(v *corev1ac.EnvVarApplyConfiguration) { vars[*v.Name] = v }

	set(env("HOME", workspacePath))
	if run := in.Claw.Spec.Runtime.Container; run != nil {
		for _, v := range run.Env {
			set(env(v.Name, v.Value))
		}
	}
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"} {
		set(envFromSecret(name, secret, KeyProxyURL))
	}
	for _, name := range []string{"NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO"} {
		set(env(name, ca))
	}
	set(env("NODE_USE_ENV_PROXY", "1"))
	set(env("PORT", strconv.Itoa(int(in.Grant.AgentPort))))
	for _, p := range in.Agent.Placeholders {
		if p.Resign {
			set(envFromSecret(p.Name, secret, KeyResignSecret))
		} else {
			set(env(p.Name, p.Value))
		}
	}

	out := make([]*corev1ac.EnvVarApplyConfiguration, 0, len(vars))
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		out = append(out, vars[name])
	}
	return out
}
