"""Every benchmark begins: its flags are sound, and it asks `launch.run` for flags that it has."""

import pathlib
import re
import subprocess
import sys

import benchmarks

FOLDER = pathlib.Path(benchmarks.__path__[0])
# In a process of its own, where no other module has defined flags of the same names.
PROGRAM = """
import runpy, sys
from absl import flags
import launch

for path in sys.argv[1:]:
    asked = {}
    launch.run = lambda main, **named: asked.update(named)
    before = set(flags.FLAGS)
    runpy.run_path(path, run_name="__main__")
    made = set(flags.FLAGS) - before
    assert made, path
    for of in ("required", "runs", "paths", "names"):
        assert set(asked.get(of, ())) <= made, (path, of)
    for name in made:
        flag = flags.FLAGS[name]
        assert flag.help, (path, name)
        assert flag.default is None or flag.parser.parse(flag.default) is not None, (path, name)
        delattr(flags.FLAGS, name)
    print(path)
"""


def test_every_benchmark_begins():
    programs = sorted(
        str(x) for x in FOLDER.glob("*.py") if re.search(r"launch\.run\(\s*main", x.read_text())
    )
    done = subprocess.run([sys.executable, "-c", PROGRAM, *programs], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == programs and len(programs) > 10
