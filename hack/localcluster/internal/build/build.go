// Package build links the cluster's programs from their Go modules and keeps them in the user's cache directory,
// keyed by everything that went into them. A fresh clone, or a second one, then links nothing twice.
package build

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clawstaff/clawstaff/hack/localcluster/internal/layout"
)

// Builder builds from one checkout into one cache.
type Builder struct {
	source string // hack/localcluster
	cache  string
	log    func(format string, args ...any)
}

// New finds the source and the cache.
func New(log func(format string, args ...any)) (*Builder, error) {
	source := os.Getenv("CLAWSTAFF_LOCALCLUSTER_SOURCE")
	if source == "" {
		return nil, fmt.Errorf("CLAWSTAFF_LOCALCLUSTER_SOURCE is not set: run this program through hack/cluster")
	}
	cache, err := layout.Cache()
	if err != nil {
		return nil, fmt.Errorf("no place to keep built programs: %w; set XDG_CACHE_HOME", err)
	}
	return &Builder{source: source, cache: cache, log: log}, os.MkdirAll(cache, 0o755)
}

// Build makes the named components, or all, and returns each one's file.
func (b *Builder) Build(names ...string) (map[string]string, error) {
	components, err := selectComponents(names)
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for i, c := range components {
		file, err := b.one(c, fmt.Sprintf("%d of %d", i+1, len(components)))
		if err != nil {
			return nil, err
		}
		files[c.Name] = file
	}
	return files, nil
}

// one returns the cached program, or links it first. The lock lets many callers ask at once and one of them work.
func (b *Builder) one(c Component, position string) (string, error) {
	key, err := b.key(c)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(b.cache, c.Name+"-"+key)
	file := filepath.Join(dir, c.Name)
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	unlock, err := Lock(filepath.Join(b.cache, c.Name+".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	done := b.progress(c.Name, position)
	err = b.link(c, dir, file)
	done(err)
	return file, err
}

func (b *Builder) link(c Component, dir, file string) error {
	tmp, err := os.MkdirTemp(b.cache, "building-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	args := append([]string{"build"}, c.flags()...)
	if c.overlay != nil {
		overlay, err := c.overlay(b.moduleDir(c), tmp)
		if err != nil {
			return err
		}
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.Command("go", append(args, "-o", filepath.Join(tmp, c.Name), c.Package)...)
	cmd.Dir = b.moduleDir(c)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s in %s: %w\n%s", c.Name, cmd.Dir, err, bytes.TrimSpace(out))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Rename(filepath.Join(tmp, c.Name), file) // whole or not at all
}

func (c Component) flags() []string {
	flags := []string{"-trimpath", "-ldflags", strings.TrimSpace("-s -w " + c.LDFlags)}
	if c.Tags != "" {
		flags = append(flags, "-tags", c.Tags)
	}
	return flags
}

func (b *Builder) moduleDir(c Component) string {
	if c.Module == "" {
		return b.source
	}
	return filepath.Join(b.source, "modules", c.Module)
}

// key hashes what decides the program: pins, sources of ours, flags, toolchain and platform.
func (b *Builder) key(c Component) (string, error) {
	hash := sha256.New()
	fmt.Fprintln(hash, runtime.Version(), runtime.GOOS, runtime.GOARCH, c.Package, c.variant, c.flags())
	sources := b.moduleDir(c)
	if c.Module == "" {
		sources = filepath.Join(b.source, c.Package)
	}
	err := filepath.WalkDir(sources, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		fmt.Fprintf(hash, "%s %d\n", entry.Name(), len(data))
		hash.Write(data)
		return err
	})
	return fmt.Sprintf("%x", hash.Sum(nil))[:12], err
}

// progress says what is being built, and every half minute that it still is: a cold build takes minutes.
func (b *Builder) progress(name, position string) (done func(error)) {
	start := time.Now()
	b.log("building %s (%s)", name, position)
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(30 * time.Second):
				b.log("still building %s (%s), %s so far", name, position, time.Since(start).Round(time.Second))
			}
		}
	}()
	return func(err error) {
		close(stop)
		if err == nil {
			b.log("built %s in %s", name, time.Since(start).Round(time.Second))
		}
	}
}

// AssetsDir is a directory that holds the API server, etcd and kubectl, and nothing else.
func (b *Builder) AssetsDir() (string, error) {
	files, err := b.Build(Assets...)
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	for _, name := range Assets {
		fmt.Fprintln(hash, files[name])
	}
	dir := filepath.Join(b.cache, fmt.Sprintf("assets-%x", hash.Sum(nil)[:6]))
	return dir, LinkAll(dir, files)
}

// LinkAll makes dir hold one symbolic link per program.
func LinkAll(dir string, files map[string]string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, file := range files {
		link := filepath.Join(dir, name)
		if current, err := os.Readlink(link); err == nil && current == file {
			continue
		}
		fresh := fmt.Sprintf("%s.%d", link, os.Getpid())
		if err := os.Symlink(file, fresh); err != nil {
			return err
		}
		if err := os.Rename(fresh, link); err != nil {
			return err
		}
	}
	return nil
}

// Lock holds the file's lock until unlock is called or the process ends.
func Lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		file.Close()
		return nil, fmt.Errorf("waiting for the lock %s: %w", path, err)
	}
	return func() { file.Close() }, nil
}
