"""The running program: its parts put together, its two ports, its start and its end.

- Put together: `parts` (what every program has), `assembly` (the program that writes), `pod_identity` (what that
  mode adds).
- Life: `program` starts, drains and stops. `startup` has the checks beside the serving, `issuer` finds the issuer
  of the cluster's tokens, `aws_prerequisites` watches endpoints and OIDC providers, and `memory` gives memory
  back.
- Ports: `listeners`, with the limits in `connections` and each connection in `protocol`. `certificates` has the
  serving certificate, `health` the port of the kubelet and of Prometheus.
"""
