"""One build by BuildKit: a recipe in the words of the docker command that can."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.builders.base import Listener, Making
from pipeline.builders.buildkit import BuildKit, BuildKitResult, Folder, visible
from pipeline.builders.buildkit_job import BuildKitJob
from pipeline.builders.docker_choice import BuilderSettings
from pipeline.builders.docker_draft import BuildOrder, MadeImage, declared, is_secret_name
from pipeline.builders.docker_images import DockerImages
from pipeline.edge.context import read_context, read_outline
from pipeline.edge.docker_command import DockerCommand
from pipeline.edge.tar import pack
from pipeline.model.address import EngineAddress
from pipeline.model.artifact import OWN_OUTPUTS
from pipeline.model.dockerignore import parse_dockerignore
from pipeline.model.secret import Secret
from pipeline.model.size import shown_size

_WILD = set("*?[\\")


class BuildKitBuilder:
    """One docker command, on the engine that `images` are on."""

    def __init__(
        self, command: DockerCommand, settings: BuilderSettings, engine: EngineAddress, images: DockerImages
    ) -> None:
        self._command = command
        self._settings = settings
        self._engine = engine
        self._images = images

    def build(self, order: BuildOrder, making: Making, log: Listener) -> MadeImage:
        buildkit = BuildKit(self._command, self._settings.environ)
        sent = _Sent()
        with (
            self._images.registries.access.docker_config(self._settings.environ) as environ,
            making.cancellation.waking(buildkit.stop),
        ):
            job = self._job(order, making, environ["DOCKER_CONFIG"])
            result = buildkit.build(job, self._context(order, sent), order.draft.dockerfile, log)
        making.cancellation.check()
        if sent.count:
            log(f"context: {shown_size(sent.count)} sent")
        return MadeImage(
            id=result.id,
            digest=f"{order.recipe.repository}@{result.digest}" if result.digest else "",
            sent=sent.count,
            steps=len(result.steps),
            cached=result.cached,
            attestations=_attested(result),
        )

    def _job(self, order: BuildOrder, making: Making, config: str) -> BuildKitJob:
        recipe, draft = order.recipe, order.draft
        args = {**order.args, **declared(recipe.facts, draft.dockerfile)}
        # An image of several platforms exists in a registry alone: what builds it pushes it as well.
        several = len(recipe.platforms) > 1
        return BuildKitJob(
            engine=self._engine,
            key=recipe.key,
            target=recipe.target,
            args=args,
            labels=order.labels,
            platforms=recipe.platforms,
            secrets=making.secrets,
            hidden=tuple(Secret(value) for name, value in args.items() if is_secret_name(name)),
            ssh=recipe.ssh,
            no_cache=making.no_cache,
            cache_from=order.cache,
            cache_to=self._settings.cache_to,
            cache_reference=f"{recipe.repository}:{recipe.newest[0]}.cache" if recipe.newest else "",
            push=several and making.push,
            reference=recipe.reference,
            attest=self._settings.attest,
            docker_config=config,
        )

    def _context(self, order: BuildOrder, sent: _Sent) -> Folder | Iterable[bytes]:
        """The folder, which the docker command reads by itself, sending what changed since the last time. An exception
        with a wildcard is read otherwise by BuildKit than by the classic builder (it looks for it in ignored folders
        too): there our own stream is sent, so that what arrives is what was decided on, and an ignored Dockerfile."""
        outline = read_outline(order.draft.place)
        ignore = parse_dockerignore(outline.ignore_text, file=outline.ignore_file)
        if any(one.exception and _WILD & set(one.text) for one in ignore.patterns):
            recipe = order.recipe
            context = read_context(recipe.context, recipe.dockerfile, key=recipe.key)
            return sent.counted(pack(visible(context)))
        own = "".join(f"\n{pattern}" for pattern in OWN_OUTPUTS).encode()
        return Folder(path=outline.folder, dockerfile=outline.dockerfile_text, ignore=outline.ignore_text + own)


class _Sent:
    """Bytes of a stream; what the docker command reads by itself, it does not tell."""

    def __init__(self) -> None:
        self.count = 0

    def counted(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.count += len(piece)
            yield piece


def _attested(result: BuildKitResult) -> str:
    given = ", ".join(result.attestations)
    return f"{given} in the registry" if given else f"none: {result.unattested}"
