"""The house stands as drawn: imports run one way, Flax stays in `nets`, JAX stays out of `data`."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FILES = sorted((ROOT / "jgan").rglob("*.py")) + sorted((ROOT / "launch").rglob("*.py"))

# Each room may import the rooms on its right, and itself.
LEAVES = {"data", "weights", "metrics", "checkpoint", "report", "sharding", "run", "tiles"}
PARTS = {"checkpoint": {"retention"}, "report": {"page"}}  # files that serve one leaf alone
CORE = {"ops", "losses", "nets", "state", "space"}
PROGRAMS = {
    "samples",
    "inversion",
    "editing",
    "features",
    "steering",
}  # what a program of launch does with a run, one file each
MAY = {
    "ops": set(),
    "losses": {"ops"},
    "nets": {"ops"},
    "state": {"ops", "losses", "nets"},
    "space": set(),
    "systems": CORE,
    "latent": CORE,
    "samples": CORE | LEAVES | {"systems"},
    "trained": CORE | LEAVES | {"systems"},
    "translate": CORE | LEAVES | {"systems", "trained"},
    "evaluate": CORE | LEAVES | {"systems", "trained", "translate"},
    "validation": CORE | LEAVES | {"systems", "translate", "evaluate", "samples"},
    "train": CORE | LEAVES | {"systems", "trained", "validation"},
    "features": CORE | LEAVES,
    "inversion": CORE | LEAVES | {"systems", "latent", "trained", "features", "projection_page"},
    "projection_page": CORE | LEAVES | {"systems", "trained"},
    "steering": CORE | LEAVES | {"systems", "latent", "trained", "samples"},
    "editing": CORE
    | LEAVES
    | {"systems", "latent", "trained", "inversion", "edit_page", "features", "samples", "steering"},
    "edit_page": CORE | LEAVES | {"latent"},
    "serve": CORE | LEAVES | PROGRAMS | {"systems", "latent", "train", "trained", "translate"},
    "launch": CORE
    | LEAVES
    | PROGRAMS
    | {"systems", "latent", "train", "trained", "translate", "evaluate", "serve"},
    # Leaves know neither nets nor systems, nor each other.
    **{leaf: {"ops"} | PARTS.get(leaf, set()) for leaf in LEAVES},
    **{part: set() for parts in PARTS.values() for part in parts},
}
MAY["data"] = set()


def imported(path):
    """Dotted names of the modules that a file imports, lazily or not."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return "launch" if parts[0] == "launch" else parts[1]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path):
    here = room(path)
    if here == "__init__":
        assert not any(name.startswith("jgan.") for name in imported(path))
        return
    for name in imported(path):
        if name.startswith("jgan."):
            there = name.split(".")[1]
            assert there == here or there == "UserError" or there in MAY[here], f"{here} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_frameworks_stay_in_their_rooms(path):
    roots = {name.split(".")[0] for name in imported(path)}
    if room(path) == "data":
        assert not roots & {"jax", "flax", "optax", "orbax"}
    if room(path) != "nets":
        assert "flax" not in roots
    assert "torch" not in roots and "tensorflow" not in roots


def test_configs_import_nothing_of_jgan():
    for path in (ROOT / "configs").glob("*.py"):
        assert {name.split(".")[0] for name in imported(path)} <= {"ml_collections"}, path
