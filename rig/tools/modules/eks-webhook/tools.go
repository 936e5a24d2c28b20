//go:build tools

// Package tools pins EKS's pod identity webhook of the rig: go.mod and go.sum say exactly what is built.
package tools

import _ "github.com/aws/amazon-eks-pod-identity-webhook"
