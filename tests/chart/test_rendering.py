"""What the chart installs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from rig.chart import CHART
from rig.gate import marks
from rig.kubernetes.registration import OWN_NAMESPACE, Registration
from rig.permissions import GATE, PROGRAM
from tests.chart.charts import CI_VALUES, configuration, only, read, rendered, right
from webhook.config.bindings import bindings_of
from webhook.config.contract import FilesSection
from webhook.config.load import load_configuration

EVERY = pytest.mark.parametrize("path", CI_VALUES, ids=lambda path: path.stem)
CLUSTER_WIDE = {"ClusterRole"}
READING = {"get", "list", "watch"}
FAIL = {"webhook": {"failurePolicy": "Fail"}}


@EVERY
def test_the_program_accepts_the_configuration_file(path: Path, tmp_path: Path) -> None:
    _accepted(read(path), tmp_path)


@EVERY
def test_the_program_accepts_the_configuration_file_with_a_certificate_of_ones_own(
    path: Path, tmp_path: Path
) -> None:
    files = {"source": "files", "existingSecret": "mine", "caBundle": "Q0E="}
    _accepted({**read(path), "certificates": files}, tmp_path)


def _accepted(values: dict[str, Any], folder: Path) -> None:
    file = folder / "config.yaml"
    file.write_text(configuration(rendered(values)))
    configuration_ = load_configuration(file)
    bindings_of(configuration_.bindings, configuration_.cluster.name)


def test_the_configuration_file_says_what_the_values_say(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(configuration(rendered(read(CHART / "ci" / "files-values.yaml"))))
    loaded = load_configuration(file)
    assert (loaded.namespace, loaded.installation) == ("mxp-identity", "spaces-prod")
    assert (loaded.admission.trust_budget, loaded.admission.on_trust_failure) == (1.5, "deny")
    assert (loaded.server.port, loaded.server.metrics_port, loaded.server.drain_time) == (8443, 9090, 10)
    assert isinstance(loaded.certificates, FilesSection)
    assert loaded.certificates.cert_file == "/tls/tls.crt"
    assert loaded.cluster.issuer


def test_what_the_rig_registers_is_what_the_chart_registers() -> None:
    (entry,) = only(rendered(right()), "MutatingWebhookConfiguration")["webhooks"]
    (rigs,) = Registration("https://127.0.0.1", "", failure_policy="Ignore").configuration("rig")["webhooks"]
    defaults = {"matchPolicy": "Equivalent", "objectSelector": {}}
    assert {**entry, "clientConfig": None} == {**rigs, **defaults, "clientConfig": None}


@EVERY
def test_no_ca_bundle_is_rendered_that_another_program_writes(path: Path) -> None:
    values = read(path)
    (entry,) = only(rendered(values), "MutatingWebhookConfiguration")["webhooks"]
    given = values.get("certificates", {}).get("source") == "files"
    assert ("caBundle" in entry["clientConfig"]) is given


@EVERY
def test_only_events_are_written_cluster_wide_without_a_name(path: Path) -> None:
    roles = [item for item in rendered(read(path)) if item["kind"] in CLUSTER_WIDE]
    unnamed = [
        (resource, verb)
        for role in roles
        for rule in role["rules"]
        if not rule.get("resourceNames")
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if verb not in READING
    ]
    assert unnamed == [("events", "create")]


@EVERY
def test_no_right_to_write_pods_or_replica_sets(path: Path) -> None:
    written = {
        kind for rule in _rules(read(path)) if not READING.issuperset(rule["verbs"]) for kind in rule["resources"]
    }
    assert written.isdisjoint({"pods", "replicasets", "*"})


@pytest.mark.parametrize(
    ("values", "verbs"),
    [
        ({}, ["get", "list", "patch"]),
        ({"podGate": "off"}, []),
        ({"podGate": "warn"}, []),
        ({"podGate": "warn", "reconciler": {"restartPodsWithoutIdentity": False}}, []),
        ({"podGate": "warn", "reconciler": {"restartPodsWithoutIdentity": True}}, ["get", "patch"]),
        ({"podGate": "deny"}, ["get", "list", "patch"]),
        ({"podGate": "deny", "reconciler": {"restartPodsWithoutIdentity": True}}, ["get", "list", "patch"]),
    ],
    ids=str,
)
def test_deployments_are_touched_only_where_they_are_retried_or_restarted(
    values: dict[str, Any], verbs: list[str]
) -> None:
    rules = [rule for rule in _rules(right(**values)) if rule["resources"] == ["deployments"]]
    assert [verb for rule in rules for verb in rule["verbs"]] == verbs
    assert all(rule["resourceNames"] == ["mxp-controller"] for rule in rules)


def test_deployments_are_those_that_the_bindings_name() -> None:
    values = read(CHART / "ci" / "several-bindings-values.yaml")
    (rule,) = [rule for rule in _rules(values) if rule["resources"] == ["deployments"]]
    named = ["external-secrets", "external-secrets-cert-controller", "mxp-controller", "vector"]
    assert rule["resourceNames"] == named


@pytest.mark.parametrize("gate", ["off", "warn", "deny", None])
def test_only_where_the_gate_refuses_pods_are_they_asked_for_again_and_are_bindings_marked(
    tmp_path: Path, gate: str | None
) -> None:
    values = right() if gate is None else right(podGate=gate)
    refuses = gate in {"deny", None}
    file = tmp_path / "config.yaml"
    file.write_text(configuration(rendered(values)))
    loaded = load_configuration(file)
    assert loaded.reconciler.nudge_refused_pods is refuses
    assert (loaded.pod_gate is not None) is refuses
    marking = [rule["verbs"] for rule in _rules(values) if rule.get("resourceNames") == [GATE]]
    assert marking == [["get", "patch"]] * refuses
    assert [item["metadata"]["name"] for item in rendered(values) if "-gate" in item["metadata"]["name"]] == (
        [GATE] * refuses
    )


def _gate(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [item for item in objects if item["kind"] == f"ValidatingAdmissionPolicy{kind}"]


def _rules(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [rule for item in rendered(values) if item["kind"] in {"ClusterRole", "Role"} for rule in item["rules"]]


@EVERY
def test_the_pods_are_within_the_restricted_standard(path: Path) -> None:
    spec = only(rendered(read(path)), "Deployment")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


@pytest.mark.parametrize(("drain", "grace"), [("10s", 25), ("500ms", 16), ("1m", 75)])
def test_a_pod_has_time_to_drain(drain: str, grace: int) -> None:
    objects = rendered(right(server={"drainTime": drain}))
    assert only(objects, "Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == grace


def test_a_change_of_the_configuration_restarts_the_pods() -> None:
    def template(**values: Any) -> Any:
        return only(rendered(right(**values)), "Deployment")["spec"]["template"]

    assert template() != template(reconciler={"interval": "61s"})
    assert template() == template(replicas=3)


@pytest.mark.parametrize(
    ("gate", "actions"),
    [("off", []), (False, []), ("warn", [["Warn", "Audit"]]), ("deny", [["Warn", "Audit"], ["Deny"]])],
    ids=str,
)
def test_the_gate_has_its_policies_for_each_binding(gate: Any, actions: list[list[str]]) -> None:
    objects = rendered({**read(CHART / "ci" / "several-bindings-values.yaml"), "podGate": gate})
    assert sorted(item["spec"]["validationActions"] for item in _gate(objects, "Binding")) == sorted(3 * actions)
    names = [{item["metadata"]["name"] for item in _gate(objects, kind)} for kind in ("", "Binding")]
    assert names[0] == names[1]
    assert len(names[0]) == 3 * len(actions)


def test_a_pod_is_refused_only_by_a_mark_and_without_the_parameter_never() -> None:
    objects = rendered(right())
    (refusing,) = [
        item["spec"] for item in _gate(objects, "Binding") if "Deny" in item["spec"]["validationActions"]
    ]
    assert refusing["paramRef"] == {"name": GATE, "namespace": OWN_NAMESPACE, "parameterNotFoundAction": "Allow"}
    (policy,) = [item["spec"] for item in _gate(objects, "") if item["metadata"]["name"] == refusing["policyName"]]
    assert (policy["paramKind"], policy["failurePolicy"]) == (
        {"apiVersion": "v1", "kind": "ServiceAccount"},
        "Ignore",
    )
    (mark,) = marks(objects)
    annotations = "params.metadata.annotations"
    expression = policy["validations"][0]["expression"]
    assert expression.endswith(f"|| !has({annotations}) || !('{mark}' in {annotations})")
    (stored,) = [item for item in objects if item["metadata"]["name"] == GATE]
    assert "annotations" not in stored["metadata"], "what the chart renders an upgrade puts back"


def test_a_changed_binding_has_another_mark_and_the_others_keep_theirs() -> None:
    values = read(CHART / "ci" / "several-bindings-values.yaml")
    before = marks(rendered(values))
    first, *others = values["bindings"]
    changed = {**first, "namespaces": {"pattern": "other-*"}}
    after = marks(rendered({**values, "bindings": [*others, changed]}))
    assert [name for mark, name in before.items() if mark not in after] == [first["name"]]
    assert sorted(before.values()) == sorted(after.values())
    assert marks(rendered({**values, "replicas": 3, "installation": "other"})) == before


def test_what_is_named_in_the_configuration_is_what_is_rendered() -> None:
    objects = rendered(right())
    named = yaml.safe_load(configuration(objects))["certificates"]
    assert named["service"] == only(objects, "Service")["metadata"]["name"]
    assert named["webhookConfiguration"] == only(objects, "MutatingWebhookConfiguration")["metadata"]["name"]


@EVERY
def test_a_program_that_observes_may_write_nothing_but_its_own_certificate(path: Path) -> None:
    values = {**read(path), "observe": True}
    written = [rule for rule in _rules(values) if not READING.issuperset(rule["verbs"])]
    named = {resource: rule["resourceNames"] for rule in written for resource in rule["resources"]}
    own = {"mutatingwebhookconfigurations": [PROGRAM], "secrets": [f"{PROGRAM}-tls"]}
    self_managed = values.get("certificates", {}).get("source", "self-managed") == "self-managed"
    assert named == (own if self_managed else {})


@EVERY
def test_a_program_that_observes_keeps_no_pod_and_no_service_account_from_being_created(path: Path) -> None:
    objects = rendered({**read(path), "observe": True, "podGate": "deny", "replicas": 2, **FAIL})
    assert not [item for item in objects if item["kind"].startswith("ValidatingAdmission")]
    (entry,) = only(objects, "MutatingWebhookConfiguration")["webhooks"]
    assert entry["failurePolicy"] == "Ignore"
    assert yaml.safe_load(configuration(objects))["observe"] is True


def test_a_program_that_does_not_observe_has_no_such_setting() -> None:
    assert "observe" not in yaml.safe_load(configuration(rendered(right())))
