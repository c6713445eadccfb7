package policy

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// What the schema of a ClawOrganization says of names, said again for what no schema sees.
var (
	memberName = regexp.MustCompile(`^[A-Za-z0-9._%+@-]{1,128}$`)
	teamName   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// The parts of a document.
const (
	partMembers = "members"
	partTeams   = "teams"
)

const (
	maxConnectors = 32
	maxUsernames  = 16
)

// ParseDirectoryFile reads a document of members and teams, strictly. A document that is no YAML names nobody;
// an entry in it that is malformed spoils only itself. What was left aside is told, in words for whoever keeps
// the file.
func ParseDirectoryFile(name, text string) (DirectoryFile, []string) {
	f := fileReader{file: DirectoryFile{Name: name}}
	data, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		f.file.TeamsUnknown = true
		f.problem("is no YAML document, so it names nobody: %v", err)
		return f.file, f.problems
	}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(data, &parts); err != nil {
		f.file.TeamsUnknown = true
		f.problem("is not a document with members and teams, so it names nobody")
		return f.file, f.problems
	}
	for part, raw := range parts {
		switch part {
		case partMembers:
			each(&f, part, raw, f.member)
		case partTeams:
			each(&f, part, raw, f.team)
		default:
			f.file.TeamsUnknown = true // it may be a misspelled "teams"
			f.problem("%q is unknown and counts for nothing: a document has members and teams", part)
		}
	}
	slices.Sort(f.problems)
	return f.file, f.problems
}

type fileReader struct {
	file     DirectoryFile
	problems []string
}

func (f *fileReader) problem(format string, args ...any) {
	f.problems = append(f.problems, f.file.Name+": "+fmt.Sprintf(format, args...))
}

// each reads the entries of a list one by one.
func each[T any](f *fileReader, part string, raw json.RawMessage, take func(path string, entry T)) {
	var entries []json.RawMessage
	if err := json.Unmarshal(raw, &entries); err != nil {
		f.file.TeamsUnknown = f.file.TeamsUnknown || part == partTeams
		f.problem("%s is no list, so it names nobody", part)
		return
	}
	for i, e := range entries {
		path := fmt.Sprintf("%s[%d]", part, i)
		var entry T
		strict, err := kjson.UnmarshalStrict(e, &entry)
		f.file.TeamsUnknown = f.file.TeamsUnknown || part == partTeams && (err != nil || len(strict) > 0)
		switch {
		case err != nil:
			f.problem("%s counts for nothing: %v", path, err)
		case len(strict) > 0:
			f.problem("%s counts for nothing: %v", path, strict[0])
		default:
			take(path, entry)
		}
	}
}

func (f *fileReader) member(path string, m v1alpha1.Member) {
	switch {
	case !memberName.MatchString(string(m.Name)):
		f.problem("%s counts for nothing: name %q is none: 1 to 128 letters, digits and . _ %% + @ -", path, cut(string(m.Name), 128))
	case len(m.Identities) > maxConnectors:
		f.problem("%s counts for nothing: %q has identities at %d connectors, at most %d", path, m.Name, len(m.Identities), maxConnectors)
	case len(m.Kubernetes) > maxUsernames:
		f.problem("%s counts for nothing: %q has %d usernames in kubernetes, at most %d", path, m.Name, len(m.Kubernetes), maxUsernames)
	default:
		f.file.Members = append(f.file.Members, m)
	}
}

func (f *fileReader) team(path string, t v1alpha1.Team) {
	if !teamName.MatchString(string(t.Name)) {
		f.file.TeamsUnknown = true
		f.problem("%s counts for nothing: name %q is none: 1 to 63 lower-case letters, digits and -", path, cut(string(t.Name), 63))
		return
	}
	known := t.Members[:0:0]
	for k, name := range t.Members {
		if !memberName.MatchString(string(name)) {
			f.problem("%s.members[%d] counts for nothing: %q is no member's name", path, k, cut(string(name), 128))
			continue
		}
		known = append(known, name)
	}
	t.Members = known
	f.file.Teams = append(f.file.Teams, t)
}
