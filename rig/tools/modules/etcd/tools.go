//go:build tools

// Package tools pins etcd of the rig: go.mod and go.sum say exactly what is built.
package tools

import _ "go.etcd.io/etcd/server/v3"
