"""`invoke build` as another user: `build_as_user.py UID GID FOLDER`. All modules are loaded while they can still be read."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main(user: int, group: int, folder: str) -> int:
    _load_everything()
    os.setgroups([group])
    os.setuid(user)
    os.chdir(folder)
    os.environ["HOME"] = folder + "/.."
    from pipeline.verbs.build import Flags, build
    from pipeline.wiring import open_session

    open_session()
    return build(_context(), (), Flags(push=False, no_cache=False, force=False, jobs="1"), check=False)


def _load_everything() -> None:
    import encodings.idna  # noqa: F401 - found by name, when a host is first looked up
    import importlib
    import pkgutil

    import docker
    import docker.transport
    import yaml  # noqa: F401 - loaded here, while it can be read

    import pipeline

    docker.APIClient(base_url="unix:///var/run/docker.sock", version="auto").close()
    for module in pkgutil.walk_packages(pipeline.__path__, "pipeline."):
        if module.name != "pipeline.__main__" and not module.name.startswith("pipeline.lab.gateway"):
            importlib.import_module(module.name)


def _context() -> object:
    from invoke import Context

    return Context()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
