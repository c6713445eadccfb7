package gateway

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestIsPublic(t *testing.T) {
	for address, want := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1": true, "203.0.113.10": true, "198.51.100.1": true, "192.0.2.1": true, "172.32.0.1": true,
		"0.0.0.0": false, "0.1.2.3": false, "10.0.0.1": false, "172.16.0.1": false, "192.168.1.1": false, "127.0.0.1": false, "127.255.0.1": false,
		"169.254.169.254": false, "100.64.0.1": false, "100.100.100.200": false, "192.0.0.192": false, "198.18.0.1": false, "224.0.0.1": false,
		"240.0.0.1": false, "255.255.255.255": false, "168.63.129.16": false,
		"::": false, "::1": false, "fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd00:ec2::254": false, "ff02::1": false, "fec0::1": false,
		"::ffff:8.8.8.8": false, "::ffff:10.0.0.1": false, "::10.0.0.1": false, "64:ff9b::a00:1": false, "64:ff9b:1::a00:1": false,
		"2002:a00:1::": false, "2001::1": false, "2001:db8::1": false, "100::1": false,
	} {
		if got := isPublic(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: got %v", address, got)
		}
	}
}

// names resolves each look-up of a name to the next of its answers.
type names map[string][][]string

func (n names) LookupNetIP(_ context.Context, _, host string) (out []netip.Addr, err error) {
	answers := n[host]
	if len(answers) == 0 {
		return nil, errors.New("no such host")
	}
	if len(answers) > 1 {
		n[host] = answers[1:]
	}
	for _, a := range answers[0] {
		out = append(out, netip.MustParseAddr(a))
	}
	return out, nil
}

func lan(cidrs ...string) networks {
	var out []netip.Prefix
	for _, c := range cidrs {
		out = append(out, netip.MustParsePrefix(c))
	}
	return networks{out}
}

