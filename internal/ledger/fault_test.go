package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/clawstaff/clawstaff/internal/audit"
)

// faultyDisk is a real disk that fails on purpose, and forgets on a power cut what was not synced.
type faultyDisk struct {
	realDisk
	mu     sync.Mutex
	fail   func(operation string) error // nil: nothing fails
	synced map[string]int64             // by file
}

func (d *faultyDisk) check(operation string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail == nil {
		return nil
	}
	return d.fail(operation)
}

func (d *faultyDisk) set(fail func(operation string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = fail
}

func (d *faultyDisk) openFile(name string, create bool) (file, error) {
	if err := d.check("open"); err != nil {
		return nil, err
	}
	f, err := d.realDisk.openFile(name, create)
	if err != nil {
		return nil, err
	}
	if create {
		d.mu.Lock()
		d.synced[name] = 0
		d.mu.Unlock()
	}
	return &faultyFile{file: f, disk: d, name: name}, nil
}

func (d *faultyDisk) writeFile(name string, data []byte) error {
	if err := d.check("writeFile"); err != nil {
		return err
	}
	return d.realDisk.writeFile(name, data)
}

func (d *faultyDisk) syncDir(dir string) error {
	if err := d.check("syncDir"); err != nil {
		return err
	}
	return d.realDisk.syncDir(dir)
}

// cutPower leaves of each file what was synced, and some of the rest.
func (d *faultyDisk) cutPower(t *testing.T, random *rand.Rand) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, synced := range d.synced {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if lost := info.Size() - synced; lost > 0 {
			if err := os.Truncate(name, synced+random.Int64N(lost+1)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

type faultyFile struct {
	file
	disk *faultyDisk
	name string
}

// Write writes a part before it fails, as a full disk does.
func (f *faultyFile) Write(data []byte) (int, error) {
	if err := f.disk.check("write"); err != nil {
		n, _ := f.file.Write(data[:len(data)/2])
		return n, err
	}
	return f.file.Write(data)
}

func (f *faultyFile) Sync() error {
	if err := f.disk.check("sync"); err != nil {
		return err
	}
	info, err := os.Stat(f.name)
	if err != nil {
		return err
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.synced[f.name] = info.Size()
	return f.file.Sync()
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.disk.check("truncate"); err != nil {
		return err
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.synced[f.name] = min(f.disk.synced[f.name], size)
	return f.file.Truncate(size)
}

func TestAFailingDiskIsNotAcknowledged(t *testing.T) {
	for _, operation := range []string{"write", "sync", "open", "syncDir", "truncate", "writeFile"} {
		for _, segmentSize := range []int64{1, defaultSegmentSize} {
			t.Run(fmt.Sprintf("%s, segments of %d", operation, segmentSize), func(t *testing.T) {
				d := &faultyDisk{synced: map[string]int64{}}
				s := openStore(t, t.TempDir(), d, segmentSize)
				lines, head := seal(t, triage, audit.Head{}, 6, "")
				if err := s.append(batchOf(t, lines[:2])); err != nil {
					t.Fatal(err)
				}
				full := fmt.Errorf("%w", syscall.ENOSPC)
				d.set(func(o string) error {
					if o == operation || operation == "truncate" && o == "sync" {
						return full
					}
					return nil
				})
				err := s.append(batchOf(t, lines[2:4]))
				used := operation != "open" && operation != "syncDir" && operation != "writeFile" || segmentSize == 1
				if used != errors.Is(err, errUnavailable) {
					t.Fatalf("got %v", err)
				}
				if used {
					for range 2 { // it stays so, for what was sent before as well
						if err := s.append(batchOf(t, lines[2:4])); !errors.Is(err, errUnavailable) {
							t.Errorf("got %v", err)
						}
					}
				}
				d.set(nil)
				if err := s.append(batchOf(t, lines[2:4])); err != nil {
					t.Fatalf("with the disk whole again: %v", err)
				}
				if err := s.append(batchOf(t, lines[4:])); err != nil {
					t.Fatal(err)
				}
				var out bytes.Buffer
				if err := Verify(&out, s.dir, Selection{}, &head); err != nil {
					t.Errorf("%v: %s", err, out.String())
				}
			})
		}
	}
}

// TestNothingAcknowledgedIsLost sends batches, as a gateway does, to a ledger whose disk fails and
// whose machine loses power at random: what was acknowledged must be there, once, in order.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			d := &faultyDisk{synced: map[string]int64{}}
			dir := t.TempDir()
			s, err := open(dir, d, 2000)
			if err != nil {
				t.Fatal(err)
			}
			flaky := func(string) error {
				if random.IntN(4) == 0 {
					return syscall.EIO
				}
				return nil
			}
			var acknowledged audit.Head
			for range 15 {
				lines, head := seal(t, triage, acknowledged, 1+random.IntN(5), "")
				for err := errUnavailable; err != nil; {
					d.set(flaky)
					err = s.append(batchOf(t, lines))
					d.set(nil)
					if err != nil && !errors.Is(err, errUnavailable) {
						t.Fatal(err)
					}
					if err == nil {
						acknowledged = head
					}
					if random.IntN(10) == 0 {
						if err := s.Close(); err != nil {
							t.Fatal(err)
						}
						d.cutPower(t, random)
						if s, err = open(dir, d, 2000); err != nil {
							t.Fatal(err)
						}
					}
				}
				var out bytes.Buffer
				if err := Verify(&out, dir, Selection{}, &acknowledged); err != nil && !unfinished(t, dir) {
					t.Fatalf("%v: %s", err, out.String())
				}
			}
			if got, err := s.Head(triage); err != nil || got != acknowledged {
				t.Errorf("the head is %v, %v; acknowledged was %v", got, err, acknowledged)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := Verify(&out, dir, Selection{}, &acknowledged); err != nil {
				t.Errorf("%v: %s", err, out.String())
			}
		})
	}
}

// unfinished reports whether the history ends with a line that a power cut has left half written,
// which the ledger cuts off when it next opens it.
func unfinished(t *testing.T, dir string) bool {
	t.Helper()
	found, err := find(dir, Selection{})
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	names, err := found[0].history.segments()
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	data, err := os.ReadFile(found[0].history.dir + "/" + names[len(names)-1])
	return err == nil && len(data) > 0 && data[len(data)-1] != '\n'
}
