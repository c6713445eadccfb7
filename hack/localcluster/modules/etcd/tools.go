//go:build tools

// Package etcd pins the programs of the local cluster that come from go.etcd.io/etcd/server/v3.
package etcd

import (
	_ "go.etcd.io/etcd/server/v3"
)
