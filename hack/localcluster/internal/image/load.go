// This file imports archives into the cluster's containerd.

package image

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/clawstaff/clawstaff/hack/localcluster/internal/host"
	"github.com/clawstaff/clawstaff/hack/localcluster/internal/layout"
)

// Load imports an OCI or Docker archive. What it names can be used by its tag and, for an OCI archive, by its digest too.
func Load(file string) error {
	if _, err := os.Stat(file); err != nil {
		return fmt.Errorf("no image archive to load: %w", err)
	}
	ctr := func(args ...string) error {
		return host.Run(layout.In("bin", "ctr"), append([]string{"--address", layout.ContainerdSocket(), "--namespace", "k8s.io", "images"}, args...)...)
	}
	if err := ctr("import", file); err != nil {
		return fmt.Errorf("importing %s (is the cluster up?): %w", file, err)
	}
	index, err := readIndex(file)
	if err != nil {
		return err
	}
	for _, manifest := range index.Manifests {
		ref, err := name.NewTag(manifest.Annotations[imageNameAnnotation])
		if err != nil {
			continue // not named by us; imported under whatever name it carries
		}
		// Without this second name the kubelet could not find image@digest, and would try to pull it.
		byDigest := ref.Context().Name() + "@" + manifest.Digest.String()
		if err := ctr("tag", "--force", ref.Name(), byDigest); err != nil {
			return err
		}
	}
	return nil
}

// readIndex returns the OCI index of the archive; a Docker archive has none.
func readIndex(file string) (v1.IndexManifest, error) {
	var index v1.IndexManifest
	in, err := os.Open(file)
	if err != nil {
		return index, err
	}
	defer in.Close()
	for reader := tar.NewReader(in); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return index, nil
		}
		if err != nil {
			return index, fmt.Errorf("reading %s: %w", file, err)
		}
		if header.Name == "index.json" {
			return index, json.NewDecoder(reader).Decode(&index)
		}
	}
}
