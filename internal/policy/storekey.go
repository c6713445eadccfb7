package policy

import (
	"slices"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// deniesKey reports whether a denial is about a key, however it is written. What is no pattern denies everything,
// so that a mistake never widens.
func deniesKey(p v1alpha1.Pattern, key string) bool {
	text, prefix, ok := split(p)
	if !ok || Matches(p, key) {
		return true
	}
	if !prefix {
		return plainKey(text) == plainKey(key)
	}
	// What the prefix ends in may go on: only what is before that can be tidied.
	whole := strings.LastIndexByte(slashed(text), '/') + 1
	tidied := plainKey(slashed(text)[:whole])
	if tidied != "" {
		tidied += "/"
	}
	return strings.HasPrefix(plainKey(key), tidied+slashed(text)[whole:])
}

// plainKey is a key as stores read it that take keys for paths: "acme//a", "/acme/./a" and "ACME/a/" can all be
// the same. What climbs is left: nobody has it by a pattern.
func plainKey(key string) string {
	parts := slices.DeleteFunc(strings.Split(slashed(key), "/"), func(part string) bool { return part == "" || part == "." })
	return strings.Join(parts, "/")
}

// slashed is a key in lower case, with what some clients take for dots and slashes.
func slashed(key string) string {
	return strings.NewReplacer("%2e", ".", "%2f", "/", "%5c", "/", `\`, "/").Replace(strings.ToLower(key))
}

// climbs reports whether a key could leave the folder it begins with, where a store takes keys for paths.
func climbs(key string) bool {
	return slices.ContainsFunc(strings.Split(slashed(key), "/"), func(part string) bool { return part == "." || part == ".." })
}
