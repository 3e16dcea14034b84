#!/usr/bin/env bash
# Proves and measures the CUDA backend on a machine with an NVIDIA GPU. No network is used.
#
#   ./scripts/gpu_check.sh parity    tests on the GPU, and compute-sanitizer where it is installed
#   ./scripts/gpu_check.sh kernels   times and memory at 0.1, 1 and 5 million Gaussians, 1080p
#   ./scripts/gpu_check.sh train     trains data/sample and the sets in GPU_CHECK_SETS (paths, with :)
#   ./scripts/gpu_check.sh peer      the same inputs against gsplat 1.5.3 (skipped without it)
#   ./scripts/gpu_check.sh all       one after the other
#
# Each part takes at most nine minutes and leaves build/gpu_check/PART.json; a part that is done is
# not repeated (delete its file to do it again). `train` may need to be started again: trainings that
# are done stay, one that was stopped goes on from its checkpoint. All parts that are done are merged
# into benchmarks/results/DATE-DEVICE.json and the table in README.md.
#
# What the machine needs: Python 3.11 to 3.14 with a CUDA build of torch 2.6 or newer (NVRTC comes
# with it), and this checkout with splatkit installed: pip install -e '.[cuda,test]'. Where the machine
# is offline, carry at most 60 MB in all:
#   this checkout with data/sample, without .git      9 MB (git archive HEAD | gzip)
#   splatkit's own wheel (pip wheel --no-deps .)       4 MB
#   cuda-core, cuda-bindings, cuda-pathfinder         14 MB
#   tyro, plyfile, pillow-heif and what else is missing of pyproject.toml's dependencies, each a few MB
#   for `train` pycolmap (38 MB) is left out where GPU_CHECK_SETS names COLMAP projects only.
# `peer` needs gsplat 1.5.3 with compiled kernels. Its package on PyPI compiles them on first import,
# which takes a CUDA toolkit (nvcc) of torch's version, ninja and up to ten minutes: do that once
# before (python -c 'from gsplat.cuda._backend import _C'), or carry a wheel built elsewhere for the
# same Python and torch (TORCH_CUDA_ARCH_LIST=9.0 pip wheel --no-deps --no-build-isolation
# --no-binary gsplat gsplat==1.5.3). fused-ssim is used beside it where it is installed. Without
# gsplat the part says so and nothing is compared. compute-sanitizer comes with the toolkit; parity
# leaves it out where there is none.
# PYTHON names the interpreter; .venv/bin/python is taken where it exists.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

parts="parity kernels train peer"
part=${1:-}
case " $parts all " in
  *" ${part:-none} "*) ;;
  *) echo "usage: $0 ${parts// /|}|all" >&2; exit 2 ;;
esac

if [ -z "${PYTHON:-}" ]; then
  PYTHON=python3
  if [ -x .venv/bin/python ]; then PYTHON=.venv/bin/python; fi
fi
results=build/gpu_check
mkdir -p "$results"
limit=520 # seconds; the last of nine minutes is for starting and merging

parity() {
  local sanitizer=none status=0 log="$results/parity.log"
  timeout 380 "$PYTHON" -m pytest -q -rs -p no:cacheprovider tests/render/test_cuda_gpu.py \
    tests/render/test_gsplat.py >"$log" 2>&1 || status=$?
  tail -n 15 "$log" >&2
  if command -v compute-sanitizer >/dev/null; then
    sanitizer=passed
    timeout 120 compute-sanitizer --error-exitcode 9 "$PYTHON" -m splatkit bench render \
      --backend cuda --gaussians 2000 --width 200 --height 120 --runs 1 --gradients \
      >"$results/sanitizer.log" 2>&1 || sanitizer="failed, see $results/sanitizer.log"
  fi
  "$PYTHON" - "$status" "$sanitizer" "$log" <<'PY'
import json, sys
status, sanitizer, log = sys.argv[1:]
last = open(log).read().strip().splitlines()[-1]
ok = status == "0" and not sanitizer.startswith("failed")
figures = [{"id": "parity", "value": None, "unit": "", "goal": None, "pass": ok, "how": last},
           {"id": "sanitizer", "value": None, "unit": "", "goal": None,
            "pass": not sanitizer.startswith("failed"), "how": sanitizer}]
print(json.dumps({"name": "parity", "figures": figures}, indent=1))
PY
}

run_part() {
  local name=$1 file="$results/$1.json"
  if [ -s "$file" ]; then
    echo "$name: done before, see $file"
    return
  fi
  echo "==> $name"
  if [ "$name" = parity ]; then
    parity >"$file.writing"
  else
    local status=0
    timeout "$limit" "$PYTHON" scripts/bench/gpu.py "$name" "$results" >"$file.writing" || status=$?
    if [ "$status" != 0 ]; then
      rm -f "$file.writing"
      echo "$name: not finished (exit code $status); start it again to go on" >&2
      return 0
    fi
  fi
  mv "$file.writing" "$file"
}

"$PYTHON" -c 'from splatkit.render.backends._cuda_device import obstacle
reason = obstacle()
raise SystemExit(f"gpu_check: {reason}" if reason else 0)'
if [ "$part" = all ]; then
  for name in $parts; do run_part "$name"; done
else
  run_part "$part"
fi
"$PYTHON" scripts/bench/gpu.py merge "$results"
