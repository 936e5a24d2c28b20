from tests.iam.conftest import oracle
from tests.support.quiet import _nothing_unexpected

__all__ = ["_nothing_unexpected", "oracle"]
