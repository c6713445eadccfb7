//go:build tools

// Package gvisor pins the programs of the local cluster that come from gvisor.dev/gvisor.
package gvisor

import (
	_ "gvisor.dev/gvisor/runsc"
	_ "gvisor.dev/gvisor/shim"
)
