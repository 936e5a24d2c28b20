"""`python -m tests.diagnosis`: breaks and repairs five clusters, and writes docs/run/diagnosis.md."""

import tempfile
from pathlib import Path

from rig.kubernetes import shared
from tests.diagnosis.investigation import investigate
from tests.diagnosis.page import PAGE, page

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        try:
            PAGE.write_text(page(investigate(Path(folder))), encoding="utf-8")
        finally:
            shared.close()
