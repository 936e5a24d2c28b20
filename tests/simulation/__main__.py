"""`python -m tests.simulation --seed N` replays one seed; `--seeds 2000 [--from M] [--processes 2]` runs many."""

from __future__ import annotations

import sys

from tests.simulation.runs import main

sys.exit(main())
