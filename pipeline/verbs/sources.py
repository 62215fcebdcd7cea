"""What the verbs read of a service: its compose file, the record of its build, the stack that they make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.edge.files import read_file
from pipeline.errors import BadInput, Failed
from pipeline.model.artifact import Artifact, artifact_path, read_artifact
from pipeline.model.compose import ComposeFile, parse_builds, parse_compose, parse_scales
from pipeline.model.definition import define, facts_unknown, make_stack, secrets_of
from pipeline.model.image import Recipe, plan_recipes
from pipeline.model.interpolate import Lookup, secret_mark
from pipeline.model.secret import Secret
from pipeline.model.stack import Definition, Stack
from pipeline.wiring import Session, Work


def recipes_of(session: Session, work: Work) -> tuple[Recipe, ...]:
    """The images of a service, from its manifest and its compose file."""
    sources = parse_builds(
        _compose_text(work), file=_compose_name(work), lookup=_lookup(session, work, work.release.facts)
    )
    return plan_recipes(
        work.manifest,
        work.release,
        sources,
        folder=str(work.folder),
        prefix=session.settings.registry.prefix,
        build_args=session.settings.build_args,
        default_branches=session.settings.default_branches,
    )


def build_secrets(session: Session, work: Work, recipes: tuple[Recipe, ...]) -> Mapping[str, Secret]:
    """The values of the secrets that the images' builds are given. Raises BadInput naming every one that is missing."""
    names = dict.fromkeys(name for recipe in recipes for name in recipe.secrets)
    return _values(session, tuple(names), f"{work.manifest.file}: pipeline.images.*.secrets")


def read_build(session: Session, work: Work) -> Artifact:
    """The record of the build, or what engine and registry know of the release's images when there is none."""
    path = session.root / artifact_path(work.release.service)
    if path.exists():
        text = read_file(path, hint="Run `invoke build` again.")
        return read_artifact(text, file=artifact_path(work.release.service), release=work.release)
    images = []
    for recipe in recipes_of(session, work):
        image = session.images.lookup(recipe.reference)
        if image is None:
            raise Failed(
                f"{work.release.service} was not built at {work.release.version}: there is no {recipe.reference}",
                hint=f"Run `invoke build -s {work.release.service}` first.",
            )
        images.append(image)
    return Artifact(
        service=work.release.service,
        branch=work.release.branch,
        commit=work.release.commit,
        version=work.release.version,
        stack=work.release.stack,
        images=tuple(images),
    )


def stack_of(session: Session, work: Work, artifact: Artifact) -> Stack:
    """The stack that a release would be; the settings' secrets stay names in it."""
    scales = _scales(work)
    built = {image.compose_service: image.runnable for image in artifact.images}
    sources = {image.compose_service: image.fingerprint or image.runnable for image in artifact.images}
    compose = _compose(session, work, work.release.facts)
    definition = define(work.manifest, compose, scales, built, work.release.facts)
    any_release = _compose(session, work, facts_unknown())
    same = define(work.manifest, any_release, scales, sources, facts_unknown())
    if session.settings.rancher is not None:
        definition = _for_rancher(session, work, definition, work.release.facts)
        same = _for_rancher(session, work, same, facts_unknown())
    return make_stack(
        work.release, definition, sameness=same.digest(), images=artifact.images, actor=session.settings.actor
    )


def read_secrets(session: Session, work: Work, stack: Stack) -> Mapping[str, Secret]:
    """The values of the secrets that the stack is given. Raises BadInput naming every one that is missing."""
    return _values(session, secrets_of(stack.definition), f"{work.manifest.file}: pipeline.secrets")


def secrets_for(session: Session, stack: Stack) -> Mapping[str, Secret]:
    """The same for a stack that a record describes."""
    return _values(session, secrets_of(stack.definition), f"the recorded definition of {stack.name}")


def known_secrets(session: Session, work: Work) -> tuple[Secret, ...]:
    """Those of the manifest's secrets whose values are set here, for masking."""
    found = (session.settings.secret(name) for name in work.manifest.pipeline.secrets)
    return tuple(value for value in found if value is not None)


def _values(session: Session, names: Iterable[str], where: str) -> Mapping[str, Secret]:
    found = {name: session.settings.secret(name) for name in names}
    missing = sorted(name for name, value in found.items() if value is None)
    if missing:
        raise BadInput(
            f"{where}: not set in the environment: {', '.join(missing)}",
            hint=f"Set {missing[0]}, or {session.settings.environment.upper()}_{missing[0]} for this one alone.",
        )
    secrets = {name: value for name, value in found.items() if value is not None}
    session.console.mask(secrets.values())
    return secrets


def _compose(session: Session, work: Work, facts: Mapping[str, str]) -> ComposeFile:
    return parse_compose(_compose_text(work), file=_compose_name(work), lookup=_lookup(session, work, facts))


def _compose_text(work: Work) -> bytes:
    return read_file(
        work.folder / work.manifest.pipeline.compose,
        hint="A service needs a compose file; pipeline.compose in its manifest names one with another name.",
    )


def _compose_name(work: Work) -> str:
    return _shown(work, work.manifest.pipeline.compose)


def _scales(work: Work) -> Mapping[str, int]:
    path = work.folder / work.manifest.pipeline.rancher_compose
    if not path.exists():
        return {}
    return parse_scales(read_file(path, hint="Mend or remove it."), file=_shown(work, path.name))


def _for_rancher(session: Session, work: Work, definition: Definition, facts: Mapping[str, str]) -> Definition:
    from pipeline.model.rancher_compose import Files, for_rancher, parse_rancher

    path = work.folder / work.manifest.pipeline.rancher_compose
    files = Files(compose=_compose_name(work), rancher=_shown(work, path.name))
    text = read_file(path, hint="Mend or remove it.") if path.exists() else b""
    parts = parse_rancher(text, file=files.rancher, lookup=_lookup(session, work, facts))
    for name in parts.keys() - {service.name for service in definition.services}:
        raise BadInput(
            f"{files.rancher}: services.{name} is not in {files.compose}", hint="Mend its name, or take it out."
        )
    return for_rancher(work.manifest, definition, parts, files)


def _lookup(session: Session, work: Work, facts: Mapping[str, str]) -> Lookup:
    """Where `${NAME}` comes from: the release's facts, the environment's name, declared secrets, then variables.

    A secret that is unset takes the place's own default where there is one, and is asked for where there is none.
    """
    variables = session.settings.variables
    own = dict(facts) | {"ENVIRONMENT": session.settings.environment}
    secrets = set(work.manifest.pipeline.secrets)

    def lookup(name: str, optional: bool) -> str | None:
        if name in own:
            return own[name]
        if name in secrets:
            return None if optional and session.settings.secret(name) is None else secret_mark(name)
        return variables.get(name)

    return lookup


def _shown(work: Work, name: str) -> str:
    folder = Path(work.manifest.file).parent
    folder = folder.parent if folder.name == "config" else folder
    return str(folder / name)
