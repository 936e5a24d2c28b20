"""Reading Prometheus metrics, such as the API server's own."""

from collections.abc import Iterable

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


class Metrics:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def find(self, name: str, /, **labels: str) -> Iterable[Sample]:
        """Return the samples of that name which have at least these labels."""
        return [
            sample for sample in self.samples if sample.name == name and labels.items() <= sample.labels.items()
        ]

    def total(self, name: str, /, **labels: str) -> float:
        """Return the sum over the samples of that name which have at least these labels; 0 without any."""
        return sum(sample.value for sample in self.find(name, **labels))
