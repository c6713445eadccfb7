package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/test/journey"
)

const managerName = "clawstaff-manager"

// withoutManager does something while there is no manager.
func (b *Bench) withoutManager(ctx context.Context, do func() error) (err error) {
	var manager appsv1.Deployment
	if err := b.Client.Get(ctx, ctrlclient.ObjectKey{Namespace: journey.SystemNS, Name: managerName}, &manager); err != nil {
		return err
	}
	replicas := int32(1)
	if manager.Spec.Replicas != nil {
		replicas = *manager.Spec.Replicas
	}
	if err := b.scale(ctx, 0); err != nil {
		return err
	}
	defer func() { // also after an interrupt
		err = errors.Join(err, b.scale(context.WithoutCancel(ctx), replicas))
	}()
	return do()
}

// scale waits until there are as many managers as wanted, all of them ready.
func (b *Bench) scale(ctx context.Context, replicas int32) error {
	scale := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Namespace: journey.SystemNS, Name: managerName},
		Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}
	if _, err := b.Kube.AppsV1().Deployments(journey.SystemNS).UpdateScale(ctx, managerName, scale, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("scaling the manager to %d: %w", replicas, err)
	}
	return b.Eventually(ctx, 2*time.Minute, fmt.Sprintf("%d managers", replicas), func(ctx context.Context) error {
		pods, err := b.podsOf(ctx, managerName)
		if err != nil {
			return err
		}
		ready := int32(0)
		for _, pod := range pods {
			if podReady(&pod) {
				ready++
			}
		}
		if int32(len(pods)) != replicas || ready != replicas {
			return fmt.Errorf("there are %d, of which %d are ready", len(pods), ready)
		}
		return nil
	})
}

// podsOf lists the pods of one of ClawStaff's own programs.
func (b *Bench) podsOf(ctx context.Context, program string) ([]corev1.Pod, error) {
	var pods corev1.PodList
	err := b.Client.List(ctx, &pods, ctrlclient.InNamespace(journey.SystemNS), ctrlclient.MatchingLabels{"app.kubernetes.io/name": program})
	return pods.Items, err
}
