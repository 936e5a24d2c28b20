"""Every metric of the program. Labels are bounded: no namespace, no uid; roles and bindings are configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.process_collector import ProcessCollector

if TYPE_CHECKING:
    from collections.abc import Sequence

# Else each counter and histogram carries a gauge with the time of its creation.
disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

_PREFIX = "mxp_identity"

# The API server's own histogram starts at 5 ms; an answer that needs no write takes less than one.
_ADMISSION_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30)
_AWS_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 4)


def _counter(name: str, meaning: str, labels: Sequence[str] = ()) -> Counter:
    return Counter(name, meaning, labels, namespace=_PREFIX, registry=REGISTRY)


def _gauge(name: str, meaning: str, labels: Sequence[str] = ()) -> Gauge:
    return Gauge(name, meaning, labels, namespace=_PREFIX, registry=REGISTRY)


def _histogram(name: str, meaning: str, labels: Sequence[str] = (), *, buckets: Sequence[float]) -> Histogram:
    return Histogram(name, meaning, labels, namespace=_PREFIX, registry=REGISTRY, buckets=buckets)


admission_requests = _counter(
    "admission_requests", "Reviews answered, by operation and outcome.", ["operation", "outcome"]
)
admission_seconds = _histogram(
    "admission_duration_seconds", "Time to answer a review.", ["outcome"], buckets=_ADMISSION_BUCKETS
)
reviews_refused = _counter(
    "invalid_reviews",
    "Requests answered with an HTTP error, by HTTP status: not a review, or over the limits.",
    ["status"],
)
connections_closed = _counter(
    "connections_closed",
    "Connections closed, by cause: a client too slow in the handshake, the head or the body of a request, an "
    "answer unread, or evicted for a newer connection.",
    ["cause"],
)
for _cause in ("handshake", "head", "body", "unread", "evicted"):
    connections_closed.labels(_cause)
aws_seconds = _histogram(
    "aws_request_duration_seconds",
    "Time of a call to AWS, by operation and error code (OK when there was none).",
    ["operation", "code"],
    buckets=_AWS_BUCKETS,
)
aws_endpoint_reachable = _gauge(
    "aws_endpoint_reachable",
    "1 where the service (iam, sts, eks) answered its last call, also by a refusal; 0 where it was not reached.",
    ["service"],
)
oidc_provider_usable = _gauge(
    "oidc_provider_usable",
    "1 where the account has the cluster's OIDC provider with the right audience, as last answered; else 0.",
    ["provider_arn"],
)
trust_writes = _counter("trust_writes", "Trust policies written, repairs among them.", ["role_arn"])
trust_repairs = _counter(
    "trust_repairs",
    "Trust policies written without a new subject: the managed statement differed from the last one seen.",
    ["role_arn"],
)
trust_removals = _counter(
    "trust_removals",
    "Unused ServiceAccounts that this replica removed from the managed statement in the role.",
    ["role_arn"],
)
trust_subjects = _gauge(
    "trust_subjects",
    "ServiceAccounts that the managed statement in the role trusts, as last written or read.",
    ["role_arn"],
)
trust_policy_characters = _gauge(
    "trust_policy_characters", "Characters of the role's trust policy that count against the quota.", ["role_arn"]
)
trust_policy_quota_characters = _gauge(
    "trust_policy_quota_characters", "Characters that a trust policy may have.", ["role_arn"]
)
trust_subjects_that_fit = _gauge(
    "trust_subjects_that_fit",
    "ServiceAccounts that still fit into the role's trust policy, by the average length of those in it.",
    ["role_arn"],
)
trust_wide_statements = _gauge(
    "trust_wide_statements",
    "External statements of the role's trust policy that allow ServiceAccounts or pods without naming each.",
    ["role_arn"],
)
associations = _gauge(
    "associations", "Pod Identity associations of the cluster, external ones among them, as last listed."
)
association_quota = _gauge("association_quota", "Pod Identity associations that a cluster may have.")
associations_that_fit = _gauge(
    "associations_that_fit", "Pod Identity associations that still fit into the cluster's quota."
)
association_removals = _counter("association_removals", "Unused managed associations that this replica deleted.")
association_repairs = _counter(
    "association_repairs", "Managed associations that were repaired after an external change."
)
grants_pending = _gauge("grants_pending", "ServiceAccounts that no role trusts yet though one should.")
grant_longest_wait = _gauge(
    "grant_longest_wait_seconds",
    "The longest time that a ServiceAccount has been waiting for a role to trust it; 0 where none waits.",
)
trust_seconds = _histogram(
    "grant_duration_seconds",
    "Time from the first review or watch event of a ServiceAccount until a role trusts it.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 300),
)
pass_seconds = _histogram(
    "pass_duration_seconds",
    "Time of one pass over the whole cluster.",
    buckets=(0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300),
)
pass_last_success = _gauge(
    "pass_last_success_timestamp_seconds",
    "When the last pass over the whole cluster ended, in seconds since 1970.",
)
pass_interval = _gauge(
    "pass_interval_seconds", "Seconds from one pass over the whole cluster to the next, as configured."
)
pods_without_identity = _gauge(
    "pods_without_identity",
    "Running pods of bound ServiceAccounts without AWS identity, or with another role than is annotated, as of "
    "the leader's last pass.",
)
rollouts_retried = _counter(
    "rollouts_retried",
    "Retries of Deployments whose pods were denied though their ServiceAccount has its identity.",
)
deployments_restarted = _counter(
    "deployments_restarted",
    "Deployments restarted because their pods ran without identity, by outcome.",
    ["outcome"],
)
for _outcome in ("rolled_out", "did_not_help", "timed_out"):
    deployments_restarted.labels(_outcome)
accounts_annotated_late = _counter(
    "service_accounts_annotated_late",
    "ServiceAccounts annotated after their creation: no review had named the role that trusts them.",
)
leading = _gauge(
    "leading",
    "1 where this replica leads: it alone removes trust, creates associations and remediates pods; else 0.",
)
removals_pending = _gauge(
    "removals_pending",
    "Unused subjects and associations, counted by the leader; removed after the grace, at the limit's rate.",
)
removals_approved = _counter(
    "removals_approved", "ServiceAccounts whose removal from a role the leader has approved, by cause.", ["cause"]
)
removals_over_limit = _gauge(
    "removals_over_limit", "ServiceAccounts whose removal waits for the hourly limit; 0 where none does."
)
namespaces_stuck_terminating = _gauge(
    "namespaces_stuck_terminating",
    "Namespaces that have been terminating for more than an hour and are still trusted, counted by the leader.",
)
prune_last_success = _gauge(
    "prune_last_success_timestamp_seconds",
    "When this replica, as leader, last searched for unused trust, in seconds since 1970.",
)
binding_matches = _gauge(
    "service_accounts",
    "ServiceAccounts of bound names by how they match the bindings, counted by the leader.",
    ["match"],
)
watched_objects = _gauge("watched_objects", "Objects in the watch cache.", ["resource"])
watch_failures = _counter("watch_failures", "Lists and watches that failed, by resource.", ["resource"])
kubernetes_failures = _counter(
    "kubernetes_request_failures", "Requests to the API server that failed, watches among them, by code.", ["code"]
)
certificate_expiry = _gauge(
    "certificate_expiry_timestamp_seconds",
    "When the served certificate (leaf) and the program's authority that signs (ca) end, in seconds since 1970.",
    ["certificate"],
)
certificate_reloads = _counter(
    "certificate_reloads", "Certificates loaded, or refused so that the one before stays in service.", ["outcome"]
)
certificate_regenerations = _counter(
    "certificate_regenerations",
    "Certificates that this replica recreated, by what was wrong with the former ones.",
    ["reason"],
)
ca_bundle_writes = _counter(
    "ca_bundle_writes", "Repairs of the caBundle by this replica, by how it differed.", ["reason"]
)
unexpected_errors = _counter(
    "unexpected_errors",
    "Unexpected errors of a loop, which went on or was restarted; each is a bug, with a traceback in the log.",
    ["loop"],
)
for _loop in (
    "pass",
    "pods",
    "reflector",
    "trust_writer",
    "certificates",
    "leader",
    "associations",
    "grants",
    "task",
    "kubernetes",
):
    unexpected_errors.labels(_loop)  # from the start, so that a rate, which needs two samples, shows the first one
log_lines_dropped = _counter(
    "log_lines_dropped",
    "Log lines dropped, because they were not read as fast as written, or could not be written.",
    ["reason"],
)
for _reason in ("full", "failed"):
    log_lines_dropped.labels(_reason)
observing = _gauge("observing", "1 where the program only observes (observe: true) and changes nothing; else 0.")
observed_changes = _gauge(
    "observed_changes",
    "Changes that a program that observes would make, by kind, as of its last pass; else 0.",
    ["change"],
)
observed_problems = _gauge(
    "observed_problems",
    "Problems that only a person can correct, as of the last pass of a program that observes; else 0.",
)
for _change in ("annotate", "trust", "associate", "statement", "remove"):
    observed_changes.labels(_change)
writes_stopped = _gauge(
    "writes_stopped",
    "1 where writes in AWS are stopped, because the configuration is another cluster's (issuer, cluster) or names "
    "a role that these credentials must not write (role); else 0.",
    ["reason"],
)
build_info = _gauge("build_info", "The program's version; always 1.", ["version"])
