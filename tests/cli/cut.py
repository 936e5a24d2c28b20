"""`python -m tests.cli.cut SIGNAL ...` runs the program, which gets SIGNAL right after its first write.

A write is what changes the account or the cluster: taking and giving back a lock is none.
"""

import os
import sys
import threading
from typing import Any

import urllib3.connectionpool

from webhook.cli import main

_send = urllib3.connectionpool.HTTPConnectionPool.urlopen
_first = threading.Lock()
_signal = 0


def _is_write(method: str, url: str, body: Any) -> bool:
    is_of_aws = "UpdateAssumeRolePolicy" in str(body) or url.startswith("/tags/")
    return "dryRun" not in url and (method in {"PATCH", "DELETE"} or is_of_aws)


def _urlopen(self: Any, method: str, url: str, body: Any = None, *arguments: Any, **options: Any) -> Any:
    answer = _send(self, method, url, body, *arguments, **options)
    if _is_write(method, url, body) and _first.acquire(blocking=False):
        os.kill(os.getpid(), _signal)
    return answer


if __name__ == "__main__":
    _signal = int(sys.argv.pop(1))
    urllib3.connectionpool.HTTPConnectionPool.urlopen = _urlopen  # type: ignore[method-assign]
    main()
