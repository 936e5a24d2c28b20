//go:build tools

// Package tools pins kwok of the rig: go.mod and go.sum say exactly what is built.
package tools

import _ "sigs.k8s.io/kwok/cmd/kwok"
