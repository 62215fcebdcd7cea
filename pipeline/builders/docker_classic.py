"""One build by the engine's classic builder: its build API, fed with a context stream."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.builders.base import Listener, Making
from pipeline.builders.docker_draft import BuildOrder, MadeImage, declared
from pipeline.builders.docker_log import BuildLog, gone, messages_of
from pipeline.edge.context import Context, made_context, read_context
from pipeline.edge.engine import EngineClients, engine_errors
from pipeline.edge.tar import pack
from pipeline.errors import PipelineError
from pipeline.model.cancel import Cancellation
from pipeline.model.dockerfile import Dockerfile, parse_dockerfile
from pipeline.model.image import labelling
from pipeline.model.size import shown_size

if TYPE_CHECKING:
    from docker import APIClient


_ATTESTS_NOTHING = "none: the classic builder makes no SBOM and no provenance"


class ClassicBuilder:
    """Builds, then labels in a second build of one step: the engine would make a step of every label of the first, a
    tenth of a second each. Neither has a tag, so that whatever ends them early leaves none."""

    def __init__(self, engine: EngineClients) -> None:
        self._engine = engine

    def build(self, order: BuildOrder, making: Making, log: Listener) -> MadeImage:
        draft = order.draft
        context = read_context(order.recipe.context, order.recipe.dockerfile, key=order.recipe.key)
        triggers = any(one.keyword == "ONBUILD" for one in draft.dockerfile.instructions)
        options = {
            "buildargs": {**order.args, **declared(order.recipe.facts, draft.dockerfile)},
            "target": order.recipe.target,
            "nocache": making.no_cache,
            "cache_from": list(order.cache),
            "labels": order.labels if triggers else {},
        }
        steps = BuildLog(draft.dockerfile, log)
        sent = self._run(context, draft.dockerfile, steps, options, making.cancellation)
        log(f"context: {shown_size(sent)} sent")
        made = MadeImage(
            id=steps.image, sent=sent, steps=steps.steps, cached=steps.cached, attestations=_ATTESTS_NOTHING
        )
        if triggers:  # a second FROM would set them off
            return made
        text = labelling(made.id, order.labels)
        labeller = parse_dockerfile(text, file=f"the labels of {order.recipe.reference}")
        labelled = BuildLog(labeller, lambda _: None)
        self._run(made_context("Dockerfile", text), labeller, labelled, {}, making.cancellation)
        return replace(made, id=labelled.image)

    def _run(
        self,
        context: Context,
        dockerfile: Dockerfile,
        steps: BuildLog,
        options: Mapping[str, Any],
        cancellation: Cancellation,
    ) -> int:
        """Bytes of context that were sent."""
        address = self._engine.address
        doing = f"build {dockerfile.file}"
        stream = _Counted(pack(context), cancellation)
        with _disconnecting(self._engine.client, cancellation), _without_the_request():
            with engine_errors(address, doing):
                answer = self._engine.client.build(
                    fileobj=stream,  # type: ignore[arg-type]  # requests streams any iterator of bytes
                    custom_context=True,
                    dockerfile=context.dockerfile,
                    rm=True,
                    forcerm=True,
                    decode=True,
                    **options,
                )
            try:
                for message in messages_of(answer, address, doing):
                    cancellation.check()
                    steps.take(message)
            except PipelineError:
                cancellation.check()
                raise
        if not steps.image:
            raise gone(address, doing, f"the log ended in {steps.step or 'the beginning'}")
        return stream.count


class _Counted:
    """A stream's pieces, counted as they leave."""

    def __init__(self, pieces: Iterator[bytes], cancellation: Cancellation) -> None:
        self.count = 0
        self._pieces = pieces
        self._cancellation = cancellation

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._cancellation.check()
            self.count += len(piece)
            yield piece


@contextmanager
def _without_the_request() -> Iterator[None]:
    """Cuts the client's own exception off: its text has the request's URL, and that the value of every build arg."""
    try:
        yield
    except PipelineError as error:
        raise error from None


@contextmanager
def _disconnecting(client: APIClient, cancellation: Cancellation) -> Iterator[None]:
    """Closes the connections of this thread's requests when the block ends, or as soon as it is cancelled: an engine
    cancels the build of a client that has gone, and docker-py gives a generator that keeps its connection."""
    opened: list[Any] = []
    thread = threading.get_ident()

    def keep(response: Any, *_: object, **__: object) -> None:
        if threading.get_ident() == thread:
            opened.append(response)

    def wake() -> None:
        """A thread that waits for the engine's next word does not notice that its connection was closed."""
        for response in opened:
            connection = getattr(response.raw, "_connection", None)
            if (sock := getattr(connection, "sock", None)) is not None:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    client.hooks["response"].append(keep)
    try:
        with cancellation.waking(wake):
            yield
    finally:
        client.hooks["response"].remove(keep)
        for response in opened:
            response.close()
