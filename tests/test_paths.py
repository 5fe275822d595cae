"""Paths in object stores do what those on disks do, or say in one sentence why they cannot."""

import os
import pathlib
import pickle
import subprocess
import sys

import pytest

import jgan
from jgan import output
from jgan import paths

SCHEMES = pytest.mark.parametrize("scheme", ["gs", "s3"])


@pytest.fixture(params=["disk", "gs", "s3"])
def folder(request, tmp_path, bucket):
    """A folder that does not exist yet."""
    return paths.of(tmp_path / "a" if request.param == "disk" else f"{bucket(request.param)}/a")


def test_a_path_on_a_disk_is_of_pathlib():
    for path in ("runs/one", "/tmp/x", "gs:/b", pathlib.Path("x")):
        assert type(paths.of(path)) is type(pathlib.Path("x")) and not paths.is_remote(path)
    assert paths.absolute("x") == os.path.abspath("x")


def test_epath_is_loaded_for_object_stores_alone_and_tensorflow_never():
    program = (
        "import sys; from jgan import paths, output, trained; paths.of('x'); print('fsspec' in sys.modules)"
    )
    program = "import sys; from jgan import paths; paths.of('x').exists(); a = 'etils.epath' in sys.modules; "
    program += "p = paths.of('gs://b/x'); import os; print(a, str(p), os.environ['EPATH_USE_TF'])"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.split() == ["False", "gs://b/x", "false"]


@SCHEMES
def test_names_are_those_of_the_store(scheme):
    path = paths.of(f"{scheme}://bucket/a/") / "b.png"
    assert (
        str(path)
        == os.fspath(path)
        == f"{scheme}://bucket/a/b.png"
        == str(path.absolute())
        == str(path.resolve())
    )
    assert str(path.parent) == f"{scheme}://bucket/a" and path.suffix == ".png"
    assert path.relative_to(f"{scheme}://bucket").as_posix() == "a/b.png"
    assert pickle.loads(pickle.dumps(path)) == path and paths.of(path) is path
    assert paths.real(f"{scheme}://bucket//a/b.png") == str(path)


def test_what_is_written_is_read_listed_and_removed(folder):
    assert not paths.exists(folder) and not paths.is_folder(folder) and list(folder.glob("*")) == []
    (folder / "b").mkdir(parents=True, exist_ok=True)
    for name, data in (("b/2.txt", b"two"), ("b/1.png", b"1"), ("c.txt", "é\n".encode())):
        output.replace(folder / name, data)
    output.replace(folder / "b" / "2.txt", b"three")
    assert (folder / "b" / "2.txt").read_bytes() == b"three"
    assert (folder / "c.txt").read_text(encoding="utf-8") == "é\n"
    with (folder / "c.txt").open(encoding="utf-8") as text, (folder / "b" / "2.txt").open("rb") as file:
        assert list(text) == ["é\n"] and file.seek(2) == 2 and file.read() == b"ree"
    assert sorted(path.name for path in folder.iterdir()) == ["b", "c.txt"]
    assert [path.name for path in folder.glob("*.txt")] == ["c.txt"]
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*")) == [
        "b/1.png",
        "b/2.txt",
        "c.txt",
    ]
    assert [path.name for path in folder.glob("*/1.png")] == ["1.png"]
    assert [str(path) for path in paths.matching(f"{folder}/b/*.txt")] == [str(folder / "b" / "2.txt")]
    assert folder.is_dir() and not folder.is_file() and (folder / "c.txt").is_file()
    found = [
        (os.path.relpath(where, folder), names, sorted(files)) for where, names, files in paths.walk(folder)
    ]
    assert found == [(".", ["b"], ["c.txt"]), ("b", [], ["1.png", "2.txt"])]
    assert (folder / "c.txt").stat().st_size == paths.status(folder / "c.txt").size == 3
    paths.remove_tree(folder / "b")
    assert not paths.exists(folder / "b") and paths.exists(folder)
    (folder / "c.txt").unlink()
    (folder / "c.txt").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError) as error:
        (folder / "c.txt").read_bytes()
    assert error.value.filename == str(folder / "c.txt") and error.value.strerror


def test_a_file_is_on_a_disk_for_those_who_open_it_by_its_name(folder):
    folder.mkdir(parents=True, exist_ok=True)
    output.replace(folder / "x.bin", b"one")
    with paths.on_disk(folder / "x.bin") as file:
        assert type(file) is type(pathlib.Path("x")) and file.name == "x.bin" and file.read_bytes() == b"one"
    assert file.exists() != paths.is_remote(folder) and paths.exists(folder / "x.bin")
    with pytest.raises(FileNotFoundError), paths.on_disk(folder / "none") as file:
        file.read_bytes()


