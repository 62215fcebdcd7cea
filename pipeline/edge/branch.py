"""A folder committed to a branch of its own and pushed: whatever is checked out, and the index, stay as they are."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import BadInput, Failed
from pipeline.model.secret import NO_SECRET, Secret

_SECONDS = 120
_OF_A_HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR")
# The variable's name is on the command line, its value in git's environment.
_HELPER = r"""!f() { printf 'username=oauth2\npassword=%s\n' "$BOOTSTRAP_GIT_TOKEN"; }; f"""
_EXECUTABLE = b"#!"


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A branch of a repository's origin (of the repository itself where it has none). `url` replaces origin's, `token`
    opens it."""

    root: Path
    name: str
    url: str = ""
    token: Secret = field(default=NO_SECRET, repr=False)

    def tip(self) -> str:
        """The branch's newest commit, fetched; of a branch that is not there yet, the commit that is checked out."""
        if not self._remote():
            return self._try("rev-parse", "--verify", "--quiet", f"refs/heads/{self.name}^{{commit}}") or self._head()
        listed = self._git("ls-remote", self._remote(), f"refs/heads/{self.name}").split()
        if not listed:
            return self._head()
        self._git("fetch", "--quiet", "--no-tags", self._remote(), f"refs/heads/{self.name}")
        return listed[0]

    def files(self, commit: str, folder: str) -> dict[str, bytes]:
        """What the folder holds in a commit, by path below it."""
        if not self._git("ls-tree", commit, "--", folder):
            return {}
        archive = self._run("archive", "--format=tar", commit, "--", f"{folder}/").stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
            members = [(member.name, opened.extractfile(member)) for member in opened if member.isfile()]
            return {name.removeprefix(f"{folder}/"): file.read() for name, file in members if file is not None}

    def commit(self, parent: str, folder: str, files: Mapping[str, bytes], message: str) -> str:
        """A commit on `parent` in which the folder holds these files and no others, byte for byte."""
        reference = f"refs/bootstrap/{self.name}"
        text = message.encode()
        head = f"commit {reference}\ncommitter {self._author()} now\ndata {len(text)}\n"
        stream = [head.encode(), text, f"\nfrom {parent}\nD {folder}\n".encode()]
        for path, content in sorted(files.items()):
            mode = "100755" if content.startswith(_EXECUTABLE) else "100644"
            stream += [f"M {mode} inline {folder}/{path}\ndata {len(content)}\n".encode(), content, b"\n"]
        self._run("fast-import", "--quiet", "--force", "--date-format=now", given=b"".join(stream))
        made = self._git("rev-parse", "--verify", reference)
        self._git("update-ref", "-d", reference)
        return made

    def push(self, commit: str) -> bool:
        """Moves the branch forward; False when somebody else did so meanwhile. Failed when it is refused otherwise."""
        if not self._remote():
            self._git("update-ref", f"refs/heads/{self.name}", commit)
            return True
        done = self._run("push", "--porcelain", self._remote(), f"{commit}:refs/heads/{self.name}", check=False)
        if done.returncode == 0:
            return True
        told = done.stdout.decode(errors="replace")
        if "[rejected]" in told:
            return False
        words = " ".join((told + done.stderr.decode(errors="replace")).split())
        raise Failed(
            f"the branch {self.name} could not be pushed: {words}",
            hint="BOOTSTRAP_GIT_TOKEN has to be allowed to write to the repository (GitLab: write_repository).",
        )

    def _remote(self) -> str:
        return self.url or ("origin" if self._try("remote", "get-url", "origin") else "")

    def _head(self) -> str:
        found = self._try("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        if not found:
            raise BadInput(f"{self.root} has no commit yet", hint="`git add -A && git commit` first.")
        return found

    def _author(self) -> str:
        """A CI job's git often knows none."""
        name, mail = self._try("config", "user.name"), self._try("config", "user.email")
        return f"{name} <{mail}>" if name and mail else "invoke-pipeline <invoke-pipeline@localhost>"

    def _git(self, *words: str) -> str:
        return self._run(*words).stdout.decode(errors="replace").rstrip("\n")

    def _try(self, *words: str) -> str:
        done = self._run(*words, check=False)
        return done.stdout.decode(errors="replace").rstrip("\n") if done.returncode == 0 else ""

    def _run(self, *words: str, given: bytes = b"", check: bool = True) -> subprocess.CompletedProcess[bytes]:
        variables = {name: value for name, value in os.environ.items() if name not in _OF_A_HOOK}
        variables |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
        helper: tuple[str, ...] = ()
        if self.token:
            variables["BOOTSTRAP_GIT_TOKEN"] = self.token.reveal()
            helper = ("-c", "credential.helper=", "-c", f"credential.helper={_HELPER}")
        try:
            done = subprocess.run(
                ["git", "-C", str(self.root), *helper, *words],
                input=given,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
                env=variables,
            )
        except FileNotFoundError as error:
            raise BadInput("git is not installed", hint="Install git.") from error
        except subprocess.TimeoutExpired as error:
            raise Failed(f"git {words[0]} did not end within {_SECONDS} s", hint="Is the remote reachable?") from error
        if check and done.returncode:
            raise Failed(
                f"git {words[0]} failed: {' '.join(done.stderr.decode(errors='replace').split())}",
                hint="BOOTSTRAP_GIT_TOKEN opens the repository; `git ls-remote` by hand tells more.",
            )
        return done
