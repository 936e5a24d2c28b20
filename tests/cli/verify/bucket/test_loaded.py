"""What goes to the bucket is a person's: `serve` loads none of it."""

from tests.figures import ENTRY, PROGRAM, reachable

OF_THE_BUCKET = {
    *(PROGRAM / "cli" / "verify" / "bucket").glob("*.py"),
    *(PROGRAM / "aws" / f"{name}.py" for name in ("buckets", "policies_around", "sessions", "simulation")),
}


def test_serve_loads_nothing_of_it() -> None:
    assert reachable(ENTRY).isdisjoint(OF_THE_BUCKET)
    assert reachable(PROGRAM / "cli" / "verify" / "run.py") >= OF_THE_BUCKET, "as verify does"
