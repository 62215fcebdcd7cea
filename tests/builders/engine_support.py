"""What the tests on a real engine share: a client, a tiny base image, what an image holds, and a registry."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import tarfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from docker import APIClient
from docker.errors import APIError

from pipeline.builders.base import Builder, Built, Found, ImageStore, Listener, Making, Sought
from pipeline.builders.docker import DockerBuilder
from pipeline.builders.docker_images import DockerImages
from pipeline.builders.docker_push import Registries
from pipeline.edge.clock import SystemClock
from pipeline.edge.engine import EngineClients, open_engine
from pipeline.errors import PipelineError
from pipeline.model.address import EngineAddress, RegistryAddress
from pipeline.model.image import BuiltImage, Recipe
from pipeline.model.secret import Secret
from pipeline.model.sources import Sources

HERE = EngineAddress()


@contextmanager
def engine() -> Iterator[APIClient]:
    client = open_engine(HERE)
    try:
        yield client
    finally:
        client.close()


@contextmanager
def busybox_image(client: APIClient) -> Iterator[str]:
    """An image of a shell and its libraries, gone afterwards with all that was built on it."""
    name = f"pipeline-test/{uuid.uuid4().hex[:12]}"
    listed = subprocess.run(["ldd", "/bin/busybox"], capture_output=True, text=True, check=False).stdout.split()
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for path in ["/bin/busybox", *(word for word in listed if word.startswith("/"))]:
            archive.add(os.path.realpath(path), arcname=path)
        for applet in ("sh", "cat", "ls", "sleep", "true", "false"):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
    client.import_image_from_data(tar.getvalue(), repository=f"{name}/base", tag="1")
    base = next(image["Id"] for image in client.images(f"{name}/base"))
    try:
        yield f"{name}/base:1"
    finally:
        remove_images(client, name)
        _remove_what_failed(client, base)


def remove_images(client: APIClient, part: str) -> None:
    """Removes the images with a tag that contains `part`."""
    for image in client.images():
        for tag in image["RepoTags"] or ():
            if part in tag:
                client.remove_image(tag, force=True)


def _remove_what_failed(client: APIClient, base: str) -> None:
    """Removes the nameless images that builds which failed left behind, and with the last of them the base."""
    nameless = [image for image in client.images(all=True) if image["RepoTags"] in (None, [], ["<none>:<none>"])]
    parents = {image["Id"]: image["ParentId"] for image in nameless}
    found = [base]
    for parent in found:
        found.extend(image for image, its_parent in parents.items() if its_parent == parent)
    for image in reversed(found):
        with suppress(APIError):  # gone with the one before it
            client.remove_image(image)


def held(client: APIClient, image: str, folder: str) -> dict[str, tuple[Any, ...]]:
    """What is in a folder of an image, by name: kind, mode, link and content; the folder itself left out."""
    container = client.create_container(image, command=["none"])["Id"]
    try:
        stream, _ = client.get_archive(container, folder)
        tar = io.BytesIO(b"".join(stream))
    finally:
        client.remove_container(container, force=True)
    found: dict[str, tuple[Any, ...]] = {}
    with tarfile.open(fileobj=tar, encoding="utf-8", errors="surrogateescape") as archive:
        for member in archive:
            name = member.name.partition("/")[2]
            file = archive.extractfile(member) if member.isreg() else None
            content = file.read() if file is not None else b""
            if name:
                found[name] = (member.type, member.mode, member.linkname, member.uid, member.gid, content)
    return found


class Workshop:
    """A builder and its images as a test uses them: one recipe at a time."""

    def __init__(self, builder: Builder, images: ImageStore) -> None:
        self.builder = builder
        self.images = images

    def sources(self, recipe: Recipe) -> Sources:
        sources = self.builder.sources([recipe])[0]
        if isinstance(sources, PipelineError):
            raise sources
        return sources

    def fingerprint(self, recipe: Recipe) -> str:
        return self.sources(recipe).fingerprint

    def make(self, recipe: Recipe, log: Listener, **making: Any) -> Built:
        return self.builder.build(recipe, Making(sources=self.sources(recipe), **making), log)

    def build(self, recipe: Recipe, log: Listener, **making: Any) -> BuiltImage:
        return self.make(recipe, log, **making).image

    def look(self, recipe: Recipe, fingerprint: str, *, pushed: bool = False) -> Found:
        return self.images.find([Sought(recipe=recipe, fingerprint=fingerprint, pushed=pushed)])[0]

    def find(self, recipe: Recipe, fingerprint: str) -> BuiltImage | None:
        return self.look(recipe, fingerprint).same


def docker_workshop(
    client: APIClient, registry: RegistryAddress | None = None, address: EngineAddress = HERE, **options: Any
) -> Workshop:
    """The real ones on the engine of `client`."""
    engine = EngineClients(client, address)
    images = DockerImages(engine, registry or RegistryAddress())
    return Workshop(DockerBuilder(engine, images, **options), images)


def registries_of(client: APIClient, user: RegistryAddress) -> Registries:
    return Registries(client=client, address=HERE, login=user, clock=SystemClock())


def recipe_of(folder: Path, reference: str, **fields: Any) -> Recipe:
    values = {"service": "cities", "compose_service": "app", "key": "docker-compose.yml: services.app.build"}
    return Recipe(**{**values, "context": str(folder), "reference": reference, **fields})


def write(folder: Path, **files: str) -> Path:
    """Files by name; `__` stands for a slash and `_` for a dot at the start."""
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def is_there(client: APIClient, reference: str) -> bool:
    return any(reference in (image["RepoTags"] or ()) for image in client.images())


@contextmanager
def running_registry(folder: Path, *, htpasswd: str = "", deletes: bool = False) -> Iterator[str]:
    """Debian's docker-registry on a free port of 127.0.0.1; gives `host:port`."""
    port = free_port()
    auth = ""
    if htpasswd:
        (folder / "htpasswd").write_text(htpasswd)
        auth = f"auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n"
    (folder / "registry.yml").write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/registry}}, "
        f"delete: {{enabled: {str(deletes).lower()}}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n{auth}"
    )
    command = ["docker-registry", "serve", str(folder / "registry.yml")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for_port(port)
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()


def login(host: str, user: str = "", password: str = "") -> RegistryAddress:
    return RegistryAddress(host=host, prefix=f"{host}/group", user=user, password=Secret(password))


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for_port(port: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"nothing answers on 127.0.0.1:{port}")
