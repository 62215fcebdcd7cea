"""The rules of the house that a machine can hold us to: layers, sizes, lazy imports, what no file may name."""

from __future__ import annotations

import ast
import graphlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pipeline"
DRIVERS = ("builders", "platforms", "gateways", "ledgers", "hosts")
BASES = {f"{port}.base" for port in DRIVERS}
WORLD = {
    "subprocess",
    "socket",
    "requests",
    "docker",
    "http",
    "urllib.request",
    "time",
    "os",
    "shutil",
    "tempfile",
    "sqlite3",
}

# What each module may import of ours (docs/architecture.md has the same table for people).
ALLOWED = {
    "errors": set(),
    "model": {"errors", "model"},
    "settings": {"errors", "model"},
    "edge": {"errors", "model", "edge"},
    **{base: {"errors", "model"} for base in BASES},
    **{port: {"errors", "model", "edge", port, f"{port}.base"} for port in DRIVERS},
    "flows": {"errors", "model", "flows", *BASES},
    "lab": {"errors", "model", "edge", "platforms", "lab"},
    "wiring_platform": {"errors", "model", "settings", "edge", "lab", *DRIVERS, *BASES},
    "wiring_build": {"errors", "model", "settings", "edge", *DRIVERS, *BASES},
    "wiring_bootstrap": {"errors", "model", "settings", "edge", "lab", *DRIVERS, *BASES},
    "wiring_gateway": {"errors", "model", "settings", "edge", *DRIVERS, *BASES},
    "wiring": {
        *("errors", "model", "settings", "edge", "lab"),
        *("wiring_build", "wiring_platform", "wiring_gateway", "wiring_bootstrap"),
        *(*DRIVERS, *BASES),
    },
    "command": {"errors", "wiring"},
    "verbs": {"errors", "model", "settings", "edge", "flows", "wiring", "command", "verbs", "pipeline", *BASES},
    "flags": set(),
    "tasks_lab": {"flags", "command", "verbs"},
    "tasks_ci": {"flags", "command", "verbs"},
    "tasks_recovery": {"flags", "command", "verbs"},
    "tasks": {"flags", "tasks_lab", "tasks_ci", "tasks_recovery", "command", "verbs"},
    "__main__": {"tasks"},
    "carl": {"errors", "model", "settings", "flows", "wiring", "command", "verbs"},
}


def modules() -> Iterator[tuple[str, Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        yield name.removesuffix(".__init__"), path, ast.parse(path.read_text())


def layer(module: str) -> str:
    return module if module in BASES else module.split(".")[0]


def imported(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def ours(tree: ast.AST) -> set[str]:
    return {name.removeprefix("pipeline.") for name in imported(tree) if name.split(".")[0] == "pipeline"}


def test_every_module_imports_only_what_its_layer_may() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, _, tree in modules()
        if module != "__init__"
        for name in ours(tree)
        if layer(name) not in ALLOWED[layer(module)]
    ]
    assert wrong == []


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    graph = {module: set(ours(tree)) for module, _, tree in modules() if not module.startswith("verbs")}
    graphlib.TopologicalSorter(graph).prepare()


def test_deciding_code_does_not_touch_the_world() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, _, tree in modules()
        if layer(module) in {"model", "flows", "errors", *BASES}
        for name in imported(tree)
        if name in WORLD or name.split(".")[0] in WORLD
    ]
    assert wrong == []


def test_the_services_know_nothing_of_the_toolkit() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "services").rglob("*.py")
        if ".venv" not in path.parts
        and "pipeline" in {name.split(".")[0] for name in imported(ast.parse(path.read_text()))}
    ]
    assert wrong == []


def test_a_file_stops_at_300_lines_and_a_function_at_40() -> None:
    wrong = []
    for module, path, tree in modules():
        lines = path.read_text().count("\n")
        if lines > 300:
            wrong.append(f"{module}: {lines} lines")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or 0) - node.lineno + 1
                if size > 40:
                    wrong.append(f"{module}.{node.name}: {size} lines")
    assert wrong == []


def test_a_task_is_at_most_eight_lines_and_every_flag_has_a_default() -> None:
    from pipeline.tasks import ns

    for name in ns.task_names:
        body = inspect.unwrap(ns[name].body)
        assert len(inspect.getsource(body).split('"""')[-1].strip().splitlines()) <= 8, name
        flags = list(inspect.signature(body).parameters.values())[1:]
        assert all(flag.default is not inspect.Parameter.empty for flag in flags), name


def test_listing_the_tasks_loads_no_heavy_library() -> None:
    heavy = "('docker', 'requests', 'yaml', 'msgspec', 'jq', 'h11', 'websockets', 'fabric', 'paramiko')"
    code = "import sys, invoke; before = set(sys.modules); import pipeline.tasks; "
    code += f"print([name for name in {heavy} if name in set(sys.modules) - before])"

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert shown.strip() == "[]"


def test_every_module_opens_with_a_line_on_its_place() -> None:
    assert [module for module, _, tree in modules() if not ast.get_docstring(tree)] == []


def test_every_ignored_rule_names_its_code() -> None:
    bare = re.compile(r"#\s*(type: ignore(?!\[)|noqa(?!:))")
    assert [str(path) for _, path, _ in modules() if bare.search(path.read_text())] == []


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_no_file_names_a_package_registry_or_a_path_of_a_machine() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: there is no list of the project's files")
    parts = [
        ("py" + "pi.org"),
        ("python" + "hosted.org"),
        ("registry." + "npmjs.org"),
        ("deb." + "debian.org"),
        ("/" + "work/main"),
    ]
    wrong = [
        f"{path.relative_to(ROOT)}: {part}"
        for path in tracked()
        if path.is_file()
        for part in parts
        if part.encode() in path.read_bytes()
    ]
    assert wrong == []


def test_the_contract_names_every_task_and_every_exit_code() -> None:
    from pipeline import errors
    from pipeline.tasks import ns

    contract = (ROOT / "docs" / "contract.md").read_text()

    assert [name for name in ns.task_names if f"invoke {name}" not in contract and name not in contract] == []
    codes = {
        value.exit_code for value in vars(errors).values() if inspect.isclass(value) and hasattr(value, "exit_code")
    }
    assert [code for code in codes if f"| {code} |" not in contract] == []


def test_the_architecture_shows_the_import_table() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    assert [name for name in ALLOWED if name.split(".")[0] not in text] == []


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_a_benchmark_finds_what_it_imports(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import benchmarks.{path.stem}"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
