"""The packaged chart."""

import os
import subprocess
from pathlib import Path

import yaml

from rig.chart import CHART, HelmError
from rig.release.source import REPOSITORY, Source
from rig.release.wheel import Metadata
from rig.tools import binary


def package_chart(source: Source, metadata: Metadata, out: Path) -> Path:
    """Package the chart into `out`, with OCI's labels as annotations. Raises `HelmError`."""
    chart = source.folder / CHART.relative_to(REPOSITORY)
    file = chart / "Chart.yaml"
    content = yaml.safe_load(file.read_text())
    content["annotations"] = {**content.get("annotations", {}), **metadata.labels(source)}
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    os.utime(file, (source.epoch, source.epoch))
    done = subprocess.run(
        [binary("helm"), "package", chart, f"--destination={out}"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise HelmError(done.stderr.strip())
    return out / f"{content['name']}-{content['version']}.tgz"
