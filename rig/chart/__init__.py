"""The chart in `charts/`, and helm: the rig runs the program with the rights that the chart gives it."""

from rig.chart.helm import CHART, IMAGE, Helm, HelmError, render

__all__ = ["CHART", "IMAGE", "Helm", "HelmError", "render"]
