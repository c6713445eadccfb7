package ledger

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// disk is what the store asks of the file system. Tests put one in between that fails.
type disk interface {
	// openFile opens a segment for reading and appending; it is created if create is set.
	openFile(name string, create bool) (file, error)
	// writeFile makes a file with this content, whole or not at all, in place of any that is there.
	writeFile(name string, data []byte) error
	// readDir lists the names in a directory; none if there is no such directory.
	readDir(dir string) ([]string, error)
	// makeDir makes a directory and those above it, durably.
	makeDir(dir string) error
	// syncDir makes the names in a directory durable.
	syncDir(dir string) error
}

// file is one segment.
type file interface {
	io.Reader
	io.Writer // appends
	io.Closer
	Sync() error
	Truncate(size int64) error
}

// realDisk is the operating system's.
type realDisk struct{}

func (realDisk) openFile(name string, create bool) (file, error) {
	flags := os.O_RDWR | os.O_APPEND
	if create {
		flags |= os.O_CREATE | os.O_EXCL
	}
	return os.OpenFile(name, flags, 0o600)
}

func (realDisk) writeFile(name string, data []byte) (err error) {
	draft := name + ".new"
	f, err := os.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(draft, name)
}

func (realDisk) readDir(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

func (d realDisk) makeDir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	switch {
	case errors.Is(err, os.ErrExist):
		return nil
	case errors.Is(err, os.ErrNotExist):
		if err := d.makeDir(filepath.Dir(dir)); err != nil {
			return err
		}
		return d.makeDir(dir)
	case err != nil:
		return err
	}
	return d.syncDir(filepath.Dir(dir))
}

func (realDisk) syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// lock takes the data directory for this process alone, until it ends.
func lock(dir string) (io.Closer, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is in use by another ledger: %w", dir, err), f.Close())
	}
	return f, nil
}
