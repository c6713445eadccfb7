// Package chart renders templates of the Helm chart for tests, so that they test what is installed.
package chart

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/internal/testing/controlplane"
)

// Namespace the chart is rendered for, and ManagerUser the manager's username then.
const (
	Namespace   = "clawstaff-system"
	ManagerUser = "system:serviceaccount:" + Namespace + ":clawstaff-manager"
)

// All returns everything the chart installs.
func All(values ...string) ([]client.Object, error) { return Render("", values...) }

// Render returns the objects of one template, such as templates/webhook.yaml.
func Render(template string, values ...string) ([]client.Object, error) {
	args := []string{"tool", "-modfile=hack/tools/go.mod", "helm", "template", "clawstaff", "charts/clawstaff", "--namespace", Namespace}
	if template != "" {
		args = append(args, "--show-only", template)
	}
	for _, v := range values {
		args = append(args, "--set", v)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = controlplane.Root()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("render %s: %w: %s", template, err, stderr.Bytes())
	}
	var objects []client.Object
	for d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(out), 4096); ; {
		u := &unstructured.Unstructured{}
		if err := d.Decode(u); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, fmt.Errorf("read %s: %w", template, err)
		}
		if len(u.Object) > 0 {
			objects = append(objects, u)
		}
	}
}

// RenderAs returns the one object of a template, typed.
func RenderAs(template string, into any) error {
	objects, err := Render(template)
	if err != nil {
		return err
	}
	if len(objects) != 1 {
		return fmt.Errorf("%s renders %d objects, want 1", template, len(objects))
	}
	return runtime.DefaultUnstructuredConverter.FromUnstructured(objects[0].(*unstructured.Unstructured).Object, into)
}
