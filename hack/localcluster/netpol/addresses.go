// This file remembers which pod has which address, across restarts of the enforcer.

package netpol

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
)

// assignment is one address that the CNI plugin gave to a pod's sandbox.
type assignment struct {
	Sandbox string     `json:"sandbox"` // the container runtime's id
	PodUID  string     `json:"podUID"`
	Address netip.Addr `json:"address"`
}

// addressBook is not safe for concurrent use.
type addressBook struct {
	file string
	by   map[netip.Addr]assignment
}

func openAddressBook(file string) (*addressBook, error) {
	book := &addressBook{file: file, by: map[netip.Addr]assignment{}}
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return book, nil
	}
	if err != nil {
		return nil, err
	}
	var entries []assignment
	if err := json.Unmarshal(data, &entries); err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	for _, entry := range entries {
		book.by[entry.Address] = entry
	}
	return book, nil
}

func (b *addressBook) empty() bool { return len(b.by) == 0 }

// put gives the address to this pod, whoever had it: an address is handed out again only after its sandbox is gone.
func (b *addressBook) put(a assignment) error {
	b.by[a.Address] = a
	return b.save()
}

func (b *addressBook) remove(sandbox string) error {
	before := len(b.by)
	for address, a := range b.by {
		if a.Sandbox == sandbox {
			delete(b.by, address)
		}
	}
	if len(b.by) == before {
		return nil
	}
	return b.save()
}

func (b *addressBook) of(podUID string) []netip.Addr {
	var addresses []netip.Addr
	for address, a := range b.by {
		if a.PodUID == podUID {
			addresses = append(addresses, address)
		}
	}
	return addresses
}

func (b *addressBook) save() error {
	entries := make([]assignment, 0, len(b.by))
	for _, entry := range b.by {
		entries = append(entries, entry)
	}
	data, err := json.Marshal(entries)
	if err != nil {
		return err
	}
	if err := os.WriteFile(b.file+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(b.file+".new", b.file)
}
