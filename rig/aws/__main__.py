"""`python -m rig.aws`: a stand-in to play with, until interrupted. Its first line of output ends with its URL."""

import argparse
import signal
import threading

from rig.aws.standin import ACCOUNT, REGION, AwsStandIn


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m rig.aws", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--account", default=ACCOUNT)
    parser.add_argument("--region", default=REGION)
    parser.add_argument("--quota", type=int, default=2048, help="characters a trust policy may have")
    parser.add_argument("--seed", type=int, default=0, help="decides every random draw")
    options = parser.parse_args()
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with AwsStandIn(**vars(options)) as aws:
        print(f"AWS stand-in: {aws.url}", flush=True)
        print("To talk to it:", flush=True)
        for name, value in sorted(aws.environment(base={}).items()):
            print(f"  export {name}={value}", flush=True)
        print(f"To make it fail, see {aws.url}/_standin/", flush=True)
        stopped.wait()


main()
