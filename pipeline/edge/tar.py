"""The stream that an engine reads: a context's entries as a tar, without a temporary copy.

GNU tar makes it where there is one, plain Python the same bytes elsewhere:
`tar --format=gnu --numeric-owner --owner=0 --group=0 --no-recursion --null -T -`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing

from msgspec.structs import replace

from pipeline.edge.context import Context
from pipeline.edge.context_entries import CHUNK, Entry, read_pieces
from pipeline.edge.gnu_tar import gnu_tar, tar_pieces
from pipeline.edge.tar_blocks import BLOCK, header

_RECORD = 20 * BLOCK
_HELD_BACK = BLOCK + BLOCK // 2
"""No whole number of blocks: what breaks off is cut in the middle of one, which no reader takes for an end."""


def pack(context: Context) -> Iterator[bytes]:
    """The context as a tar stream in pieces of up to about CHUNK bytes. Closing the iterator ends what it started.

    Raises BadInput naming a file that cannot be read any more, or that changed while it was sent in a way that its copy
    is none: what was sent until then does not read as a whole archive.
    """
    program = gnu_tar() if context.entries else ""
    return pack_with_tar(program, context) if program else pack_plainly(context)


def pack_with_tar(program: str, context: Context) -> Iterator[bytes]:
    """The stream with GNU tar's blocks in it."""
    return _archive(context, tar_pieces(program, context.root, _sent(context)))


def pack_plainly(context: Context) -> Iterator[bytes]:
    """The same bytes in plain Python."""
    return _archive(context, _pieces(context))


def _archive(context: Context, pieces: Generator[bytes, None, None]) -> Iterator[bytes]:
    """What exists only in the stream, then `pieces`, then the end, all in pieces of one size. The last of what is there
    is held back until more has come, or nothing is left that could fail."""
    gathered = [header(entry) + text + bytes(-len(text) % BLOCK) for entry, text in _made(context)]
    waiting = size = sum(map(len, gathered))
    with closing(pieces):
        for piece in pieces:
            size += len(piece)
            waiting += len(piece)
            held = _HELD_BACK + size % BLOCK
            if waiting < CHUNK or len(piece) < held:
                gathered.append(piece)
                continue
            yield b"".join([*gathered, memoryview(piece)[:-held]])
            gathered, waiting = [piece[-held:]], held
    yield b"".join(gathered) + bytes(2 * BLOCK + -(size + 2 * BLOCK) % _RECORD)


def _made(context: Context) -> Iterator[tuple[Entry, bytes]]:
    """The files that exist only in the stream, with the mode and time of the one in whose place they are sent."""
    for name, text in context.made:
        there = next((entry for entry in context.entries if entry.path == name), Entry(name, b"0", 0o600, 0, 0))
        yield replace(there, kind=b"0", size=len(text), link=""), text


def _pieces(context: Context) -> Generator[bytes, None, None]:
    for entry in _sent(context):
        yield header(entry)
        if entry.kind == b"0":
            yield from read_pieces(context.root, entry)
            yield bytes(-entry.size % BLOCK)


def _sent(context: Context) -> Sequence[Entry]:
    """What is on the disk and goes into the stream."""
    made = {name for name, _ in context.made}
    return [entry for entry in context.entries if entry.path not in made] if made else context.entries
