package storage

import (
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

func newProvisioner(t *testing.T, objects ...runtime.Object) provisioner {
	t.Helper()
	claims := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	volumes := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	for _, object := range objects {
		into := volumes
		if _, ok := object.(*corev1.PersistentVolumeClaim); ok {
			into = claims
		}
		if err := into.Add(object); err != nil {
			t.Fatal(err)
		}
	}
	return provisioner{
		Config:  Config{Provisioner: "us", Directory: t.TempDir(), Node: "node"},
		client:  fake.NewClientset(objects...),
		claims:  corelisters.NewPersistentVolumeClaimLister(claims),
		volumes: corelisters.NewPersistentVolumeLister(volumes),
	}
}

func claim(change func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	class := "local"
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "c", UID: "1234", Annotations: map[string]string{wantedFrom: "us", selectedNode: "node"}},
		Spec:       corev1.PersistentVolumeClaimSpec{StorageClassName: &class, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}},
	}
	if change != nil {
		change(c)
	}
	return c
}

func TestProvide(t *testing.T) {
	p := newProvisioner(t, claim(nil))
	for range 2 { // and again, as after a restart
		if err := p.reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	volume, err := p.client.CoreV1().PersistentVolumes().Get(t.Context(), "pvc-1234", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if ref := volume.Spec.ClaimRef; ref.Namespace != "a" || ref.Name != "c" || ref.UID != "1234" {
		t.Errorf("the volume is for %v", ref)
	}
	info, err := os.Stat(volume.Spec.Local.Path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o777 {
		t.Errorf("the directory's mode is %v", info.Mode())
	}
}

func TestNotOurs(t *testing.T) {
	block := corev1.PersistentVolumeBlock
	for name, change := range map[string]func(*corev1.PersistentVolumeClaim){
		"bound":               func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "v" },
		"another provisioner": func(c *corev1.PersistentVolumeClaim) { c.Annotations[wantedFrom] = "them" },
		"no pod yet":          func(c *corev1.PersistentVolumeClaim) { delete(c.Annotations, selectedNode) },
		"another node":        func(c *corev1.PersistentVolumeClaim) { c.Annotations[selectedNode] = "elsewhere" },
		"on its way out": func(c *corev1.PersistentVolumeClaim) {
			c.DeletionTimestamp, c.Finalizers = new(metav1.Now()), []string{"f"}
		},
		"a raw device": func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeMode = &block },
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvisioner(t, claim(change))
			if err := p.reconcile(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := p.client.CoreV1().PersistentVolumes().Get(t.Context(), "pvc-1234", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				t.Errorf("a volume was provided (%v)", err)
			}
		})
	}
}

func TestRemove(t *testing.T) {
	volume := func(name, by string, phase corev1.PersistentVolumePhase, policy corev1.PersistentVolumeReclaimPolicy) *corev1.PersistentVolume {
		return &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{providedBy: by}},
			Spec: corev1.PersistentVolumeSpec{PersistentVolumeReclaimPolicy: policy,
				PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: "/etc"}}}, // a lie
			Status: corev1.PersistentVolumeStatus{Phase: phase},
		}
	}
	p := newProvisioner(t,
		volume("done", "us", corev1.VolumeReleased, corev1.PersistentVolumeReclaimDelete),
		volume("kept", "us", corev1.VolumeReleased, corev1.PersistentVolumeReclaimRetain),
		volume("used", "us", corev1.VolumeBound, corev1.PersistentVolumeReclaimDelete),
		volume("theirs", "them", corev1.VolumeReleased, corev1.PersistentVolumeReclaimDelete))
	for _, name := range []string{"done", "kept", "used", "theirs"} {
		if err := os.Mkdir(filepath.Join(p.Directory, name), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"done": false, "kept": true, "used": true, "theirs": true} {
		_, err := p.client.CoreV1().PersistentVolumes().Get(t.Context(), name, metav1.GetOptions{})
		_, statErr := os.Stat(filepath.Join(p.Directory, name))
		if (err == nil) != want || (statErr == nil) != want {
			t.Errorf("%s: object %v, directory %v; want it kept: %v", name, err, statErr, want)
		}
	}
}
