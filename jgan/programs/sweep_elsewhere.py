"""The runs of a sweep for other machines: command lines, a script for SLURM and manifests for Kubernetes."""

from collections.abc import Sequence
import json
import os
import re
import shlex

from jgan.programs import sweep


def commands(jobs: Sequence[sweep.Job | sweep.Group]) -> str:
    """One command line for each run."""
    return "".join(shlex.join(job.command()) + "\n" for job in jobs)


def slurm(jobs: Sequence[sweep.Job | sweep.Group], workdir: str) -> str:
    """A script for sbatch, an array with one task for each run; more resources are asked for at its head."""
    lines = "\n".join(f"  {shlex.quote(shlex.join(job.command()))}" for job in jobs)
    logs = shlex.quote(os.path.join(os.path.abspath(workdir), "slurm-%a.log"))
    return (
        "#!/bin/bash\n"
        f"#SBATCH --job-name=jgan-sweep\n#SBATCH --array=0-{len(jobs) - 1}\n#SBATCH --output={logs}\n"
        "#SBATCH --signal=TERM@120\n"
        f"commands=(\n{lines}\n)\n"
        f"cd {shlex.quote(os.getcwd())} || exit 1\n"
        'eval "exec ${commands[$SLURM_ARRAY_TASK_ID]}"\n'
    )


def kubernetes(jobs: Sequence[sweep.Job | sweep.Group], image: str) -> str:
    """Manifests for `kubectl apply -f`, a Job for each run, as JSON; volumes and devices are for a cluster to add."""
    items = []
    for number, job in enumerate(jobs):
        name = re.sub("[^a-z0-9]+", "-", job.name.lower()).strip("-")[:40].strip("-")
        command = job.command("python")
        if "launch.train" in command:  # with steps left it is saved, and not done
            command.append("--unfinished_status=75")
        container = {"name": "train", "image": image, "command": command}
        items.append(
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                # With a number, because names that differ in capitals or signs alone would be one.
                "metadata": {"name": f"jgan-{number}-{name}", "labels": {"app": "jgan-sweep"}},
                "spec": {
                    "backoffLimit": 4,
                    "template": {"spec": {"restartPolicy": "OnFailure", "containers": [container]}},
                },
            }
        )
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=2) + "\n"
