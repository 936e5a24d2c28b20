"""What is run on each version of Kubernetes: tests of the rig, by what users rely on."""

from __future__ import annotations

from dataclasses import dataclass

UNIT_TESTS = "unit tests"
"""What is run on each Python."""


@dataclass(frozen=True, slots=True)
class Area:
    """A column of the page; `tests` are pytest's ids of files or tests, each of which must pass."""

    name: str
    shows: str
    tests: tuple[str, ...]


def _of(file: str, *names: str) -> tuple[str, ...]:
    """These tests of a file, or all of it."""
    return tuple(f"{file}::test_{name}" for name in names) or (file,)


AREAS = (
    Area(
        "the cluster",
        "The API server, controllers and scheduler of that version start, and EKS's own webhook works on them.",
        _of("tests/rig/test_cluster.py"),
    ),
    Area(
        "main job, IRSA",
        "A control plane has annotation and trust at once. What was stripped or labelled late is repaired.",
        (
            *_of(
                "tests/e2e/test_many_control_planes.py",
                "25_control_planes_in_a_row_have_their_identity_at_once_while_iam_reorders_and_is_stale",
            ),
            *_of("tests/e2e/test_annotations.py", "an_update_that_strips_the_annotation_gets_it_back"),
            *_of("tests/e2e/test_dry_runs.py"),
            *_of("tests/e2e/test_late_labels.py"),
        ),
    ),
    Area(
        "main job, Pod Identity",
        "A control plane has its association before its ServiceAccount, and its first pod has credentials.",
        _of(
            "tests/e2e/test_pod_identity.py",
            "the_association_is_there_before_the_service_account",
            "the_first_pod_waits_for_eks_and_is_the_only_one_there_ever_was",
            "its_credentials_are_judged_by_the_trust_policy",
            "many_at_once_have_one_association_each_and_one_statement_together",
        ),
    ),
    Area(
        "pod gate",
        "The ValidatingAdmissionPolicies refuse a pod without identity, and no other. Refused pods start later.",
        (
            *_of("tests/e2e/test_pod_gate.py"),
            *_of(
                "tests/e2e/test_pod_gate_by_default.py",
                "from_warn_to_deny_no_pod_is_blocked_whose_service_account_waits_for_its_first_pass",
            ),
        ),
    ),
    Area(
        "chart",
        "Helm installs, upgrades and uninstalls it. The API server accepts each object of each values file.",
        (*_of("tests/e2e/test_chart_releases.py"), *_of("tests/e2e/test_chart_dry_runs.py")),
    ),
    Area(
        "rights",
        "The rights that the chart gives are enough for all that the program does.",
        _of("tests/e2e/test_rights.py", "with_all_rights_all_of_it_works"),
    ),
    Area(
        "watches",
        "A watch that ended continues, also where the API server has forgotten the changes since (410 Gone).",
        (
            *_of("tests/e2e/test_forgotten_history.py"),
            *_of("tests/e2e/test_deeply_nested_objects.py"),
            *_of(
                "tests/e2e/test_slow_and_large.py",
                "namespaces_with_large_annotations_are_mirrored_in_little_memory",
            ),
        ),
    ),
)
