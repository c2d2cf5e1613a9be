#!/bin/sh
# The contract of the CVPR 2024 laptop challenge: each npz of inputs/ is answered by a file of the same name in outputs/.
# Both lie beside this script (/workspace in the container). Runs on the CPU, without PyTorch.
set -eu
cd "$(dirname "$0")"
exec "${PYTHON:-python3}" -m voxtrace.bench.challenge.answering inputs outputs
