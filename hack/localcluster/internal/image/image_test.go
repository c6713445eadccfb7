package image

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseAddition(t *testing.T) {
	tests := map[string]struct {
		want Addition
		ok   bool
	}{
		"bin/gateway:/gateway": {Addition{"bin/gateway", "/gateway"}, true},
		"dir:/a/../b/":         {Addition{"dir", "/b"}, true},
		"dir:/":                {Addition{"dir", "/"}, true},
		"gateway":              {},
		":/gateway":            {},
		"gateway:relative":     {},
		"":                     {},
	}
	for text, test := range tests {
		got, err := ParseAddition(text)
		if (err == nil) != test.ok || got != test.want {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
}

var testTime = time.Unix(1e9, 0)

func FuzzParseAddition(f *testing.F) {
	f.Add("a:/b")
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := ParseAddition(text); err == nil && (got.Source == "" || !filepath.IsAbs(got.Target)) {
			t.Errorf("%q is accepted as %v", text, got)
		}
	})
}

func sample(t *testing.T) Spec {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"program": "#!", "tree/a/file": "one", "tree/b": "two"} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("a/file", filepath.Join(dir, "tree/link")); err != nil {
		t.Fatal(err)
	}
	return Spec{Name: "clawstaff.dev/sample:dev", Entrypoint: []string{"/program"}, User: "65532:65532", Env: []string{"A=b"},
		Add: []Addition{{filepath.Join(dir, "program"), "/program"}, {filepath.Join(dir, "tree"), "/opt/tree"}}}
}

func TestTheSameInputGivesTheSameImage(t *testing.T) {
	spec, dir := sample(t), t.TempDir()
	first, err := Write(spec, filepath.Join(dir, "1.tar"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(spec.Add[0].Source, testTime, testTime); err != nil {
		t.Fatal(err)
	}
	second, err := Write(spec, filepath.Join(dir, "2.tar"))
	if err != nil {
		t.Fatal(err)
	}
	if first != second {
		t.Errorf("digests are %s and %s", first, second)
	}
	index, err := readIndex(filepath.Join(dir, "1.tar"))
	if err != nil {
		t.Fatal(err)
	}
	if got := index.Manifests[0]; got.Digest.String() != first || got.Annotations[imageNameAnnotation] != spec.Name {
		t.Errorf("the archive's index says %s, %v", got.Digest, got.Annotations)
	}
}

func TestContents(t *testing.T) {
	spec, file := sample(t), filepath.Join(t.TempDir(), "image.tar")
	if _, err := Write(spec, file); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"etc/": "", "etc/group": "root:x:0:\nnonroot:x:65532:\n", "tmp/": "", "program": "#!", "opt/": "", "opt/tree/": "",
		"opt/tree/a/": "", "opt/tree/a/file": "one", "opt/tree/b": "two", "opt/tree/link": "-> a/file",
	}
	got := layerContents(t, file)
	delete(got, "etc/passwd")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the layer differs:\n%s", diff)
	}
}

func TestWriteRefuses(t *testing.T) {
	for name, change := range map[string]func(*Spec){
		"a name without a tag":    func(s *Spec) { s.Name = "clawstaff.dev/sample" },
		"no name":                 func(s *Spec) { s.Name = "" },
		"a file that is not here": func(s *Spec) { s.Add = []Addition{{"/nowhere", "/x"}} },
		"a device":                func(s *Spec) { s.Add = []Addition{{"/dev/null", "/x"}} },
	} {
		t.Run(name, func(t *testing.T) {
			spec, file := sample(t), filepath.Join(t.TempDir(), "image.tar")
			change(&spec)
			if _, err := Write(spec, file); err == nil {
				t.Error("no error")
			}
			if left, _ := filepath.Glob(file + "*"); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// layerContents finds the one compressed blob of the archive and lists it.
func layerContents(t *testing.T, file string) map[string]string {
	t.Helper()
	archive, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	for reader := tar.NewReader(archive); ; {
		header, err := reader.Next()
		if err != nil {
			t.Fatal("no layer: ", err)
		}
		if !strings.HasPrefix(header.Name, "blobs/") {
			continue
		}
		unpacked, err := gzip.NewReader(reader)
		if err != nil {
			continue // the manifest or the configuration
		}
		return list(t, tar.NewReader(unpacked))
	}
}

func list(t *testing.T, reader *tar.Reader) map[string]string {
	t.Helper()
	contents := map[string]string{}
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return contents
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		contents[header.Name] = string(data)
		if header.Linkname != "" {
			contents[header.Name] = "-> " + header.Linkname
		}
		if header.Uid != 0 || header.ModTime.Unix() > 0 {
			t.Errorf("%s belongs to %d and is of %s", header.Name, header.Uid, header.ModTime)
		}
	}
}
