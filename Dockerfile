# jgan in a container:
#
#   docker build -t jgan .                                  for CPUs
#   docker build -t jgan:cuda --build-arg FOR=cuda13 .      for NVIDIA GPUs, whose machine needs the driver alone
#   docker run --rm --gpus all -v "$PWD/runs:/runs" jgan:cuda \
#       python -m launch.train --config=configs/pix2pix.py:demo --workdir=/runs/demo
#
# FOR is an extra of JAX's package: cpu, cuda13, cuda12 or tpu.
FROM python:3.12-slim

ARG FOR=cpu
WORKDIR /jgan

# First what changes rarely, so that a change of jgan alone builds in seconds.
COPY requirements.txt .
RUN if [ "$FOR" != cpu ]; then sed -i "s/^jax==/jax[$FOR]==/" requirements.txt; fi \
    && pip install --no-cache-dir -r requirements.txt

# The folders that programs need, by name: neither .git nor runs and data that lie beside them.
COPY benchmarks benchmarks
COPY configs configs
COPY jgan jgan
COPY launch launch
COPY models models
COPY LICENSE README.md pyproject.toml ./

# What is cached (compiled programs, decoded pictures) goes to the home of this user; a volume there keeps it.
RUN useradd --create-home jgan
USER jgan
ENV PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

CMD ["python", "-m", "launch.train", "--help"]
