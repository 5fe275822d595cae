"""What starts jgan on clusters, checked without one: scripts, manifests and the container's file."""

import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
TRAIN, ARCHIVE = (ROOT / "launch" / "slurm" / f"{name}.sbatch" for name in ("train", "archive"))
TPU = ROOT / "launch" / "tpu_pod.sh"


def tool(name):
    """A program of the environment of this Python, or another one; skips without it."""
    found = shutil.which(
        name, path=os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    )
    return found or pytest.skip(f"{name} is not installed")


@pytest.mark.parametrize(
    "script", [TRAIN, ARCHIVE, TPU, ROOT / "benchmarks" / "accelerator.sh"], ids=lambda x: x.name
)
def test_scripts_have_no_fault_that_shellcheck_knows(script):
    done = subprocess.run([tool("shellcheck"), "--shell=bash", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_manifests_are_those_of_kubernetes():
    validate = pytest.importorskip("kubernetes_validate")
    for name in ("train", "archive"):
        for item in manifest(name):
            validate.validate(item, "1.30", strict=True)


def manifest(name):
    text = (ROOT / "launch" / "kubernetes" / f"{name}.yaml").read_text()
    return list(yaml.safe_load_all(text))


def test_pods_of_a_training_find_each_other():
    service, job = manifest("train")
    pod = job["spec"]["template"]
    assert service["spec"]["selector"] == pod["metadata"]["labels"]
    assert service["metadata"]["name"] == pod["spec"]["subdomain"] and service["spec"]["clusterIP"] == "None"
    (container,) = pod["spec"]["containers"]
    flags = dict(flag.removeprefix("--").split("=", 1) for flag in container["args"])
    (port,) = service["spec"]["ports"]
    assert (
        flags["coordinator_address"]
        == f"{job['metadata']['name']}-0.{pod['spec']['subdomain']}:{port['port']}"
    )
    assert flags["process_id"] == "$(JOB_COMPLETION_INDEX)" and job["spec"]["completionMode"] == "Indexed"
    assert int(flags["num_processes"]) == job["spec"]["completions"] == job["spec"]["parallelism"]
    devices = int(flags["num_processes"]) * container["resources"]["limits"]["nvidia.com/gpu"]
    assert int(flags["config.batch_size"]) % devices == 0
    (policy,) = [
        rule["onExitCodes"] for rule in job["spec"]["podFailurePolicy"]["rules"] if "onExitCodes" in rule
    ]
    assert policy["containerName"] == container["name"]
    assert int(flags["unfinished_status"]) not in [0, *policy["values"]]


def test_pods_of_an_archive_have_a_part_each():
    (job,) = manifest("archive")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert f"--num_processes={job['spec']['completions']}" in container["args"]
    assert "--process_id=$(JOB_COMPLETION_INDEX)" in container["args"]
    (mistake,) = [
        rule["onExitCodes"] for rule in job["spec"]["podFailurePolicy"]["rules"] if "onExitCodes" in rule
    ]
    assert (mistake["containerName"], mistake["values"]) == (container["name"], [2])


def test_scripts_and_manifests_name_flags_that_training_has():
    text = "".join((ROOT / "launch" / f"{module}.py").read_text() for module in ("train", "process_flags"))
    known = set(re.findall(r"flags\.DEFINE_\w+\(\s*\"(\w+)\"", text)) | {"config"}
    (container,) = manifest("train")[1]["spec"]["template"]["spec"]["containers"]
    (command,) = re.findall(r"-m launch\.train (.*?) &$", TRAIN.read_text(), re.DOTALL | re.MULTILINE)
    named = [
        flag.partition("=")[0][2:] for flag in [*container["args"], *command.split()] if flag[:2] == "--"
    ]
    assert len(named) > 8 and {name for name in named if not name.startswith("config.")} <= known


@pytest.fixture
def slurm(tmp_path):
    """`(script, srun, *arguments, **variables) -> Popen` with programs of SLURM that say what they are asked for."""
    for name in ("scancel", "scontrol"):
        (tmp_path / name).write_text(f'#!/bin/bash\necho {name} "$@" >> "{tmp_path}/asked"\n')
    started = []

    def start(script, srun, *arguments, **variables):
        (tmp_path / "srun").write_text(f'#!/bin/bash\necho srun "$@" >> "{tmp_path}/asked"\n{srun}\n')
        for name in ("srun", "scancel", "scontrol"):
            (tmp_path / name).chmod(0o755)
        env = {
            **os.environ,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "SLURM_JOB_ID": "7",
            "PYTHON": "python",
            **variables,
        }
        started.append(subprocess.Popen(["bash", script, *arguments], env=env, stderr=subprocess.DEVNULL))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def asked(tmp_path):
    path = tmp_path / "asked"
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize(
    "status, restarts, again",
    [
        (0, 0, False),
        (2, 0, False),
        (1, 0, False),
        (137, 0, True),
        (75, 19, True),
        (75, 20, False),
        (85, 99, True),
    ],
)
def test_a_job_of_slurm_waits_again_only_if_that_helps(slurm, tmp_path, status, restarts, again):
    job = slurm(TRAIN, f"exit {status}", "--workdir=a b", SLURM_RESTART_COUNT=str(restarts))
    assert job.wait(30) == status
    first, *rest = asked(tmp_path)
    assert "python -m launch.train --workdir=a b --distributed" in first
    assert rest == ["scontrol requeue 7"] * again


def test_a_job_of_slurm_saves_before_its_time_ends(slurm, tmp_path):
    job = slurm(TRAIN, f'while ! grep -q scancel "{tmp_path}/asked"; do sleep 0.05; done; sleep 0.2; exit 85')
    while not asked(tmp_path):
        time.sleep(0.02)
    job.send_signal(signal.SIGUSR1)
    assert job.wait(30) == 85
    assert asked(tmp_path)[1:] == ["scancel --signal=TERM 7", "scontrol requeue 7"]


def test_a_job_of_an_array_has_its_part(tmp_path):
    (tmp_path / "python").write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
    (tmp_path / "python").chmod(0o755)
    variables = {"SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_MIN": "1"}
    done = subprocess.run(
        ["bash", ARCHIVE, "launch.project", "--images=a b"],
        env={**os.environ, **variables, "PYTHON": str(tmp_path / "python")},
        capture_output=True,
        text=True,
    )
    given = ["-m", "launch.project", "--images=a b", "--num_processes=4", "--process_id=2"]
    assert done.stdout.splitlines() == given


def tpu(*arguments):
    return subprocess.run([TPU, *arguments], capture_output=True, text=True, cwd=ROOT)


def test_a_tpu_pod_is_told_what_a_dry_run_prints():
    done = tpu(
        "--dry_run", "run", "pod", "zone", "launch.train", "--config.data.root=a b", "--workdir=gs://x/y"
    )
    (line,) = done.stdout.splitlines()
    *_, command = shlex.split(line)
    assert shlex.split(line)[:6] == ["gcloud", "compute", "tpus", "tpu-vm", "ssh", "pod"]
    # What the shell of each machine makes of it.
    words = shlex.split(command.removeprefix("--command="))
    assert words[-4:] == ["launch.train", "--config.data.root=a b", "--workdir=gs://x/y", "--distributed"]
    for wrong in ((), ("run", "pod", "zone"), ("jump", "pod", "zone")):
        done = tpu(*wrong)
        assert done.returncode == 2 and "launch/tpu_pod.sh [--dry_run] run NAME ZONE" in done.stderr


def test_the_container_holds_what_programs_need():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = [name for line in lines if line.startswith("COPY") for name in line.split()[1:-1]]
    assert {"configs", "jgan", "launch", "models", "requirements.txt"} <= set(copied)
    assert all((ROOT / name).exists() for name in copied)
    # The line of requirements.txt that another kind of device changes.
    (change,) = re.findall(r'sed -i "(s/.*?/)"', "\n".join(lines))
    changed = subprocess.run(
        ["sed", change.replace("$FOR", "cuda13"), ROOT / "requirements.txt"], capture_output=True, text=True
    )
    assert re.search(r"^jax\[cuda13\]==\d", changed.stdout, re.MULTILINE)
