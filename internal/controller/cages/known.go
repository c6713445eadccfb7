package cages

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// known is what the watch of one cage has seen, kept to tell what changed while it was interrupted. Only
// the cage's own reflector writes it, so it has no lock.
type known struct {
	watcher   *Watcher
	namespace string
	cage      *opened
	ctx       context.Context
	secrets   map[string]*metav1.PartialObjectMetadata
}

// Replace is the answer to a list: the rights are in force.
func (k *known) Replace(list []any, _ string) error {
	before := k.secrets
	k.secrets = make(map[string]*metav1.PartialObjectMetadata, len(list))
	for _, o := range list {
		now, err := slim(o)
		if err != nil {
			return err
		}
		k.secrets[now.Name] = now
		if was := before[now.Name]; was == nil || was.UID != now.UID || was.ResourceVersion != now.ResourceVersion {
			k.watcher.tell(k.ctx, was, now)
		}
		delete(before, now.Name)
	}
	for _, was := range before {
		k.watcher.tell(k.ctx, was)
	}
	k.watcher.inForce(k.ctx, k.namespace, k.cage)
	return nil
}

// Add is an event of the watch.
func (k *known) Add(o any) error { return k.Update(o) }

// Update is an event of the watch.
func (k *known) Update(o any) error {
	now, err := slim(o)
	if err != nil {
		return err
	}
	was := k.secrets[now.Name]
	k.secrets[now.Name] = now
	k.watcher.tell(k.ctx, was, now)
	return nil
}

// Delete is an event of the watch.
func (k *known) Delete(o any) error {
	gone, err := slim(o)
	if err != nil {
		return err
	}
	was := k.secrets[gone.Name]
	delete(k.secrets, gone.Name)
	k.watcher.tell(k.ctx, was, gone)
	return nil
}

// Resync is never asked for.
func (k *known) Resync() error { return nil }

// slim keeps of a Secret's metadata what is read here: who owns it, and which version it is.
func slim(o any) (*metav1.PartialObjectMetadata, error) {
	m, ok := o.(*metav1.PartialObjectMetadata)
	if !ok {
		return nil, fmt.Errorf("%T is no metadata", o)
	}
	return &metav1.PartialObjectMetadata{TypeMeta: m.TypeMeta, ObjectMeta: metav1.ObjectMeta{
		Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion, OwnerReferences: m.OwnerReferences,
	}}, nil
}
