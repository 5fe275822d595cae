"""Every benchmark begins: its flags are sound, and `launch.run` is asked for by flags that it has."""

import pathlib
import runpy

from absl import flags
import pytest

import benchmarks
import launch

FOLDER = pathlib.Path(benchmarks.__path__[0])
PROGRAMS = sorted(x.stem for x in FOLDER.glob("*.py") if "launch.run(main" in x.read_text())


@pytest.mark.parametrize("name", PROGRAMS)
def test_its_flags(name, monkeypatch):
    asked = {}
    monkeypatch.setattr(launch, "run", lambda main, **named: asked.update(named))
    before = set(flags.FLAGS)
    try:
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
        made = set(flags.FLAGS) - before
        assert made
        for of in ("required", "runs", "paths", "names"):
            assert set(asked.get(of, ())) <= made
        for flag in made:
            value = flags.FLAGS[flag]
            assert value.help and (value.default is None or value.parser.parse(value.default) is not None)
    finally:
        for flag in set(flags.FLAGS) - before:
            delattr(flags.FLAGS, flag)
