package policy

import (
	"strings"
	"testing"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

var (
	digestA = "sha256:" + strings.Repeat("a", 64)
	digestB = "sha256:" + strings.Repeat("b", 64)
)

func TestImageIdentity(t *testing.T) {
	for text, want := range map[string]string{
		"nginx":                                    "docker.io/library/nginx:latest",
		"nginx:1.27":                               "docker.io/library/nginx:1.27",
		"acme/app":                                 "docker.io/acme/app:latest",
		"docker.io/nginx":                          "docker.io/library/nginx:latest",
		"index.docker.io/nginx":                    "docker.io/library/nginx:latest",
		"docker.io/acme/app:1":                     "docker.io/acme/app:1",
		"registry.example/acme/app":                "registry.example/acme/app:latest",
		"REGISTRY.example/acme/app:V1":             "registry.example/acme/app:V1",
		"registry.example/acme/app@" + digestA:     "registry.example/acme/app@" + digestA,
		"registry.example/acme/app:1.4@" + digestA: "registry.example/acme/app@" + digestA,
		"localhost/app":                            "localhost/app:latest",
		"localhost:5000/app:1":                     "localhost:5000/app:1",
		"registry:5000/a/b/c:x_y.z-1":              "registry:5000/a/b/c:x_y.z-1",
		"10.0.0.1:5000/app":                        "10.0.0.1:5000/app:latest",
		"a__b/c--d.e":                              "docker.io/a__b/c--d.e:latest",
		"Foo/app":                                  "foo/app:latest",
		"":                                         "",
		"Nginx":                                    "",
		" nginx":                                   "",
		"nginx ":                                   "",
		"nginx:":                                   "",
		"nginx@":                                   "",
		"nginx:1:2":                                "",
		"nginx@" + digestA + "@" + digestB:         "",
		"nginx@sha256:abc":                         "",
		"nginx@sha256:" + strings.Repeat("A", 64): "",
		"nginx@md5:" + strings.Repeat("a", 32):    "",
		"registry.example//app":                   "",
		"registry.example/app/":                   "",
		"/app":                                    "",
		"registry.example/a/../b":                 "",
		"registry.example/a/./b":                  "",
		"https://registry.example/app":            "",
		"registry.example:x/app":                  "",
		"-x.io/app":                               "",
		"app*":                                    "",
		"deadbeef":                                "", // the beginning of the id of an image on the node
		strings.Repeat("a", 64):                   "",
		digestA:                                   "",
		"registry.example/" + strings.Repeat("a", 300): "",
		"app:" + strings.Repeat("t", 129):              "",
	} {
		got, ok := parseImage(text)
		if ok != (want != "") || ok && got.identity() != want {
			t.Errorf("%q: %q, %t; want %q", text, got.identity(), ok, want)
		}
	}
}

func TestImageMatches(t *testing.T) {
	for _, c := range []struct {
		pattern v1alpha1.Pattern
		image   string
		want    bool
	}{
		{"*", "nginx", true},
		{"nginx:1.27", "docker.io/library/nginx:1.27", true},
		{"docker.io/library/nginx:1.27", "nginx:1.27", true},
		{"nginx", "nginx:latest", true},
		{"nginx", "nginx:1.27", false},
		{"registry.example/acme/app:1.4", "registry.example/acme/app:1.4@" + digestA, false}, // the digest says what runs
		{v1alpha1.Pattern("registry.example/acme/app:1.4@" + digestA), "registry.example/acme/app@" + digestA, true},
		{v1alpha1.Pattern("registry.example/acme/app@" + digestA), "registry.example/acme/app:9@" + digestA, true},
		{v1alpha1.Pattern("registry.example/acme/app@" + digestA), "registry.example/acme/app@" + digestB, false},
		{"registry.example/acme/app:*", "registry.example/acme/app", true},
		{"registry.example/acme/app:*", "registry.example/acme/app:1", true},
		{"registry.example/acme/app:*", "registry.example/acme/app@" + digestA, true},
		{"registry.example/acme/app:*", "registry.example/acme/app2:1", false},
		{"registry.example/acme/app:*", "registry.example/acme/app/evil:1", false},
		{"nginx:*", "docker.io/library/nginx:1", true},
		{"localhost:*", "localhost:5000/evil:1", false},
		{"registry.example:*", "registry.example:443/evil:1", false},
		{"registry.example/acme/app:1.*", "registry.example/acme/app:1.4", true},
		{"registry.example/acme/app:1.*", "registry.example/acme/app:1.4@" + digestA, false},
		{"registry.example/acme/app@*", "registry.example/acme/app:1@" + digestA, true},
		{"registry.example/acme/app@*", "registry.example/acme/app:1", false},
		{"registry.example/acme/app@sha256:*", "registry.example/acme/app:1@" + digestA, true},
		{"registry.example/acme/app@sha256:*", "registry.example/acme/app:1", false},
		{"registry.example/acme/*", "registry.example/acme/a/b:1", true},
		{"registry.example/acme/*", "registry.example/acme-evil/a:1", false},
		{"registry.example/*", "registry.example/acme/a:1", true},
		{"registry.example/*", "registry.example.evil.example/acme/a:1", false},
		{"registry.example*", "registry.example.evil.example/acme/a:1", false},
		{"REGISTRY.example/acme/*", "registry.example/acme/a", true},
		{"acme/*", "acme/app", true},
		{"acme/*", "registry.example/acme/app", false},
		{"docker.io/*", "nginx", true},
		{"docker.io/acme/*", "acme/app", true},
		{"index.docker.io/acme/*", "acme/app", true},
		{"ngin*", "nginx", true},
		{"ngin*", "registry.example/nginx", false},
		{"localhost/*", "localhost/app", true},
		{"registry:5000/*", "registry:5000/app", true},
		{"registry:5000/*", "registry/app", false},
		{"a*b", "a*b", false},
		{"", "nginx", false},
	} {
		i, _ := parseImage(c.image)
		if got := i.matches(c.pattern); got != c.want {
			t.Errorf("%q and %q: %t", c.pattern, c.image, got)
		}
	}
	if (image{}).matches("*") {
		t.Error("no image matches")
	}
}

// Every image a small world has, and every pattern of the beginnings of their names, against the sentence that
// an image is name@digest or name:tag, and that a pattern is the beginning of it.
func TestImagePatternsAgainstBruteForce(t *testing.T) {
	var names []string
	for _, host := range []string{"docker.io", "registry.example", "localhost:5000"} {
		for _, path := range []string{"library/a", "library/ab", "b/a", "b/ab", "b/a/a"} {
			names = append(names, host+"/"+path)
		}
	}
	suffixes := []string{"", ":latest", ":l", ":1", ":1.2", "@" + digestA, ":1@" + digestA, ":1@" + digestB}
	identity := func(name, suffix string) string {
		switch at := strings.IndexByte(suffix, '@'); {
		case at >= 0:
			return name + suffix[at:]
		case suffix == "":
			return name + ":latest"
		default:
			return name + suffix
		}
	}
	short := func(name string) []string {
		out := []string{name}
		if rest, ok := strings.CutPrefix(name, "docker.io/"); ok {
			out = append(out, rest, "index.docker.io/"+rest)
			if last, ok := strings.CutPrefix(rest, "library/"); ok {
				out = append(out, "docker.io/"+last)
			}
		}
		return out
	}
	checked := 0
	for _, name := range names {
		for _, suffix := range suffixes {
			for _, written := range short(name) {
				i, ok := parseImage(written + suffix)
				if !ok || i.identity() != identity(name, suffix) {
					t.Fatalf("%s%s: %q, %t", written, suffix, i.identity(), ok)
				}
				for _, other := range names {
					for _, otherSuffix := range suffixes {
						id := identity(other, otherSuffix)
						if got, want := i.matches(v1alpha1.Pattern(other+otherSuffix)), id == identity(name, suffix); got != want {
							t.Errorf("%s%s and %s%s: %t", written, suffix, other, otherSuffix, got)
						}
						// The beginnings with a host and a slash stand for themselves.
						for end := strings.IndexByte(id, '/') + 1; end <= len(id); end++ {
							want := strings.HasPrefix(identity(name, suffix), id[:end])
							if id[end-1] == ':' && !strings.Contains(id[:end], "@") {
								want = name == other
							}
							if got := i.matches(v1alpha1.Pattern(id[:end] + "*")); got != want {
								t.Fatalf("%s%s and %s*: %t", written, suffix, id[:end], got)
							}
							checked++
						}
					}
				}
			}
		}
	}
	if checked < 100_000 {
		t.Errorf("only %d were checked", checked)
	}
}

func FuzzParseImage(f *testing.F) {
	f.Add("registry.example/acme/app:1@"+digestA, "registry.example/acme/*")
	f.Add("nginx", "nginx:*")
	f.Add("a@b@c:d/e", "*")
	f.Fuzz(func(t *testing.T, text, pattern string) {
		i, ok := parseImage(text)
		if !ok {
			return
		}
		again, ok := parseImage(i.identity())
		if !ok || again.identity() != i.identity() {
			t.Errorf("%q is %q, which is %q", text, i.identity(), again.identity())
		}
		if !i.matches(v1alpha1.Pattern(text)) || !i.matches(v1alpha1.Pattern(i.identity())) || !i.matches("*") {
			t.Errorf("%q does not match itself", text)
		}
		if p := v1alpha1.Pattern(pattern); i.matches(p) && strings.Contains(strings.TrimSuffix(pattern, "*"), "*") {
			t.Errorf("%q is no pattern and matches %q", pattern, text)
		}
	})
}
