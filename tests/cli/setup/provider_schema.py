"""The attributes of the AWS provider's resources that `setup -o terraform` writes, as its maker publishes them.

`python -m tests.cli.setup.provider_schema` writes provider_schema.json anew, out of npm's `@cdktf/provider-aws`,
which is generated from the provider's own schema. It needs npm.
"""

import json
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

PACKAGE = "@cdktf/provider-aws"
RESOURCES = (
    "aws_eks_addon",
    "aws_eks_pod_identity_association",
    "aws_iam_openid_connect_provider",
    "aws_iam_role",
    "aws_iam_role_policy",
)
FILE = Path(__file__).with_suffix(".json")

_ATTRIBUTE = re.compile(r"#(?P<name>\w+) \w+#\w+\}.*?readonly \w+(?P<optional>\??): (?P<type>[^;\n]+)", re.DOTALL)


def schema() -> dict[str, Any]:
    """Return what was written last."""
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


def fetch() -> dict[str, Any]:
    """Return the attributes out of the newest package: whether each is required, and its type."""
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(
            ["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, capture_output=True, text=True
        )
        with tarfile.open(Path(folder) / packed.stdout.split()[-1]) as package:
            about = json.loads(_text(package, "package.json"))
            return {
                "source": f"{about['name']} {about['version']}, generated from hashicorp/aws {_version(about)}",
                "resources": {name: _attributes(package, name) for name in RESOURCES},
            }


def _attributes(package: tarfile.TarFile, resource: str) -> dict[str, Any]:
    declared = _text(package, f"lib/{resource.removeprefix('aws_').replace('_', '-')}/index.d.ts")
    configuration = declared.split("Config extends", 1)[1].split("\n}\n", 1)[0]
    return {
        match["name"]: {
            "required": not match["optional"],
            "type": match["type"].split("|")[0].strip().replace("{", "map"),
        }
        for match in _ATTRIBUTE.finditer(configuration)
    }


def _version(about: dict[str, Any]) -> str:
    return str(about["cdktf"]["provider"]["version"])


def _text(package: tarfile.TarFile, name: str) -> str:
    member = package.extractfile(f"package/{name}")
    if member is None:
        raise FileNotFoundError(name)
    return member.read().decode()


if __name__ == "__main__":
    FILE.write_text(json.dumps(fetch(), indent=1) + "\n")