func TestGuard(t *testing.T) {
	refused := errors.New("refused")
	for name, tc := range map[string]struct {
		names     names
		overrides map[string]netip.AddrPort
		private   networks
		address   string
		dialled   []string
		forbidden bool
	}{
		"public":              {names: names{"slack.com.": {{"203.0.113.10"}}}, address: "slack.com:443", dialled: []string{"203.0.113.10:443"}},
		"mapped public":       {names: names{"slack.com.": {{"::ffff:203.0.113.10"}}}, address: "slack.com:443", dialled: []string{"203.0.113.10:443"}},
		"private":             {names: names{"slack.com.": {{"10.0.0.1"}}}, address: "slack.com:443", forbidden: true},
		"mapped private":      {names: names{"slack.com.": {{"::ffff:10.0.0.1"}}}, address: "slack.com:443", forbidden: true},
		"metadata":            {names: names{"slack.com.": {{"169.254.169.254"}}}, address: "slack.com:443", forbidden: true},
		"private among":       {names: names{"slack.com.": {{"10.0.0.1", "203.0.113.10"}}}, address: "slack.com:443", dialled: []string{"203.0.113.10:443"}},
		"rebinding":           {names: names{"slack.com.": {{"203.0.113.10"}, {"127.0.0.1"}}}, address: "slack.com:443", dialled: []string{"203.0.113.10:443"}},
		"IPv6 last":           {names: names{"slack.com.": {{"2606:4700::1", "203.0.113.10"}}}, address: "slack.com:443", dialled: []string{"203.0.113.10:443", "[2606:4700::1]:443"}},
		"no more than a few":  {names: names{"slack.com.": {{"203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4"}}}, address: "slack.com:443", dialled: []string{"203.0.113.1:443", "203.0.113.2:443", "203.0.113.3:443"}},
		"not in our domains":  {names: names{"slack.com": {{"203.0.113.10"}}}, address: "slack.com:443"},
		"other port":          {names: names{"slack.com.": {{"203.0.113.10"}}}, address: "slack.com:80"},
		"overridden, private": {overrides: map[string]netip.AddrPort{"slack.com": netip.MustParseAddrPort("10.0.0.1:8443")}, address: "slack.com:443", dialled: []string{"10.0.0.1:8443"}},

		"own, private":               {private: lan("10.20.0.0/16"), names: names{"jira.corp.": {{"10.20.0.1"}}}, address: "jira.corp:443", dialled: []string{"10.20.0.1:443"}},
		"own, public":                {private: lan("10.20.0.0/16"), names: names{"jira.corp.": {{"203.0.113.1"}}}, address: "jira.corp:443", dialled: []string{"203.0.113.1:443"}},
		"own, mapped":                {private: lan("10.20.0.0/16"), names: names{"jira.corp.": {{"::ffff:10.20.0.1"}}}, address: "jira.corp:443", dialled: []string{"10.20.0.1:443"}},
		"own, IPv6":                  {private: lan("fd12::/16"), names: names{"jira.corp.": {{"fd12::1"}}}, address: "jira.corp:443", dialled: []string{"[fd12::1]:443"}},
		"own, carrier NAT":           {private: lan("100.64.0.0/10"), names: names{"jira.corp.": {{"100.64.0.1"}}}, address: "jira.corp:443", dialled: []string{"100.64.0.1:443"}},
		"own, elsewhere":             {private: lan("10.20.0.0/16"), names: names{"jira.corp.": {{"10.21.0.1"}}}, address: "jira.corp:443", forbidden: true},
		"own, of one of two":         {private: append(lan("10.20.0.0/16"), lan("10.21.0.0/16")...), names: names{"jira.corp.": {{"10.20.0.1"}}}, address: "jira.corp:443", forbidden: true},
		"own, loopback":              {private: lan("0.0.0.0/0", "127.0.0.0/8"), names: names{"jira.corp.": {{"127.0.0.1"}}}, address: "jira.corp:443", forbidden: true},
		"own, IPv6 loopback":         {private: lan("::/0"), names: names{"jira.corp.": {{"::1"}}}, address: "jira.corp:443", forbidden: true},
		"own, link-local":            {private: lan("0.0.0.0/0", "169.254.0.0/16"), names: names{"jira.corp.": {{"169.254.169.254"}}}, address: "jira.corp:443", forbidden: true},
		"own, IPv6 link-local":       {private: lan("::/0"), names: names{"jira.corp.": {{"fe80::1"}}}, address: "jira.corp:443", forbidden: true},
		"own, metadata":              {private: lan("0.0.0.0/0"), names: names{"jira.corp.": {{"100.100.100.200"}}}, address: "jira.corp:443", forbidden: true},
		"own, metadata over IPv6":    {private: lan("::/0"), names: names{"jira.corp.": {{"fd00:ec2::254"}}}, address: "jira.corp:443", forbidden: true},
		"own, NAT64":                 {private: lan("::/0"), names: names{"jira.corp.": {{"64:ff9b::a14:1"}}}, address: "jira.corp:443", forbidden: true},
		"own, behind a public front": {private: lan("0.0.0.0/0"), names: names{"jira.corp.": {{"168.63.129.16"}}}, address: "jira.corp:443", forbidden: true},
	} {
		t.Run(name, func(t *testing.T) {
			var dialled []string
			g := &guard{resolver: tc.names, overrides: tc.overrides, networks: func(string) networks { return tc.private }, dial: func(_ context.Context, _, address string) (net.Conn, error) {
				dialled = append(dialled, address)
				return nil, refused
			}}
			_, err := g.connect(t.Context(), "tcp", tc.address)
			if errors.Is(err, errForbiddenAddress) != tc.forbidden || err == nil {
				t.Errorf("got %v", err)
			}
			want := tc.dialled
			if name == "private among" || name == "rebinding" {
				want = want[:1]
			}
			if diff := cmp.Diff(want, dialled); diff != "" {
				t.Error(diff)
			}
		})
	}
}
