package policy

import (
	"regexp"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// image is a reference to one, taken apart and completed as runtimes do. With a digest, that alone says
// what runs, and a tag beside it is decoration.
type image struct{ name, tag, digest string }

const (
	dockerHub = "docker.io"
	// dockerLibrary is where Docker's own images are.
	dockerLibrary = "library/"
)

var (
	imageHost   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?([.][A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*(:[0-9]+)?$`)
	imagePath   = regexp.MustCompile(`^[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*$`)
	imageTag    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	imageDigest = regexp.MustCompile(`^(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$`)
	// imageID is what a runtime may take for the id of an image it already has, and so for no name.
	imageID = regexp.MustCompile(`^(sha256:)?[0-9a-f]+$`)
)

// maxImageName is the greatest length of a name, with its registry.
const maxImageName = 255

// parseImage reads a reference; ok is false where it is none, or where it could be taken for something else.
func parseImage(text string) (out image, ok bool) {
	if imageID.MatchString(text) {
		return image{}, false
	}
	rest, digest, hasDigest := strings.Cut(text, "@")
	if hasDigest && !imageDigest.MatchString(digest) {
		return image{}, false
	}
	// The last colon is a tag's, unless a slash follows: then it is a port's.
	name, tag := rest, ""
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, '/') {
		name, tag = rest[:i], rest[i+1:]
		if !imageTag.MatchString(tag) {
			return image{}, false
		}
	}
	name, ok = imageName(name)
	return image{name: name, tag: tag, digest: digest}, ok
}

// imageName completes a name with its registry.
func imageName(text string) (string, bool) {
	host, path := splitHost(text)
	if host == dockerHub && !strings.Contains(path, "/") {
		path = dockerLibrary + path
	}
	name := host + "/" + path
	return name, imageHost.MatchString(host) && imagePath.MatchString(path) && len(name) <= maxImageName
}

// splitHost parts the registry from the rest of a name, or of the beginning of one. What is no host is a path of docker.io.
func splitHost(text string) (host, path string) {
	first, rest, found := strings.Cut(text, "/")
	switch {
	case !found || !strings.ContainsAny(first, ".:") && first != "localhost" && first == strings.ToLower(first):
		return dockerHub, text
	case strings.EqualFold(first, "index.docker.io"):
		return dockerHub, rest
	default:
		return strings.ToLower(first), rest
	}
}

// identity is what patterns are matched with: name@digest, or else name:tag.
func (i image) identity() string {
	switch {
	case i.digest != "":
		return i.name + "@" + i.digest
	case i.tag != "":
		return i.name + ":" + i.tag
	default:
		return i.name + ":latest"
	}
}

// matches reports whether a pattern stands for the image. Patterns are completed as images are. One that ends
// in ":*" is every tag and digest of one repository, any other with a "*" is the beginning of an identity.
func (i image) matches(p v1alpha1.Pattern) bool {
	text, prefix, ok := split(p)
	switch {
	case !ok || i.name == "":
		return false
	case !prefix:
		exact, ok := parseImage(text)
		return ok && exact.identity() == i.identity()
	case text == "":
		return true
	case strings.HasSuffix(text, ":") && !strings.Contains(text, "@"):
		name, ok := imageName(strings.TrimSuffix(text, ":"))
		return ok && name == i.name
	default:
		host, path := splitHost(text)
		if host == dockerHub && !strings.Contains(text, "/") {
			path = dockerLibrary + path
		}
		return strings.HasPrefix(i.identity(), host+"/"+path)
	}
}
