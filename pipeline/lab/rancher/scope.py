"""Who asks and from where: the part of a request that decides what may be seen and how links are written."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.lab.rancher.fields import Kind
from pipeline.lab.rancher.rows import Row

_METHODS = {"c": "POST", "r": "GET", "u": "PUT", "d": "DELETE"}
_READERS = ("readonly",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """`project` is the one that the request acts in, if any; `prefix` is what links begin with."""

    version: str
    base: str
    account: Row
    role: str
    project: Row | None = None
    in_path: bool = False

    @property
    def v1(self) -> bool:
        return self.version == "v1"

    @property
    def prefix(self) -> str:
        inside = f"/projects/1a{self.project.number}" if self.in_path and self.project is not None else ""
        return f"{self.base}/{self.version}{inside}"

    def methods(self, kind: Kind) -> str:
        """The letters of crud that the caller has for a type; empty: the type is invisible."""
        if self.project is None:
            admin = kind.admin if kind.admin is not None else kind.user
            return admin if self.role == "admin" else kind.user
        if kind.name == "project" and self.role == "project":
            return "r"
        if self.role in _READERS:
            return "".join(letter for letter in kind.project if letter in "rv")
        return kind.project

    def verbs(self, kind: Kind, letters: str) -> list[str]:
        return [_METHODS[letter] for letter in letters if letter in self.methods(kind)]

    def may_act(self) -> bool:
        """Whether actions are offered at all."""
        return self.role not in _READERS

    def into(self, project: Row, role: str, *, in_path: bool) -> Scope:
        return replace(self, project=project, role=role, in_path=in_path)
