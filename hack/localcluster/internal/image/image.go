// Package image makes OCI image archives from local files: no daemon, no registry, and the same bytes for the same input,
// so that a rebuilt image that did not change keeps its digest.
package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Spec describes one image.
type Spec struct {
	Name       string // the reference that pods use, for example clawstaff.dev/gateway:dev
	Entrypoint []string
	User       string
	Env        []string
	WorkingDir string
	Add        []Addition
}

// Addition copies a file or a directory tree into the image.
type Addition struct{ Source, Target string }

// ParseAddition reads SRC:DST.
func ParseAddition(s string) (Addition, error) {
	source, target, ok := strings.Cut(s, ":")
	if !ok || source == "" || !path.IsAbs(target) {
		return Addition{}, fmt.Errorf("--add %q: want SOURCE:TARGET with an absolute target, for example bin/gateway:/gateway", s)
	}
	return Addition{source, path.Clean(target)}, nil
}

// nameAnnotations tell containerd under which name to import.
const (
	imageNameAnnotation = "io.containerd.image.name"
	refNameAnnotation   = "org.opencontainers.image.ref.name"
)

// Write builds the image and stores it as an OCI archive. It returns the image's digest.
func Write(spec Spec, file string) (digest string, err error) {
	ref, err := name.NewTag(spec.Name, name.StrictValidation)
	if err != nil {
		return "", fmt.Errorf("--name %q: %w (want a full reference with a tag, for example clawstaff.dev/gateway:dev)", spec.Name, err)
	}
	img, err := build(spec)
	if err != nil {
		return "", err
	}
	hash, err := img.Digest()
	if err != nil {
		return "", err
	}
	out, err := os.Create(file + ".tmp")
	if err != nil {
		return "", err
	}
	defer os.Remove(file + ".tmp")
	if err := archive(out, img, ref); err != nil {
		out.Close()
		return "", fmt.Errorf("writing %s: %w", file, err)
	}
	if err := out.Close(); err != nil {
		return "", err
	}
	return hash.String(), os.Rename(file+".tmp", file)
}

func build(spec Spec) (v1.Image, error) {
	contents, err := layer(spec.Add)
	if err != nil {
		return nil, err
	}
	packed, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(contents)), nil },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(1)) // it only travels across this disk
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err = mutate.AppendLayers(img, packed)
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", runtime.GOARCH, v1.Time{Time: time.Unix(0, 0).UTC()}
	config.Config = v1.Config{Entrypoint: spec.Entrypoint, User: spec.User, WorkingDir: spec.WorkingDir,
		Env: append([]string{"PATH=/usr/local/bin:/usr/bin:/bin:/"}, spec.Env...)}
	return mutate.ConfigFile(img, config)
}

// layer is one tar of everything, sorted, owned by root and dated 1970. /tmp and /etc/passwd are there because programs expect them.
func layer(additions []Addition) ([]byte, error) {
	entries := map[string]func(*tar.Writer) error{}
	dir := func(name string, mode int64) {
		entries[name] = func(w *tar.Writer) error {
			return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode, Format: tar.FormatPAX})
		}
	}
	content := func(name, text string) {
		entries[name] = func(w *tar.Writer) error {
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(text)), Format: tar.FormatPAX}); err != nil {
				return err
			}
			_, err := io.WriteString(w, text)
			return err
		}
	}
	dir("tmp", 0o1777)
	dir("etc", 0o755)
	content("etc/passwd", "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin\n")
	content("etc/group", "root:x:0:\nnonroot:x:65532:\n")
	for _, addition := range additions {
		if err := addTree(entries, addition); err != nil {
			return nil, fmt.Errorf("adding %s: %w", addition.Source, err)
		}
	}
	for name := range entries {
		for parent := path.Dir(name); parent != "."; parent = path.Dir(parent) {
			if entries[parent] == nil {
				dir(parent, 0o755)
			}
		}
	}
	var names []string
	for name := range entries {
		names = append(names, name)
	}
	slices.Sort(names)
	var buffer bytes.Buffer
	writer := tar.NewWriter(&buffer)
	for _, name := range names {
		if err := entries[name](writer); err != nil {
			return nil, fmt.Errorf("packing %s: %w", name, err)
		}
	}
	return buffer.Bytes(), writer.Close()
}

func addTree(entries map[string]func(*tar.Writer) error, addition Addition) error {
	root, err := filepath.EvalSymlinks(addition.Source) // a link given by name means what it points to
	if err != nil {
		return err
	}
	return filepath.WalkDir(root, func(file string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		target := strings.TrimPrefix(path.Join(addition.Target, filepath.ToSlash(relative)), "/")
		if target == "" {
			return nil // the image's root itself
		}
		info, err := os.Lstat(file)
		if err != nil {
			return err
		}
		entries[target] = func(w *tar.Writer) error { return addFile(w, file, target, info) }
		return nil
	})
}

func addFile(w *tar.Writer, file, target string, info fs.FileInfo) error {
	header := &tar.Header{Name: target, Mode: int64(info.Mode().Perm()), Format: tar.FormatPAX}
	switch {
	case info.IsDir():
		header.Typeflag, header.Name = tar.TypeDir, target+"/"
		return w.WriteHeader(header)
	case info.Mode()&fs.ModeSymlink != 0:
		link, err := os.Readlink(file)
		if err != nil {
			return err
		}
		header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, link, 0o777
		return w.WriteHeader(header)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is neither a file, a directory nor a link", file)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	header.Typeflag, header.Size = tar.TypeReg, int64(len(data))
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

// archive writes the OCI image layout as one tar.
func archive(out io.Writer, img v1.Image, ref name.Tag) error {
	w := tar.NewWriter(out)
	add := func(file string, data []byte) error {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: file, Mode: 0o644, Size: int64(len(data)), Format: tar.FormatPAX}); err != nil {
			return err
		}
		_, err := w.Write(data)
		return err
	}
	blob := func(data []byte, hash v1.Hash, err error) error {
		if err != nil {
			return err
		}
		return add("blobs/sha256/"+hash.Hex, data)
	}
	digest, err := img.Digest()
	if err != nil {
		return err
	}
	manifest, err := img.RawManifest()
	if err := blob(manifest, digest, err); err != nil {
		return err
	}
	configName, err := img.ConfigName()
	if err != nil {
		return err
	}
	config, err := img.RawConfigFile()
	if err := blob(config, configName, err); err != nil {
		return err
	}
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	for _, l := range layers {
		if err := addLayer(l, blob); err != nil {
			return err
		}
	}
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{{
		MediaType: types.OCIManifestSchema1, Digest: digest, Size: int64(len(manifest)),
		Platform:    &v1.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Annotations: map[string]string{imageNameAnnotation: ref.Name(), refNameAnnotation: ref.TagStr()},
	}}}
	data, err := json.Marshal(index)
	if err != nil {
		return err
	}
	if err := add("index.json", data); err != nil {
		return err
	}
	if err := add("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return err
	}
	return w.Close()
}

func addLayer(l v1.Layer, blob func([]byte, v1.Hash, error) error) error {
	digest, err := l.Digest()
	if err != nil {
		return err
	}
	compressed, err := l.Compressed()
	if err != nil {
		return err
	}
	defer compressed.Close()
	data, err := io.ReadAll(compressed)
	return blob(data, digest, err)
}
