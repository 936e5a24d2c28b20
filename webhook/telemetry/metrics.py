"""Every metric of the program. Labels are bounded: no namespace, no uid; roles and bindings are configuration."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.process_collector import ProcessCollector

# Else each counter and histogram carries a gauge with the time of its creation.
disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

_PREFIX = "mxp_identity"

# The API server's own histogram starts at 5 ms; an answer that needs no write takes less than one.
_ADMISSION_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30)
_AWS_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 4)

admission_requests = Counter(
    "admission_requests",
    "Reviews answered, by operation and outcome.",
    ["operation", "outcome"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
admission_seconds = Histogram(
    "admission_duration_seconds",
    "Time to answer a review.",
    ["outcome"],
    namespace=_PREFIX,
    registry=REGISTRY,
    buckets=_ADMISSION_BUCKETS,
)
reviews_refused = Counter(
    "invalid_reviews",
    "Requests answered with an HTTP error, by HTTP status: not a review, or over the limits.",
    ["status"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
connections_closed = Counter(
    "connections_closed",
    "Connections closed, by cause: a client too slow in the handshake, the head or the body of a request, an "
    "answer unread, or evicted for a newer connection.",
    ["cause"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
for _cause in ("handshake", "head", "body", "unread", "evicted"):
    connections_closed.labels(_cause)
aws_seconds = Histogram(
    "aws_request_duration_seconds",
    "Time of a call to AWS, by operation and error code (OK when there was none).",
    ["operation", "code"],
    namespace=_PREFIX,
    registry=REGISTRY,
    buckets=_AWS_BUCKETS,
)
oidc_provider_usable = Gauge(
    "oidc_provider_usable",
    "1 where the account has the cluster's OIDC provider with the right audience, as last answered; else 0.",
    ["provider_arn"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
trust_writes = Counter(
    "trust_writes",
    "Trust policies written, repairs among them.",
    ["role_arn"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
trust_repairs = Counter(
    "trust_repairs",
    "Trust policies written without a new subject: the managed statement differed from the last one seen.",
    ["role_arn"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
trust_removals = Counter(
    "trust_removals",
    "Unused ServiceAccounts that this replica removed from the managed statement in the role.",
    ["role_arn"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
trust_subjects = Gauge(
    "trust_subjects",
    "ServiceAccounts that the managed statement in the role trusts, as last written or read.",
    ["role_arn"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
trust_policy_characters = Gauge(
    "trust_policy_characters",
    "Characters of the role's trust policy that count against the quota.",
    ["role_arn"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
trust_policy_quota_characters = Gauge(
    "trust_policy_quota_characters",
    "Characters that a trust policy may have.",
    ["role_arn"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
trust_subjects_that_fit = Gauge(
    "trust_subjects_that_fit",
    "ServiceAccounts that still fit into the role's trust policy, by the average length of those in it.",
    ["role_arn"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
associations = Gauge(
    "associations",
    "Pod Identity associations of the cluster, external ones among them, as last listed.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
association_quota = Gauge(
    "association_quota",
    "Pod Identity associations that a cluster may have.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
associations_that_fit = Gauge(
    "associations_that_fit",
    "Pod Identity associations that still fit into the cluster's quota.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
association_removals = Counter(
    "association_removals",
    "Unused managed associations that this replica deleted.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
association_repairs = Counter(
    "association_repairs",
    "Managed associations that were repaired after an external change.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
grants_pending = Gauge(
    "grants_pending",
    "ServiceAccounts that no role trusts yet though one should.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
grant_longest_wait = Gauge(
    "grant_longest_wait_seconds",
    "The longest time that a ServiceAccount has been waiting for a role to trust it; 0 where none waits.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
trust_seconds = Histogram(
    "grant_duration_seconds",
    "Time from the first review or watch event of a ServiceAccount until a role trusts it.",
    namespace=_PREFIX,
    registry=REGISTRY,
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 300),
)
pass_seconds = Histogram(
    "pass_duration_seconds",
    "Time of one pass over the whole cluster.",
    namespace=_PREFIX,
    registry=REGISTRY,
    buckets=(0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300),
)
pass_last_success = Gauge(
    "pass_last_success_timestamp_seconds",
    "When the last pass over the whole cluster ended, in seconds since 1970.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
pass_interval = Gauge(
    "pass_interval_seconds",
    "Seconds from one pass over the whole cluster to the next, as configured.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
pods_without_identity = Gauge(
    "pods_without_identity",
    "Running pods of bound ServiceAccounts without AWS identity, or with another role than is annotated, as of "
    "the leader's last pass.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
rollouts_retried = Counter(
    "rollouts_retried",
    "Retries of Deployments whose pods were denied though their ServiceAccount has its identity.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
deployments_restarted = Counter(
    "deployments_restarted",
    "Deployments restarted because their pods ran without identity, by outcome.",
    ["outcome"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
for _outcome in ("rolled_out", "did_not_help", "timed_out"):
    deployments_restarted.labels(_outcome)
accounts_annotated_late = Counter(
    "service_accounts_annotated_late",
    "ServiceAccounts annotated after their creation, because the webhook did not review it.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
leading = Gauge(
    "leading",
    "1 where this replica leads: it alone removes trust, creates associations and remediates pods; else 0.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
removals_pending = Gauge(
    "removals_pending",
    "Unused subjects and associations, counted by the leader; removed after the grace, at the limit's rate.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
removals_approved = Counter(
    "removals_approved",
    "ServiceAccounts whose removal from a role the leader has approved, by cause.",
    ["cause"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
removals_over_limit = Gauge(
    "removals_over_limit",
    "ServiceAccounts whose removal waits for the hourly limit; 0 where none does.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
namespaces_stuck_terminating = Gauge(
    "namespaces_stuck_terminating",
    "Namespaces that have been terminating for more than an hour and are still trusted, counted by the leader.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
prune_last_success = Gauge(
    "prune_last_success_timestamp_seconds",
    "When this replica, as leader, last searched for unused trust, in seconds since 1970.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
binding_matches = Gauge(
    "service_accounts",
    "ServiceAccounts of bound names by how they match the bindings, counted by the leader.",
    ["match"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
watched_objects = Gauge(
    "watched_objects",
    "Objects in the watch cache.",
    ["resource"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
watch_failures = Counter(
    "watch_failures",
    "Lists and watches that failed, by resource.",
    ["resource"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
kubernetes_failures = Counter(
    "kubernetes_request_failures",
    "Requests to the API server that failed, watches among them, by code.",
    ["code"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
certificate_expiry = Gauge(
    "certificate_expiry_timestamp_seconds",
    "When the served certificate (leaf) and the program's authority that signs (ca) end, in seconds since 1970.",
    ["certificate"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
certificate_reloads = Counter(
    "certificate_reloads",
    "Certificates loaded, or refused so that the one before stays in service.",
    ["outcome"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
certificate_regenerations = Counter(
    "certificate_regenerations",
    "Certificates that this replica recreated, by what was wrong with the former ones.",
    ["reason"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
ca_bundle_writes = Counter(
    "ca_bundle_writes",
    "Repairs of the caBundle by this replica, by how it differed.",
    ["reason"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
unexpected_errors = Counter(
    "unexpected_errors",
    "Unexpected errors of a loop, which went on or was restarted; each is a bug, with a traceback in the log.",
    ["loop"],
    namespace=_PREFIX,
    registry=REGISTRY,
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
log_lines_dropped = Counter(
    "log_lines_dropped",
    "Log lines dropped, because they were not read as fast as written, or could not be written.",
    ["reason"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
for _reason in ("full", "failed"):
    log_lines_dropped.labels(_reason)
observing = Gauge(
    "observing",
    "1 where the program only observes (observe: true) and changes nothing; else 0.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
observed_changes = Gauge(
    "observed_changes",
    "Changes that a program that observes would make, by kind, as of its last pass; else 0.",
    ["change"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
observed_problems = Gauge(
    "observed_problems",
    "Problems that only a person can correct, as of the last pass of a program that observes; else 0.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
for _change in ("annotate", "trust", "associate", "statement", "remove"):
    observed_changes.labels(_change)
writes_stopped = Gauge(
    "writes_stopped",
    "1 where writes in AWS are stopped, because the configuration is another cluster's (issuer, cluster) or names "
    "a role that these credentials must not write (role); else 0.",
    ["reason"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
build_info = Gauge(
    "build_info",
    "The program's version; always 1.",
    ["version"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
