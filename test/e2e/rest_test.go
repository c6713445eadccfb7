package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/test/journey"
)

// atRest is how long nothing may be written once everything is as it should be.
const atRest = 30 * time.Second

// TestZeroWritesAtRest watches every object of the cage and of our kinds: nobody writes one.
func TestZeroWritesAtRest(t *testing.T) {
	must(t, fresh(t))
	// What other tests did to one Claw may not have been looked at by the other yet.
	must(t, j.AwaitLeader(t.Context()))
	must(t, j.Touch(t.Context(), journey.Claw))
	must(t, j.Touch(t.Context(), journey.Sibling))
	settle(t)
	before, err := j.Versions(t.Context())
	must(t, err)
	events, stop := writes(t)
	defer stop()
	timer := time.NewTimer(atRest)
	defer timer.Stop()
	for {
		select {
		case event := <-events:
			object, ok := event.Object.(*unstructured.Unstructured)
			if !ok {
				t.Fatalf("the watch broke: %+v", event)
			}
			key := object.GetKind() + "/" + object.GetName()
			if before[key] == object.GetResourceVersion() {
				continue // only the watch's beginning
			}
			managers := []string{}
			for _, field := range object.GetManagedFields() {
				managers = append(managers, field.Manager+" "+field.Subresource+" "+field.Time.UTC().Format(time.TimeOnly))
			}
			t.Errorf("%s %s at rest; written by %v", event.Type, key, managers)
		case <-timer.C:
			return
		}
	}
}

// settle waits until nothing was written for three seconds.
func settle(t *testing.T) {
	t.Helper()
	events, stop := writes(t)
	defer stop()
	deadline := time.NewTimer(2 * time.Minute)
	defer deadline.Stop()
	for {
		quiet := time.NewTimer(3 * time.Second)
		select {
		case <-events:
			quiet.Stop()
		case <-quiet.C:
			return
		case <-deadline.C:
			t.Fatal("the cage does not come to rest")
		}
	}
}

// writes watches every object of the cage.
func writes(t *testing.T) (<-chan watch.Event, func()) {
	t.Helper()
	client, err := ctrlclient.NewWithWatch(j.Config, ctrlclient.Options{Scheme: j.Client.Scheme()})
	must(t, err)
	all := make(chan watch.Event)
	over := make(chan struct{})
	var watches []watch.Interface
	for _, kind := range journey.WatchedKinds() {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind)
		w, err := client.Watch(t.Context(), list, ctrlclient.InNamespace(journey.Namespace))
		must(t, err)
		watches = append(watches, w)
		go func() {
			for event := range w.ResultChan() {
				select {
				case all <- event:
				case <-over:
					return
				}
			}
		}()
	}
	return all, func() {
		close(over)
		for _, w := range watches {
			w.Stop()
		}
	}
}

// TestInstallingAgainChangesNothing runs the installation once more: the same objects, the same pods.
func TestInstallingAgainChangesNothing(t *testing.T) {
	must(t, fresh(t))
	ctx := t.Context()
	settle(t)
	before, err := j.Versions(ctx)
	must(t, err)
	pods, err := j.SystemPods(ctx)
	must(t, err)
	install := exec.CommandContext(ctx, filepath.Join(j.Root, "hack", "install"))
	install.Env = append(os.Environ(), "CLAWSTAFF_IMAGES=keep")
	install.Stdout, install.Stderr = os.Stderr, os.Stderr
	must(t, install.Run())
	after, err := j.Versions(ctx)
	must(t, err)
	for key, version := range before {
		if after[key] != version {
			t.Errorf("%s was written by an installation that changed nothing", key)
		}
	}
	podsAfter, err := j.SystemPods(ctx)
	must(t, err)
	if !slices.Equal(pods, podsAfter) {
		t.Errorf("the system's pods were %v and are %v", pods, podsAfter)
	}
}
