//go:build tools

// Package tools pins the registry of the rig: go.mod and go.sum say exactly what is built.
package tools

import _ "github.com/google/go-containerregistry/cmd/registry"
