//go:build tools

// Package tools pins Prometheus of the rig: go.mod and go.sum say exactly what is built.
package tools

import (
	_ "github.com/prometheus/prometheus/cmd/prometheus"
	_ "github.com/prometheus/prometheus/cmd/promtool"
)
