"""`python -m pipeline.lab.gateway`: the lab gateway as a process."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.lab.gateway.dialects import DEFAULT, DIALECTS
from pipeline.lab.gateway.gateway import Address, Setup
from pipeline.lab.gateway.running import run_until_signalled


def main(words: list[str]) -> int:
    """Run until a signal comes; 0 then, otherwise the exit code of docs/contract.md."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.lab.gateway", description=__doc__)
    parser.add_argument("--admin", type=_address, default=("127.0.0.1", 8001), metavar="HOST:PORT")
    parser.add_argument("--proxy", type=_address, default=("127.0.0.1", 8000), metavar="HOST:PORT")
    parser.add_argument("--state", type=Path, default=Path("lab-gateway.sqlite"), metavar="FILE")
    parser.add_argument("--kong-version", choices=sorted(DIALECTS), default=DEFAULT)
    parser.add_argument("--environment", default="", metavar="NAME")
    chosen = parser.parse_args(words)
    setup = Setup(
        admin=chosen.admin,
        proxy=chosen.proxy,
        state=chosen.state,
        environment=chosen.environment,
        dialect=DIALECTS[chosen.kong_version],
    )
    try:
        asyncio.run(run_until_signalled(setup))
    except PipelineError as error:
        sys.stderr.write(f"{error.what}\n{error.hint}\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f"the lab gateway cannot listen: {error}\nchoose other addresses with --admin and --proxy\n")
        return 1
    return 0


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} should be HOST:PORT")
    return (host.strip("[]"), int(port))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