def test_a_search_does_not_enter_the_folders_that_are_taken_away(folder):
    for name in ("x/1", "y/2", "y/z/3"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        output.replace(folder / name, b"")
    seen = []
    for _, names, files in paths.walk(folder):
        seen += files
        names[:] = [name for name in names if name != "x"]
    assert seen == ["2", "3"]


def test_of_several_one_alone_makes_a_file(folder):
    folder.mkdir(parents=True, exist_ok=True)
    assert paths.create(folder / "claim", b"mine") and not paths.create(folder / "claim", b"yours")
    assert (folder / "claim").read_bytes() == b"mine"
    assert output.publish(folder / "shard", b"first") and not output.publish(folder / "shard", b"second")
    assert (folder / "shard").read_bytes() == b"first"
    assert output.publish(folder / "shard", b"second", anew=True)
    assert (folder / "shard").read_bytes() == b"second"


def test_the_version_of_a_file_changes_with_its_content_and_its_time_when_it_is_touched(folder, stores):
    folder.mkdir(parents=True, exist_ok=True)
    output.replace(folder / "x", b"one")
    before = paths.status(folder / "x")
    output.replace(folder / "x", b"two")
    assert (
        paths.status(folder / "x").version != before.version
        and paths.status(folder / "x").size == before.size
    )
    on_disk = stores / str(folder / "x").replace("://", "/") if paths.is_remote(folder) else folder / "x"
    os.utime(on_disk, (1_000_000_000, 1_000_000_000))
    assert (folder / "x").stat().st_mtime == 1_000_000_000
    paths.touch(folder / "x", b"two")
    assert (folder / "x").stat().st_mtime > 1_700_000_000 and (folder / "x").read_bytes() == b"two"


@SCHEMES
def test_objects_are_not_written_in_parts(bucket, scheme):
    for mode in ("w", "a", "ab", "xb", "r+"):
        with pytest.raises(ValueError, match="written whole"):
            paths.of(f"{bucket(scheme)}/x").open(mode)


@pytest.mark.parametrize(
    "path, allowed, told",
    [
        ("gs://bucket/run", False, "--workdir=gs://bucket/run: this has to lie on a disk"),
        ("gs://", True, "--workdir=gs:// names no bucket: gs://BUCKET/FOLDER would work"),
        ("az://bucket/run", True, "--workdir=az://bucket/run: paths on disks, gs:// and s3:// would work"),
    ],
)
def test_other_paths_are_refused(path, allowed, told):
    with pytest.raises(jgan.UserError, match=told):
        paths.check(path, "--workdir", allowed=allowed)
    paths.check("runs/one", "--workdir", allowed=allowed)
    paths.check("gs://bucket/run", "--workdir")


def test_an_error_of_a_store_is_one_sentence(bucket, monkeypatch):
    path = paths.of(bucket("gs")) / "x"

    def refuse(*_, **__):
        raise RuntimeError("Anonymous caller does not have storage.objects.get access.\n401")

    monkeypatch.setattr(type(path._store), "cat_file", refuse)
    with pytest.raises(jgan.UserError, match="bucket-.*/x cannot be used: Anonymous caller .* access. 401.$"):
        path.read_bytes()


@pytest.mark.parametrize("path, package", [("gs://bucket/run", "gcsfs"), ("s3://bucket/run", "s3fs")])
def test_a_store_without_its_package_is_one_sentence(tmp_path, path, package):
    program = f"import sys; sys.modules['{package}'] = None; from launch import evaluate, run; "
    program += "run(evaluate.main, required=('workdir',), runs=('workdir',), stores=('workdir',))"
    done = subprocess.run(
        [sys.executable, "-c", program, f"--workdir={path}"],
        capture_output=True,
        text=True,
        cwd=pathlib.Path.cwd(),
    )
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert f"{path[:5]} needs {package}" in done.stderr and f"pip install {package} would work" in done.stderr


@pytest.mark.parametrize(
    "program, flag, told",
    [("sweep", "--verify", "{} holds no run"), ("report", "--workdir", "--workdir={} does not exist")],
)
def test_programs_look_for_runs_in_stores(bucket, program, flag, told):
    place = f"{bucket('s3')}/x"
    done = subprocess.run(
        [sys.executable, "-m", f"launch.{program}", f"{flag}={place}"], capture_output=True, text=True
    )
    assert done.returncode == 2 and f"error: {told.format(place)}" in done.stderr, done.stderr


@pytest.mark.parametrize(
    "program, flags, named",
    [
        ("sweep", ["--sweep=configs/sweeps/objectives.py", "--workdir=gs://bucket/x"], "--workdir"),
        ("serve", ["--workdir=s3://bucket/x", "--train=configs/dcgan.py:editor"], "--workdir"),
        (
            "train",
            [
                "--config=configs/pix2pix.py:tiny",
                "--workdir=runs/x",
                "--config.data.cache_dir=gs://bucket/cache",
            ],
            "--config.data.cache_dir",
        ),
    ],
)
def test_where_a_program_needs_a_disk_it_says_so(tmp_path, program, flags, named):
    root = pathlib.Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-m", f"launch.{program}", *flags], cwd=root, capture_output=True, text=True
    )
    assert (
        done.returncode == 2 and f"error: {named}=" in done.stderr and "has to lie on a disk" in done.stderr
    )
    assert not (root / "gs:").exists() and not (root / "s3:").exists()
