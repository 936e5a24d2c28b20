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
    "Reviews answered, by operation and by what was done about them.",
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
    "Requests answered with an HTTP error: they were no reviews, or more than the limits allow; by HTTP status.",
    ["status"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
connections_closed = Counter(
    "connections_closed",
    "Connections closed because of what the client did: too slow in the handshake or in the head or body of a "
    "request, an answer unread; or evicted, because a newer one needed the place.",
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
    "Trust policies written for nobody new: our statement was not what this replica had last seen or written.",
    ["role_arn"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
trust_removals = Counter(
    "trust_removals",
    "ServiceAccounts that this replica took out of our statement in the role, because nothing wants them there.",
    ["role_arn"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
trust_subjects = Gauge(
    "trust_subjects",
    "ServiceAccounts that our statement in the role trusts, as last written or read.",
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
    "How many ServiceAccounts more the role's trust policy has room for, by the average length of those there.",
    ["role_arn"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
associations = Gauge(
    "associations",
    "Pod Identity associations of the cluster, anybody's, as last listed.",
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
    "How many Pod Identity associations more the cluster has room for.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
association_removals = Counter(
    "association_removals",
    "Associations of ours that this replica deleted, because nothing wants them.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
association_repairs = Counter(
    "association_repairs",
    "Associations of ours that were put right because somebody had changed them.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
grants_waiting = Gauge(
    "grants_waiting",
    "ServiceAccounts that no role trusts yet though one should.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
grant_longest_wait = Gauge(
    "grant_longest_wait_seconds",
    "How long the ServiceAccount that waits longest has waited for a role to trust it; 0 where none waits.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
trust_seconds = Histogram(
    "grant_duration_seconds",
    "Time from first hearing of a ServiceAccount until a role trusts it.",
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
    "Running pods of bound ServiceAccounts that carry no AWS identity, or another role than is named, as of the "
    "leader's last look.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
rollouts_retried = Counter(
    "rollouts_retried",
    "Retries of Deployments whose pods were refused though their ServiceAccount has its identity.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
deployments_restarted = Counter(
    "deployments_restarted",
    "Deployments restarted because their pods ran without their identity, by what came of it.",
    ["outcome"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
for _outcome in ("rolled_out", "did_not_help", "timed_out"):
    deployments_restarted.labels(_outcome)
accounts_annotated_late = Counter(
    "service_accounts_annotated_late",
    "ServiceAccounts annotated after they were created, because the webhook did not see their creation.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
leading = Gauge(
    "leading",
    "1 where this replica leads: it alone removes trust, makes associations and looks after pods; else 0.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
removals_pending = Gauge(
    "removals_pending",
    "Unused trust and associations, seen by the leader; removed after the grace, at the limit's rate.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
removals_approved = Counter(
    "removals_approved",
    "ServiceAccounts that the leader has decided to remove from a role, by the cause.",
    ["cause"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
removals_over_limit = Gauge(
    "removals_over_limit",
    "ServiceAccounts whose removal waits because an hour's limit allows no more; 0 where none does.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
namespaces_stuck_terminating = Gauge(
    "namespaces_stuck_terminating",
    "Namespaces that have been terminating for more than an hour and are still trusted, seen by the leader.",
    namespace=_PREFIX,
    registry=REGISTRY,
)
prune_last_success = Gauge(
    "prune_last_success_timestamp_seconds",
    "When this replica, as leader, last looked for unused trust, in seconds since 1970.",
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
    "Objects held by the watch cache.",
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
    "When the served certificate (leaf) ends, and the authority of ours that signs (ca), in seconds since 1970.",
    ["certificate"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
certificate_reloads = Counter(
    "certificate_reloads",
    "Certificates taken into service, or refused so that the one before stays.",
    ["outcome"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
certificate_regenerations = Counter(
    "certificate_regenerations",
    "Certificates that this replica made anew, by what was wrong with those before.",
    ["reason"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
ca_bundle_writes = Counter(
    "ca_bundle_writes",
    "Times that this replica put the API server's caBundle right, by how it differed.",
    ["reason"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
unexpected_errors = Counter(
    "unexpected_errors",
    "Unexpected errors of a loop, which went on or was run again; each is a bug, with a traceback in the log.",
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
    unexpected_errors.labels(_loop)  # from the start, or nobody sees the first one: a rate needs two samples
log_lines_dropped = Counter(
    "log_lines_dropped",
    "Lines of the log that were dropped, because they were not read as fast as written, or could not be written.",
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
    "What would be done if the program did not only observe, by the kind of change, as of its last look; else 0.",
    ["change"],
    namespace=_PREFIX,
    registry=REGISTRY,
)
observed_problems = Gauge(
    "observed_problems",
    "What only a person can correct, as of the last look of a program that observes; else 0.",
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
