//go:build tools

// Package coredns pins the programs of the local cluster that come from github.com/coredns/coredns.
package coredns

import (
	_ "github.com/coredns/coredns"
)
