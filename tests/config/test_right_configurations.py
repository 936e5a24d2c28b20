"""The documented example, what may be left out, and what stays of it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.config.files import CASES, RIGHT, changed, read
from webhook.config.contract import Configuration, SelfManagedSection
from webhook.model.bindings import Binding, ExistingAnnotation, Mode
from webhook.model.names import RoleArn
from webhook.model.selectors import NamePattern, NamespaceSelector, Operator, Requirement


def _read(tmp_path: Path, content: object) -> tuple[Configuration, tuple[Binding, ...]]:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return read(file)


def test_the_documented_example_loads() -> None:
    configuration, bindings = read(CASES / "right.yaml")
    assert bindings == (
        Binding(
            "backup",
            "mxp-controller",
            NamespaceSelector(
                (Requirement("internal.spaces.upbound.io/controlplane-name", Operator.EXISTS),),
                NamePattern("mxp-*-system"),
            ),
            Mode.IRSA,
            (RoleArn("arn:aws:iam::123456789012:role/mxp-backup"),),
            ExistingAnnotation.KEEP,
            ("mxp-controller",),
        ),
    )
    assert configuration.model_dump(by_alias=True, mode="json", exclude={"server": {"drain_time"}}) == {
        **RIGHT,
        "bindings": [
            {
                **RIGHT["bindings"][0],
                "namespaces": {
                    "selector": {
                        "matchLabels": {},
                        "matchExpressions": [
                            {
                                "key": "internal.spaces.upbound.io/controlplane-name",
                                "operator": "Exists",
                                "values": [],
                            }
                        ],
                    },
                    "pattern": "mxp-*-system",
                },
            }
        ],
        "admission": {"trustBudget": 3.0, "onTrustFailure": "allow"},
        "reconciler": {**RIGHT["reconciler"], "interval": 60.0, "pruneGrace": 600.0, "restartTimeout": 600.0},
    }


def test_bindings_are_all_that_must_be_given(tmp_path: Path) -> None:
    configuration, bindings = _read(tmp_path, {"bindings": RIGHT["bindings"]})
    assert len(bindings) == 1
    assert configuration.namespace is None
    assert configuration.cluster.issuer is None
    assert configuration.admission.trust_budget == 3
    assert configuration.admission.on_trust_failure == "allow"
    assert configuration.reconciler.interval == 60
    assert (configuration.server.host, configuration.server.port) == ("::", 8443)
    assert configuration.log_level == "info"
    assert configuration.server.metrics_port == 9090
    assert configuration.certificates.model_dump(by_alias=True) == {
        "source": "self-managed",
        "secret": "mxp-identity-webhook-tls",
        "service": "mxp-identity-webhook",
        "webhookConfiguration": "mxp-identity-webhook",
        "extraNames": (),
        "caValidity": 365 * 86400,
        "leafValidity": 7 * 86400,
    }


@pytest.mark.parametrize("given", [{}, {"source": "self-managed"}, {"caValidity": "365d", "leafValidity": "7d"}])
def test_self_managed_certificates_need_no_further_word(tmp_path: Path, given: dict[str, Any]) -> None:
    left_out, _ = _read(tmp_path, {"bindings": RIGHT["bindings"]})
    configuration, _ = _read(tmp_path, changed("certificates", given))
    assert configuration.certificates == left_out.certificates


def test_extra_names_are_written_as_certificates_have_them(tmp_path: Path) -> None:
    given = {"extraNames": ["webhook.example", "127.0.0.1", "0:0:0:0:0:0:0:1"]}
    configuration, _ = _read(tmp_path, changed("certificates", given))
    assert isinstance(configuration.certificates, SelfManagedSection)
    assert configuration.certificates.extra_names == ("webhook.example", "127.0.0.1", "::1")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("3s", 3), ("1.5s", 1.5), ("10m", 600), ("24h", 86400), ("1d", 86400), ("007s", 7)],
)
def test_durations_are_read_with_their_unit(tmp_path: Path, text: str, seconds: float) -> None:
    configuration, _ = _read(tmp_path, changed("admission.trustBudget", text))
    assert configuration.admission.trust_budget == pytest.approx(seconds)


def test_labels_and_expressions_are_read_as_kubernetes_reads_them(tmp_path: Path) -> None:
    selector = {
        "matchLabels": {"tier": "gold"},
        "matchExpressions": [
            {"key": "zone", "operator": "In", "values": ["a", "b"]},
            {"key": "test", "operator": "NotIn", "values": ["yes"]},
            {"key": "paused", "operator": "DoesNotExist"},
        ],
    }
    _, (binding,) = _read(tmp_path, changed("bindings.0.namespaces", {"selector": selector}))
    assert binding.selects("any", {"tier": "gold", "zone": "b"})
    assert binding.selects("any", {"tier": "gold", "zone": "a", "test": "no"})
    assert not binding.selects("any", {"tier": "silver", "zone": "a"})
    assert not binding.selects("any", {"tier": "gold", "zone": "c"})
    assert not binding.selects("any", {"tier": "gold", "zone": "a", "test": "yes"})
    assert not binding.selects("any", {"tier": "gold", "zone": "a", "paused": ""})


def test_a_narrower_binding_may_come_first(tmp_path: Path) -> None:
    narrow = {**RIGHT["bindings"][0], "name": "gold", "namespaces": {"pattern": "mxp-gold-system"}}
    _, bindings = _read(tmp_path, changed("bindings", [narrow, *RIGHT["bindings"]]))
    assert [binding.name for binding in bindings] == ["gold", "backup"]


def test_an_earlier_binding_for_another_service_account_covers_nothing(tmp_path: Path) -> None:
    other = {**RIGHT["bindings"][0], "name": "other", "serviceAccount": "other"}
    _, bindings = _read(tmp_path, changed("bindings", [other, *RIGHT["bindings"]]))
    assert len(bindings) == 2
    assert not any(binding.edits_trust for binding in bindings if binding.mode is Mode.ANNOTATE)


def test_pod_identity_names_no_subject_in_a_trust_policy_and_writes_no_annotation(tmp_path: Path) -> None:
    _, (binding,) = _read(tmp_path, changed("bindings.0.mode", "pod-identity"))
    assert binding.mode is Mode.POD_IDENTITY
    assert (binding.associates, binding.edits_trust) == (True, True)
    assert (binding.names_subjects, binding.annotates) == (False, False)


def test_a_bindings_deployments_are_named_as_its_service_account_unless_it_names_them(tmp_path: Path) -> None:
    _, (binding,) = _read(tmp_path, changed("bindings.0.deployments"))
    assert binding.deployments == (binding.service_account,)
    _, (binding,) = _read(tmp_path, changed("bindings.0.deployments", ["one", "two"]))
    assert binding.deployments == ("one", "two")


def test_no_deployment_is_touched_unless_asked_for(tmp_path: Path) -> None:
    configuration, _ = _read(tmp_path, changed("reconciler", {}))
    section = configuration.reconciler
    assert (section.nudge_refused_pods, section.restart_pods_without_identity) == (False, False)
    assert (section.restarts_at_a_time, section.restart_timeout) == (1, 600)


def test_annotate_mode_leaves_trust_to_others(tmp_path: Path) -> None:
    _, (binding,) = _read(tmp_path, changed("bindings.0.mode", "annotate"))
    assert binding.mode is Mode.ANNOTATE
    assert not binding.edits_trust
