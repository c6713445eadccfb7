// Package directory reads who is who in an organization: what its spec says, and
// what the ConfigMaps say that the spec names. Webhook and controllers read it here,
// so that they never judge by different people.
package directory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// fileSuffix is how keys of a ConfigMap end that hold a part of a directory.
const fileSuffix = ".yaml"

// Problem is what was left aside of a directory. It goes away by itself when what it is about is mended.
type Problem struct {
	// Reason is DirectoryMissing, DirectoryMalformed or IdentityContested.
	Reason string
	// Message says what counts for nobody, and how to mend it. It is the same for the same problem.
	Message string
}

// Reader reads directories, and keeps what it has read until something of it changes.
type Reader struct {
	// Client reads ConfigMaps of Namespace.
	Client client.Reader
	// Namespace of the operator. Directories are read from no other.
	Namespace string

	kept kept
}

// Of returns the directory of an organization as it is stored, whole, and what was left aside of it. What
// cannot be read counts for nobody; an error means that it could not be asked for.
func (r *Reader) Of(ctx context.Context, org *v1alpha1.ClawOrganization) (*policy.Directory, []Problem, error) {
	return r.OfWith(ctx, r.Client, org)
}

// OfWith is Of with ConfigMaps from another reader, for who must not judge by a cache.
func (r *Reader) OfWith(ctx context.Context, reader client.Reader, org *v1alpha1.ClawOrganization) (*policy.Directory, []Problem, error) {
	sources, err := r.read(ctx, reader, org)
	if err != nil {
		return nil, nil, err
	}
	now := versionOf(org, sources)
	if d, ok := r.kept.get(org.Name, now); ok {
		return d.directory, d.problems, nil
	}
	d := join(org, sources, r.kept.parsed(org.Name))
	r.kept.put(org.Name, now, d)
	return d.directory, d.problems, nil
}

// OfPending is OfWith for an organization that somebody asks to store: what may be refused is not kept.
func (r *Reader) OfPending(ctx context.Context, reader client.Reader, org *v1alpha1.ClawOrganization) (*policy.Directory, []Problem, error) {
	sources, err := r.read(ctx, reader, org)
	if err != nil {
		return nil, nil, err
	}
	d := join(org, sources, r.kept.parsed(org.Name))
	return d.directory, d.problems, nil
}

// source is one ConfigMap; data is nil where there is none.
type source struct {
	namespace, name string
	uid             types.UID
	version         string
	found           bool
	data            map[string]string
}

func (r *Reader) read(ctx context.Context, reader client.Reader, org *v1alpha1.ClawOrganization) ([]source, error) {
	var out []source
	for _, ref := range org.Spec.DirectoryRefs {
		s := source{namespace: r.Namespace, name: string(ref.ConfigMap)}
		var cm corev1.ConfigMap
		err := reader.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: s.name}, &cm)
		switch {
		case err == nil:
			s.found, s.uid, s.version, s.data = true, cm.UID, cm.ResourceVersion, cm.Data
		case !apierrors.IsNotFound(err):
			return nil, fmt.Errorf("read ConfigMap %s of the directory of ClawOrganization %s: %w", s.name, org.Name, err)
		}
		out = append(out, s)
	}
	return out, nil
}

// key names a version of a ConfigMap's content; empty where nothing says so.
func (s *source) key() string {
	if s.uid == "" || s.version == "" {
		return ""
	}
	return s.name + "/" + string(s.uid) + "/" + s.version
}

// joined is a directory that was read.
type joined struct {
	directory *policy.Directory
	problems  []Problem
	parsed    map[string]parsed
}

// parsed are the documents of one ConfigMap, by its key: of a large directory, reading them is what takes time.
type parsed struct {
	files    []policy.DirectoryFile
	problems []string
}

// join reads every document there is, but for those that were read before. Nothing but what is malformed
// itself is lost by it.
func join(org *v1alpha1.ClawOrganization, sources []source, before map[string]parsed) joined {
	out := joined{parsed: map[string]parsed{}}
	var files []policy.DirectoryFile
	for _, s := range sources {
		if !s.found {
			out.add(v1alpha1.ReasonDirectoryMissing, "ConfigMap %q, which spec.directoryRefs names, is not in namespace %q: whom it would name counts for nobody. Create it there, or take it out of spec.directoryRefs",
				s.name, s.namespace)
			files = append(files, policy.DirectoryFile{Name: s.name, TeamsUnknown: true})
			continue
		}
		key := s.key()
		p, ok := before[key]
		if !ok || key == "" {
			p = s.parse()
		}
		out.parsed[key] = p
		files = append(files, p.files...)
		for _, problem := range p.problems {
			out.add(v1alpha1.ReasonDirectoryMalformed, "%s", problem)
		}
	}
	out.directory = policy.NewDirectory(org, files...)
	for _, p := range out.directory.Problems() {
		out.add(v1alpha1.ReasonDirectoryMalformed, "%s", p)
	}
	for _, c := range contested(org, files) {
		out.add(v1alpha1.ReasonIdentityContested, "%s", c.message())
	}
	return out
}

func (s *source) parse() parsed {
	var out parsed
	keys := slices.DeleteFunc(slices.Sorted(maps.Keys(s.data)), func(k string) bool { return !strings.HasSuffix(k, fileSuffix) })
	if len(keys) == 0 {
		out.files = append(out.files, policy.DirectoryFile{Name: s.name, TeamsUnknown: true})
		out.problems = append(out.problems, fmt.Sprintf("ConfigMap %q in namespace %q has no key that ends in %s, so it names nobody: put a document with members and teams under one, such as members%s",
			s.name, s.namespace, fileSuffix, fileSuffix))
	}
	for _, key := range keys {
		file, problems := policy.ParseDirectoryFile(s.name+"/"+key, s.data[key])
		out.files = append(out.files, file)
		out.problems = append(out.problems, problems...)
	}
	return out
}

func (j *joined) add(reason, format string, args ...any) {
	j.problems = append(j.problems, Problem{Reason: reason, Message: fmt.Sprintf(format, args...)})
}
