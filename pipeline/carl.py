"""`carl update_api` and `carl dump_apis`: the command line of the first pipeline."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from pipeline.command import outcome
from pipeline.errors import BadInput


class _Parser(argparse.ArgumentParser):
    """Mistakes end like every other: two lines and 3, not argparse's usage and 2, which means pending changes."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{self.prog}: {message}", hint=f"`{self.prog} --help` shows the flags; is a variable unset?")


def main() -> None:
    sys.exit(outcome(lambda: run(sys.argv[1:])))


def run(words: Sequence[str]) -> int:
    """Does what the words say. Raises BadInput for what they cannot mean."""
    from pipeline.verbs import carl as go

    flags = _parser().parse_args(words)
    address = go.make_address(flags.server, client_ssl=flags.client_ssl, cert=flags.cert, key=flags.key)
    if flags.command == "dump_apis":
        return go.dump_apis(address)
    return go.update_api(
        address, uri=flags.uri, upstream_url=flags.upstream_url, host=flags.host, strip_uri=flags.strip_uri
    )


def _parser() -> argparse.ArgumentParser:
    access = _Parser(add_help=False, allow_abbrev=False)
    access.add_argument("--server", required=True, metavar="URL", help="the gateway's Admin API")
    access.add_argument("--client_ssl", type=_boolean, default=False, metavar="true|false", help="show a certificate")
    access.add_argument("--cert", default="", metavar="FILE", help="the certificate, PEM")
    access.add_argument("--key", default="", metavar="FILE", help="its key, PEM")
    parser = _Parser(prog="carl", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="update_api|dump_apis")
    update = commands.add_parser(
        "update_api", parents=[access], allow_abbrev=False, help="make a uri lead to an upstream"
    )
    update.add_argument("--uri", required=True, help="the path that is answered")
    update.add_argument("--upstream_url", required=True, metavar="URL", help="where its requests go")
    update.add_argument("--host", default="", help="for this host only; several with commas")
    update.add_argument(
        "--strip_uri", type=_boolean, metavar="true|false", help="cut the uri off; as it is if not said"
    )
    commands.add_parser("dump_apis", parents=[access], allow_abbrev=False, help="print a script that restores it all")
    return parser


def _boolean(word: str) -> bool:
    if word.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{word!r} is neither true nor false")
    return word.lower() == "true"
