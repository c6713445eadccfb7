package cel

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/policy"
	"github.com/clawstaff/clawstaff/internal/testing/controlplane"
)

// TestSamplesAreValid applies every sample, strictly, without keeping it.
func TestSamplesAreValid(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(controlplane.Root(), "config", "samples", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	strict := client.NewDryRunClient(client.WithFieldValidation(k8s, metav1.FieldValidationStrict))
	for _, file := range files {
		for _, object := range sample(t, file) {
			t.Run(filepath.Base(file)+"/"+object.GetKind()+"/"+object.GetName(), func(t *testing.T) {
				if namespace := object.GetNamespace(); namespace != "" {
					err := k8s.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
					if err != nil && !apierrors.IsAlreadyExists(err) {
						t.Fatal(err)
					}
				}
				err := strict.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("sample"), client.ForceOwnership)
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestSamplesAreInScope compiles the samples' Claws: everything they ask for is given.
func TestSamplesAreInScope(t *testing.T) {
	catalogue, err := connector.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	in := policy.Input{Organization: &v1alpha1.ClawOrganization{}, Catalogue: catalogue, SkipCredentials: true}
	var claws []v1alpha1.Claw
	for _, file := range []string{"quickstart.yaml", "sibling.yaml"} {
		for _, object := range sample(t, filepath.Join(controlplane.Root(), "config", "samples", file)) {
			switch object.GetKind() {
			case "ClawOrganization":
				convert(t, object, in.Organization)
			case "ClawPolicy":
				in.Policies = append(in.Policies, v1alpha1.ClawPolicy{})
				convert(t, object, &in.Policies[len(in.Policies)-1])
			case "Claw":
				claws = append(claws, v1alpha1.Claw{})
				convert(t, object, &claws[len(claws)-1])
			}
		}
	}
	if len(claws) != 2 {
		t.Fatalf("the samples have %d Claws", len(claws))
	}
	for _, claw := range claws {
		in.Claw = &claw
		if result := policy.Compile(in); len(result.Withheld) > 0 || !result.OwnerPresent {
			t.Errorf("Claw %s: withheld %+v, owner present %t", claw.Name, result.Withheld, result.OwnerPresent)
		}
	}
}

func convert(t *testing.T, object *unstructured.Unstructured, into any) {
	t.Helper()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, into); err != nil {
		t.Fatal(err)
	}
}

func sample(t *testing.T, file string) []*unstructured.Unstructured {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var objects []*unstructured.Unstructured
	for decoder := yaml.NewYAMLOrJSONDecoder(in, 4096); ; {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, object)
	}
}
