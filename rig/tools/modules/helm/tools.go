//go:build tools

// Package tools pins helm of the rig: go.mod and go.sum say exactly what is built.
package tools

import _ "helm.sh/helm/v4/cmd/helm"
