#!/usr/bin/env bash
# Runs jgan on all machines of a Cloud TPU slice, with gcloud. From the folder of the repository:
#
#   launch/tpu_pod.sh [--dry_run] create NAME ZONE TYPE      makes the slice, such as v5litepod-64
#   launch/tpu_pod.sh [--dry_run] setup NAME ZONE            installs this commit in ~/jgan on each machine
#   launch/tpu_pod.sh [--dry_run] run NAME ZONE PROGRAM [FLAG ...]
#   launch/tpu_pod.sh [--dry_run] stop NAME ZONE             SIGTERM: a training saves and ends
#   launch/tpu_pod.sh [--dry_run] delete NAME ZONE
#
#   launch/tpu_pod.sh run pod us-central2-b launch.train --config=configs/pix2pix.py --workdir=gs://BUCKET/RUN
#
# The machines find each other by what the TPU says about them (--distributed). --workdir and the data have to be where
# all of them can read and write, such as a bucket. The same `run` again continues a run. --dry_run prints the commands.
# VERSION is the software of the machines.
set -euo pipefail

run_or_show() {
    if [[ $dry_run == 1 ]]; then
        printf '%q ' "$@"
        echo
    else
        "$@"
    fi
}

on_all() {
    run_or_show gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all --command="$1"
}

usage() {
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
}

dry_run=0
if [[ ${1:-} == --dry_run ]]; then
    dry_run=1
    shift
fi
[[ $# -ge 3 ]] || usage
what=$1 name=$2 zone=$3
shift 3

case $what in
create)
    [[ $# == 1 ]] || usage
    run_or_show gcloud compute tpus tpu-vm create "$name" --zone="$zone" --accelerator-type="$1" \
        --version="${VERSION:-v2-alpha-tpuv5-lite}"
    ;;
setup)
    code=$(mktemp -d)
    trap 'rm -rf "$code"' EXIT
    run_or_show git archive --output="$code/jgan.tar.gz" HEAD
    run_or_show gcloud compute tpus tpu-vm scp "$code/jgan.tar.gz" "$name:" --zone="$zone" --worker=all
    on_all 'mkdir -p jgan && tar -xzf jgan.tar.gz -C jgan && cd jgan && python3 -m venv .venv &&
sed -i "s/^jax==/jax[tpu]==/" requirements.txt && .venv/bin/pip install --quiet -r requirements.txt'
    ;;
run)
    [[ $# -ge 1 ]] || usage
    on_all "cd jgan && .venv/bin/python -m $(printf '%q ' "$@")--distributed"
    ;;
stop)
    on_all 'pkill --signal TERM --full "python -m launch[.]"'
    ;;
delete)
    run_or_show gcloud compute tpus tpu-vm delete "$name" --zone="$zone" --quiet
    ;;
*)
    usage
    ;;
esac
