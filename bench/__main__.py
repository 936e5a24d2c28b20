"""`python -m bench [--quick]`."""

import sys
from pathlib import Path

from bench import admission, memory
from bench.burst import page as burst_page
from bench.burst import series as bursts

PAGE = Path(__file__).parent.parent / "docs" / "bench.md"

HEAD = """# Measurements

Written by `make bench`; bursts of control planes are on [their own page](burst.md). The figures are of one run on
one machine; what they say are the ratios within it.

## What a webhook adds to the creation of a ServiceAccount
`python -m bench`, part `bench/admission.py`: the same ServiceAccount is created and deleted through a real API
server, in turn without a webhook, with EKS's own pod identity webhook registered for ServiceAccounts (it answers
without a patch), and with this one, which finds the subject trusted and answers with the annotation.

"""

MEMORY = """

## Memory and start
`python -m bench`, part `bench/memory.py`: namespaces of control planes with their ServiceAccounts are there before
the program starts, in mode irsa with ten roles. Memory is read once AWS trusts all of them.

"""


def main() -> int:
    """Run all benches; writes docs/bench.md and docs/burst.md unless quick."""
    quick = "--quick" in sys.argv[1:]
    costs = admission.measure(50, (1,)) if quick else admission.measure(1500)
    print(admission.report(costs), flush=True)
    sizes = memory.measure((50, 200)) if quick else memory.measure()
    print(memory.report(sizes), flush=True)
    runs = bursts.measure((20,), ours_alone=()) if quick else bursts.measure()
    print(burst_page.report(runs))
    if not quick:
        bursts.write(runs)
        PAGE.write_text(HEAD + admission.report(costs) + MEMORY + memory.report(sizes) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
