"""What is recorded of where a run comes from."""

import json
import subprocess
import sys

import pytest

from jgan.runs import origin


def git(folder, *arguments):
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    """A repository with code/a.py and an ignored folder, all of it committed."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("x = 1\n")
    (tmp_path / ".gitignore").write_text("env\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def test_the_revision_says_whether_the_code_differs_from_it(repository):
    code = repository / "code"
    clean = origin.revision(code)
    assert len(clean) == 40
    (repository / "notes.txt").write_text("no code\n")
    assert origin.revision(code) == clean
    (repository / "new.py").write_text("y = 2\n")
    assert origin.revision(code) == f"{clean} changed"
    (repository / "new.py").unlink()
    (code / "a.py").write_text("x = 3\n")
    assert origin.revision(code) == f"{clean} changed"


def test_outside_a_repository_there_is_none(repository, tmp_path_factory, monkeypatch):
    assert origin.revision(tmp_path_factory.mktemp("elsewhere")) is None
    # An installed copy within an ignored environment is not the code of the repository around it.
    (repository / "env").mkdir()
    (repository / "env" / "a.py").write_text("x = 1\n")
    assert origin.revision(repository / "env") is None
    monkeypatch.setenv("PATH", "/nowhere")  # no git
    assert origin.revision(repository / "code") is None


def test_a_start_has_the_command_the_machine_and_what_changes_programs(monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "launch.train", "--config.data.root=my photos"])
    monkeypatch.setenv("JGAN_CONV", "lax")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/tmp/programs")
    start = json.loads(json.dumps(origin.start(7, 100, "")))
    assert start["command"] == "python -m launch.train '--config.data.root=my photos'"
    assert (start["step"], start["steps"]) == (7, 100)
    assert start["versions"].keys() >= {"jgan", "python", "jax", "jaxlib", "numpy"}
    assert start["platform"]["cores"] >= 1 and start["platform"]["processor"]
    assert sum(start["platform"]["devices"].values()) >= 1
    assert start["variables"]["JGAN_CONV"] == "lax" and "JAX_COMPILATION_CACHE_DIR" not in start["variables"]
    assert len(origin.differences(start, start)) == str(start["revision"]).endswith("changed")
    other = json.loads(json.dumps(start))
    other["versions"]["jax"], other["revision"], start["revision"] = "9", None, "f00"
    assert origin.differences(start, other) == [
        f"jax is 9 and was {start['versions']['jax']}",
        "the revision is none and was f00",
    ]
