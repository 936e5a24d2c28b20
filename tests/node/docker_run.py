"""`docker run`, done by a node's containerd: `docker_run.py SETTINGS run --rm ...`, as `reader.docker` has it.

`--user` is needed and not passed on, because Debian's `ctr` cannot: the container runs as the image's own user.
"""

import argparse
import json
import os
import sys
from pathlib import Path


def main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text())
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["run"])
    parser.add_argument("--rm", action="store_true", required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--env", action="append", default=settings["environment"])
    parser.add_argument("--volume", action="append", default=[])
    parser.add_argument("image")
    parser.add_argument("words", nargs=argparse.REMAINDER)
    given = parser.parse_args(sys.argv[2:])
    options = ["--rm", "--net-host", *(f"--env={each}" for each in given.env)]
    for volume in given.volume:
        source, target, mode = volume.split(":")
        options.append(f"--mount=type=bind,src={source},dst={target},options=rbind:{mode}")
    command = [*settings["ctr"], "run", *options, given.image, f"docker-{os.getpid()}"]
    os.execvp(command[0], [*command, *settings["entry point"], *given.words])


if __name__ == "__main__":
    main()
