"""Lists of what wheel and images consist of, in CycloneDX."""

import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from rig.release.image import DebianPackage, ReleasedImage
from rig.release.locked import ROOT, Locked
from rig.release.source import Source
from rig.release.wheel import Metadata

LINUX = {
    "os_name": "posix",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
}
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


class Bill:
    """Writes the lists of one release; `locked` are the requirements that it is installed with."""

    def __init__(self, source: Source, metadata: Metadata, wheel_sha256: str, locked: Iterable[Locked]) -> None:
        self._source = source
        self._metadata = metadata
        self._wheel_sha256 = wheel_sha256
        self._locked = list(locked)

    def write_wheel(self, file: Path) -> None:
        """Write the list of the wheel: what it needs, on any system."""
        program = self._program()
        bom = self._bom(program, "wheel")
        self._add_requirements(bom, program, self._locked)
        _write(bom, file)

    def write_image(self, image: ReleasedImage, file: Path) -> None:
        """Write the list of an image: the program, what it needs there, and Debian's packages."""
        kind = f"image-{image.architecture}"
        digest = HashType(alg=HashAlgorithm.SHA_256, content=image.digest.removeprefix("sha256:"))
        container = Component(
            name=self._metadata.name,
            version=self._metadata.version,
            type=ComponentType.CONTAINER,
            bom_ref=kind,
            description=f"linux/{image.architecture}; the hash is that of its manifest",
            hashes=[digest],
            licenses=[LicenseFactory().make_from_string(self._metadata.licence)],
        )
        program = self._program()
        bom = self._bom(container, kind)
        bom.components.add(program)
        self._add_requirements(bom, program, [each for each in self._locked if each.is_installed(_on(image))])
        packages = [_debian(package) for package in image.packages]
        bom.components.update(packages)
        bom.register_dependency(container, [program, *packages])
        _write(bom, file)

    def _program(self) -> Component:
        name, version = self._metadata.name, self._metadata.version
        return Component(
            name=name,
            version=version,
            type=ComponentType.APPLICATION,
            bom_ref="wheel",
            description=self._metadata.summary,
            purl=PackageURL("pypi", name=name, version=version),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=self._wheel_sha256)],
            licenses=[LicenseFactory().make_from_string(self._metadata.licence)],
        )

    def _bom(self, subject: Component, kind: str) -> Bom:
        serial = uuid.uuid5(uuid.NAMESPACE_OID, f"{self._source.commit} {kind}")
        return Bom(serial_number=serial, metadata=BomMetaData(component=subject, timestamp=self._source.created))

    def _add_requirements(self, bom: Bom, program: Component, locked: Iterable[Locked]) -> None:
        components = {each.name: _python(each) for each in locked}
        bom.components.update(components.values())
        needs: dict[str, list[Component]] = {name: [] for name in (ROOT, *components)}
        for each in locked:
            for name in each.needed_by:
                needs[name].append(components[each.name])
        for name, found in needs.items():
            bom.register_dependency(program if name == ROOT else components[name], found)


def _on(image: ReleasedImage) -> Mapping[str, str]:
    """Return the values that markers of requirements have in an image."""
    (python,) = (package.version for package in image.packages if package.name == "python3")
    full, *_ = python.partition("-")
    minor = ".".join(full.split(".")[:2])
    machine = MACHINES[image.architecture]
    return {**LINUX, "platform_machine": machine, "python_version": minor, "python_full_version": full}


def _python(locked: Locked) -> Component:
    purl = PackageURL("pypi", name=locked.name, version=locked.version)
    return Component(name=locked.name, version=locked.version, bom_ref=str(purl), purl=purl)


def _debian(package: DebianPackage) -> Component:
    qualifiers = {"arch": package.architecture, "distro": package.distribution}
    purl = PackageURL("deb", "debian", package.name, package.version, qualifiers)
    return Component(name=package.name, version=package.version, bom_ref=str(purl), purl=purl)


def _write(bom: Bom, file: Path) -> None:
    file.write_text(JsonV1Dot6(bom).output_as_string(indent=2) + "\n")
