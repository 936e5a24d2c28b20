"""The chart in `charts/`, and helm: the rig runs the program with the rights that the chart gives it."""

from rig.chart.helm import CHART, Helm, HelmError, render

__all__ = ["CHART", "Helm", "HelmError", "render"]
