"""The house stands as drawn: imports run one way, Flax stays in `nets`, JAX stays out of `data`."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FILES = sorted((ROOT / "jgan").rglob("*.py")) + sorted((ROOT / "launch").rglob("*.py"))

# Each room may import the rooms named here, and itself. A room is a file or a folder of `jgan/`.
CORE = {"ops", "losses", "nets", "state", "space"}
LEAVES = {
    "fields",
    "data",
    "weights",
    "metrics",
    "runs",
    "sharding",
    "pictures",
    "output",
    "sweeps",
    "paths",
    "bound",
}
READ = CORE | LEAVES | {"systems", "trained", "frozen"}  # a run read back, and all that it is made of
MAY = {
    "paths": {"objects"},
    "objects": {"paths"},
    "ops": set(),
    "losses": {"ops"},
    "nets": {"ops"},
    "state": {"ops", "losses", "nets"},
    "space": set(),
    "fields": set(),
    "systems": CORE | {"fields"},
    "latent": CORE | {"paths"},
    # Leaves know neither nets nor systems, nor each other but for what shows and writes.
    "data": {"fields", "paths"},
    "weights": {"ops"},
    "metrics": {"ops", "fields", "paths"},
    "sharding": CORE,
    "pictures": {"paths"},
    "output": {"paths"},
    "sweeps": set(),
    "bound": set(),
    "runs": {"output", "pictures", "paths"},
    "trained": CORE | LEAVES | {"systems"},
    "frozen": CORE | LEAVES | {"systems", "trained"},
    "programs": READ | {"latent"},
    "serve": READ | {"latent", "programs"},
    "launch": READ | {"latent", "programs", "serve"},
}


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
            assert there == here or there in ("UserError", "NotFinite") or there in MAY[here], (
                f"{here} imports {name}"
            )


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
        assert {name.split(".")[0] for name in imported(path)} <= {
            "ml_collections",
            "configs",
            "json",
            "os",
        }, path
