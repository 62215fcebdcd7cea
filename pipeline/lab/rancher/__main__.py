"""`python -m pipeline.lab.rancher`: the lab Rancher as a process."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from pipeline.errors import BadInput, PipelineError
from pipeline.lab.rancher.lab_state import Key, Seed
from pipeline.lab.rancher.on_engine import Place, RancherOnEngine
from pipeline.lab.rancher.serving import MemoryRancher, run_until_signalled
from pipeline.model.address import EngineAddress


def main(words: list[str]) -> int:
    """Run until a signal comes; 0 then, otherwise the exit code of docs/contract.md."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.lab.rancher", description=__doc__)
    parser.add_argument("--listen", type=_address, default=("127.0.0.1", 8080), metavar="HOST:PORT")
    parser.add_argument("--runtime", choices=("memory", "docker"), default="memory")
    parser.add_argument("--environment", default="local", metavar="NAME", help="whose network containers run on")
    parser.add_argument("--state", type=Path, default=None, metavar="FILE", help="docker only: kept from run to run")
    parser.add_argument("--project", default="Default", metavar="NAME")
    parser.add_argument("--hosts", type=int, default=1, metavar="N", help="memory only")
    parser.add_argument("--security", action="store_true", help="ask for RANCHER_ACCESS_KEY and RANCHER_SECRET_KEY")
    chosen = parser.parse_args(words)
    try:
        seed = _seed(chosen)
        if chosen.runtime == "memory":
            asyncio.run(run_until_signalled(MemoryRancher(chosen.listen, seed)))
        else:
            place = Place(
                listen=chosen.listen, environment=chosen.environment, engine=EngineAddress(), state=chosen.state
            )
            asyncio.run(run_until_signalled(RancherOnEngine(place, seed)))
    except PipelineError as error:
        sys.stderr.write(f"{error.what}\n{error.hint}\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f"the lab Rancher cannot listen: {error}\nchoose another address with --listen\n")
        return 1
    return 0


def _seed(chosen: argparse.Namespace) -> Seed:
    """The environment's key comes from the variables that clients have it in, and gets into no list of processes."""
    key = None
    if chosen.security:
        access, secret = (os.environ.get(f"RANCHER_{name}_KEY", "") for name in ("ACCESS", "SECRET"))
        if not (access and secret):
            raise BadInput(
                "--security needs a key that will be accepted", hint="Set RANCHER_ACCESS_KEY and RANCHER_SECRET_KEY."
            )
        key = Key(access=access, secret=secret)
    return Seed(project=chosen.project, hosts=chosen.hosts, environment_key=key, security=chosen.security)


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} should be HOST:PORT")
    return (host.strip("[]"), int(port))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
