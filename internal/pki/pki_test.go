package pki

import (
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func TestIssue(t *testing.T) {
	ca, err := NewCA("test", now, 90*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.Issue(now, 30*24*time.Hour, "a.svc", "b.svc")
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewCA("other", now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if !ca.Signs(leaf, now, "a.svc", "b.svc") {
		t.Error("a leaf of the authority is refused")
	}
	if ca.Signs(leaf, now, "c.svc") || other.Signs(leaf, now, "a.svc") || ca.Signs(leaf, now.Add(31*24*time.Hour), "a.svc") {
		t.Error("accepted for another name, by another authority, or after its time")
	}
	if _, err := ca.Issue(now, time.Hour); err == nil {
		t.Error("a certificate without names was issued")
	}
	if _, err := (Pair{}).Issue(now, time.Hour, "a"); err == nil {
		t.Error("an empty authority issued a certificate")
	}
}

func TestFresh(t *testing.T) {
	ca, err := NewCA("test", now, 90*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for days, want := range map[int]bool{0: true, 50: true, 61: false, 100: false, -2: false} {
		if got := ca.Fresh(now.Add(time.Duration(days) * 24 * time.Hour)); got != want {
			t.Errorf("after %d days of 90: fresh is %v", days, got)
		}
	}
	if (Pair{Cert: []byte("x"), Key: []byte("y")}).Fresh(now) {
		t.Error("what cannot be read is fresh")
	}
}

func TestCertificates(t *testing.T) {
	a, err := NewCA("a", now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	out, err := Certificates(append([]byte("# a comment\n"), append(a.Cert, a.Cert...)...))
	if err != nil || strings.Count(string(out), "BEGIN CERTIFICATE") != 2 || strings.Contains(string(out), "comment") {
		t.Errorf("got %q, %v", out, err)
	}
	for name, text := range map[string][]byte{
		"nothing": nil, "no PEM": []byte("hello"), "a key": a.Key,
		"broken": []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
	} {
		if _, err := Certificates(text); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
