"""The page of versions, the rig's list and the chart's limit agree.

`make matrix` leaves this file out of the unit tests that it runs: it writes what is read here.
"""

import re

import pytest
import yaml

from rig.chart import CHART, Helm, HelmError
from rig.tools.catalogue import KUBERNETES, pinned_version
from tests.chart.charts import right
from tests.versions.areas import AREAS
from tests.versions.page import page
from tests.versions.pythons import PYTHONS, ROOT
from tests.versions.results import PAGE, load


def test_the_page_says_what_was_run() -> None:
    assert PAGE.read_text() == page(load())


def test_each_version_of_the_rig_was_run_in_all_areas_with_the_patch_that_is_pinned() -> None:
    results = load()
    assert {version: result.exact for version, result in results.kubernetes.items()} == {
        version: pinned_version(module, "k8s.io/kubernetes").removeprefix("v")
        for version, module in KUBERNETES.items()
    }
    for result in results.kubernetes.values():
        assert list(result.areas) == [area.name for area in AREAS]
    assert list(results.python) == list(PYTHONS)


def test_the_chart_allows_the_oldest_version_that_passed_and_the_pages_name_it() -> None:
    floor = load().floor
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"] == f">={floor}.0-0"
    for file in (CHART / "README.md", ROOT / "docs" / "run" / "install.md"):
        assert re.findall(r"Kubernetes (\S+) or newer", file.read_text()) == [floor]


def test_helm_installs_on_that_version_with_ekss_suffix_and_not_on_the_one_before() -> None:
    major, minor = str(load().floor).split(".")
    helm = Helm("release", "namespace")
    assert helm.template(right(), f"--kube-version=v{major}.{minor}.0-eks-0123abc")
    with pytest.raises(HelmError, match="kubeVersion"):
        helm.template(right(), f"--kube-version=v{major}.{int(minor) - 1}.9-eks-0123abc")
