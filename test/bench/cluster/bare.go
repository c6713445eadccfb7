package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"
)

// startPod returns how long a bare pod took, with a volume if wanted.
func (b *Bench) startPod(ctx context.Context, volume bool) (time.Duration, error) {
	b.serial++
	pod := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: bareSpace, Name: fmt.Sprintf("bare-%d", b.serial)},
		Spec: corev1.PodSpec{
			RuntimeClassName:              ptr.To(sandbox),
			AutomountServiceAccountToken:  ptr.To(false),
			EnableServiceLinks:            ptr.To(false),
			TerminationGracePeriodSeconds: ptr.To[int64](10),
			Containers: []corev1.Container{{
				Name: "agent", Image: agentImage, ImagePullPolicy: corev1.PullIfNotPresent, Resources: footprint,
				Env: []corev1.EnvVar{{Name: "PORT", Value: fmt.Sprint(agentPort)}},
				ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, FailureThreshold: 3, ProbeHandler: corev1.ProbeHandler{
					TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(agentPort)}}},
			}},
		},
	}
	objects := []runtime.Object{pod}
	if volume {
		objects = []runtime.Object{b.volume(pod), pod}
	}
	watched, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	changes, err := b.changes(watched, bareSpace, &corev1.PodList{})
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := b.apply(ctx, objects...); err != nil {
		return 0, err
	}
	for object := range changes {
		if shown, ok := object.(*corev1.Pod); !ok || shown.Name != pod.Name || !podReady(shown) {
			continue
		}
		took := time.Since(begun)
		return took, errors.Join(b.Client.Delete(ctx, pod), b.podsGone(ctx, bareSpace),
			b.Client.DeleteAllOf(ctx, &corev1.PersistentVolumeClaim{}, ctrlclient.InNamespace(bareSpace)))
	}
	return 0, errors.New("the watch of a bare pod ended before it was Ready")
}

// volume gives a pod one, and returns its claim.
func (b *Bench) volume(pod *corev1.Pod) *corev1.PersistentVolumeClaim {
	pod.Spec.Volumes = []corev1.Volume{{Name: "workspace", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: pod.Name}}}}
	pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "workspace", MountPath: "/workspace"}}
	return &corev1.PersistentVolumeClaim{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
		ObjectMeta: metav1.ObjectMeta{Namespace: bareSpace, Name: pod.Name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}
}

func (b *Bench) podsGone(ctx context.Context, in string) error {
	return b.Eventually(ctx, time.Minute, "pods to be gone", func(ctx context.Context) error {
		var pods corev1.PodList
		if err := b.Client.List(ctx, &pods, ctrlclient.InNamespace(in)); err != nil {
			return err
		}
		if len(pods.Items) > 0 {
			return fmt.Errorf("%d are left", len(pods.Items))
		}
		return nil
	})
}
