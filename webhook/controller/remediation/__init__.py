"""What is done about pods without identity.

- `pods` finds and reports them.
- `pod_gate` lets the API server refuse new ones, by the policies in the chart's `templates/pod-gate.yaml`.
- `rollout_retry` has the Deployments of refused pods try again.
- `restarts` replaces pods that run without identity; `model.deployments` decides which, and `rollouts` has how
  many at a time and the wait for their end.

The leader runs them. A replica that annotates a ServiceAccount late checks the pods of that one, too.
"""
