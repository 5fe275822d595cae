"""The second start of a program, for large pages of memory."""

import os
import subprocess
import sys

import pytest

from launch import huge_pages


@pytest.mark.parametrize(
    ("enabled", "before", "wanted"),
    [
        ("always [madvise] never", None, "glibc.malloc.hugetlb=1"),
        ("always [madvise] never", "glibc.malloc.check=3", "glibc.malloc.check=3:glibc.malloc.hugetlb=1"),
        ("always [madvise] never", "glibc.malloc.hugetlb=0", None),
        ("[always] madvise never", None, None),
        ("always madvise [never]", None, None),
        (None, None, None),
    ],
)
def test_pages_are_asked_for_where_the_system_gives_them_on_request(
    monkeypatch, tmp_path, enabled, before, wanted
):
    monkeypatch.setattr(huge_pages, "_ENABLED", tmp_path / "enabled")
    if enabled is not None:
        (tmp_path / "enabled").write_text(enabled)
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    if before is not None:
        monkeypatch.setenv("GLIBC_TUNABLES", before)
    assert huge_pages.environment() == ({} if wanted is None else {"GLIBC_TUNABLES": wanted})


def test_only_a_program_begins_anew_and_only_once(tmp_path):
    (tmp_path / "enabled").write_text("[madvise]")
    # A module that is run as those of launch are, and says how it was started.
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "__init__.py").write_text(
        "import importlib.util, pathlib\n"
        f"spec = importlib.util.spec_from_file_location('huge_pages', {huge_pages.__file__!r})\n"
        "huge_pages = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(huge_pages)\n"
        f"huge_pages._ENABLED = pathlib.Path({str(tmp_path / 'enabled')!r})\n"
        "print('begins')\nhuge_pages.start_again()\n"
    )
    (tmp_path / "program" / "main.py").write_text(
        "import os, sys\nprint(os.environ.get('GLIBC_TUNABLES'), *sys.argv[1:])\n"
    )
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{root}{os.pathsep}{tmp_path}",
        "PYTHONUNBUFFERED": "1",
    }

    def said(*arguments):
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout.split("\n")

    assert said("-m", "program.main", "--a=b c") == ["begins", "begins", "glibc.malloc.hugetlb=1 --a=b c", ""]
    assert said("-c", "import program") == ["begins", ""]
