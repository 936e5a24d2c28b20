"""promtool, which evaluates rules and expressions over series that a test makes up."""

import subprocess
from pathlib import Path

from rig.tools import binary


def promtool(*arguments: str | Path) -> str:
    """What it prints; AssertionError where it finds something wrong."""
    done = subprocess.run([binary("promtool"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
