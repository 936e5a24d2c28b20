"""Whether a file is an SBOM that CycloneDX's own schema accepts."""

from pathlib import Path


def assert_is_sbom(file: Path) -> None:
    """Fail unless it is one of version 1.6."""
    # Its validator takes seconds to import, in each worker that collects tests.
    from cyclonedx.schema import SchemaVersion  # noqa: PLC0415
    from cyclonedx.validation.json import JsonStrictValidator  # noqa: PLC0415

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(file.read_text()) is None
