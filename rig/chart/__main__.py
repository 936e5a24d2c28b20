"""`python -m rig.chart`: write the table of values in the chart's README."""

from rig.chart.readme import README, current

README.write_text(current())
