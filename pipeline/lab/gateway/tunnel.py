"""Passes bytes both ways after a protocol switch, until both sides have finished or nothing moves any more."""

from __future__ import annotations

import asyncio

from pipeline.lab.gateway.channel import Channel


async def tunnel(client: Channel, upstream: Channel, *, idle_seconds: float) -> None:
    """Run until both directions have ended, one side is lost, or neither has sent for `idle_seconds`."""
    loop = asyncio.get_running_loop()
    moved = [loop.time()]

    async def one_way(source: Channel, sink: Channel) -> None:
        while data := await source.read():
            moved[0] = loop.time()
            await sink.write(data)
        sink.finish_writing()

    async def watch() -> None:
        while (left := moved[0] + idle_seconds - loop.time()) > 0:
            await asyncio.sleep(left)

    ways = [loop.create_task(one_way(client, upstream)), loop.create_task(one_way(upstream, client))]
    watcher = loop.create_task(watch())
    left = set(ways)
    try:
        while left:
            done, _ = await asyncio.wait((*left, watcher), return_when=asyncio.FIRST_COMPLETED)
            if watcher in done or any(task.exception() is not None for task in done):
                break
            left -= done
    finally:
        for task in (*ways, watcher):
            task.cancel()
        await asyncio.gather(*ways, watcher, return_exceptions=True)
        upstream.abort()
