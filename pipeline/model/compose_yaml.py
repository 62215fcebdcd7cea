"""YAML as compose files mean it: plain scalars stay the texts that they look like, and no key may stand twice.

PyYAML reads YAML 1.1, where `22:22` is the number 1342, `no` is false, `1.10` is 1.1 and `010` is 8.
"""

from __future__ import annotations

import functools
import re
from typing import Any

import yaml

from pipeline.errors import BadInput


@functools.lru_cache(maxsize=128)
def load_yaml(text: bytes, file: str) -> object:
    """The document: mappings, lists, texts, whole numbers, true, false and null. Raises BadInput with the line.

    Read once for all verbs of a chain; nobody changes what it gives.
    """
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            # Deep, so that an alias that holds itself is an error here and not an endless walk later.
            return None if node is None else loader.construct_object(node, deep=True)
        finally:
            loader.dispose()
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise BadInput(
            f"{file} is not YAML: {' '.join(str(error).split())}", hint="Mend the file at that line."
        ) from error


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with other plain scalars (those of YAML 1.2, without floats)."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own way to give a loader resolvers of its own

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        """Keys are compared before `<<` brings in others, which the mapping's own may override."""
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != _MERGE and isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} stands twice", key.start_mark
                    )
                seen.add(key.value)
        return node


_MERGE = "tag:yaml.org,2002:merge"
for _tag, _pattern, _first in (
    (_MERGE, r"<<", "<"),
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", "~nN"),
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("tag:yaml.org,2002:int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
):
    _Loader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), [*_first, *([""] if "null" in _tag else [])])
