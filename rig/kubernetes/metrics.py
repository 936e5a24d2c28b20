"""Reading Prometheus metrics, such as the API server's own."""

from collections.abc import Iterable

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


class Metrics:
    """One scrape. An API server's has ten thousand samples, so only those that are asked for are parsed."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()

    def find(self, name: str, /, **labels: str) -> Iterable[Sample]:
        """Return the samples of that name which have at least these labels."""
        lines = [line for line in self._lines if line.startswith((f"{name}{{", f"{name} "))]
        families = text_string_to_metric_families("\n".join([*lines, ""]))
        samples = (sample for family in families for sample in family.samples)
        return [sample for sample in samples if labels.items() <= sample.labels.items()]

    def total(self, name: str, /, **labels: str) -> float:
        """Return the sum over the samples of that name which have at least these labels; 0 without any."""
        return sum(sample.value for sample in self.find(name, **labels))
