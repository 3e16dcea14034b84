#!/usr/bin/env bash
# Proves and measures the CUDA backend on a machine with an NVIDIA GPU. No network is used.
#
#   ./scripts/gpu_check.sh parity    tests on the GPU, and compute-sanitizer where it is installed
#   ./scripts/gpu_check.sh kernels   times and memory at 0.1, 1 and 5 million Gaussians, 1080p; upscaling
#   ./scripts/gpu_check.sh peer      the same inputs against gsplat 1.5.3 (skipped without it)
#   ./scripts/gpu_check.sh train     trains data/sample and the sets in GPU_CHECK_SETS (paths, with :)
#   ./scripts/gpu_check.sh all       one after the other; several parts may be named, too
#   ./scripts/gpu_check.sh prepare   before, on any machine: finds the cameras of the sets
#
# Each part takes at most nine minutes (on an H100 two to three are expected for parity, kernels and
# peer each) and leaves PART.json in build/gpu_check, or in the folder GPU_CHECK_RESULTS. A part that is
# done is not repeated (delete its file to do it again). One that broke off leaves what it had as
# PART.failed.json. `train` may need to be started again: trainings that are done stay, one that was
# stopped goes on from its checkpoint. All parts are merged into benchmarks/results/DATE-DEVICE.json
# and the table in README.md.
#
# Where time on the GPU is scarce: run `prepare` elsewhere and carry build/gpu_check/scenes, without the
# folders called work (16 MB for the sample); else `train` finds the cameras first, in minutes. Then
# `parity kernels` in one call, `peer` in the next, `train` last; give GPU_CHECK_RESULTS a folder that
# outlives the machine. Where the time of a kernel goes, Nsight Compute tells, for instance:
#   ncu --set full -k regex:blend_adj -s 5 -c 2 python -m splatkit bench render --backend cuda \
#     --gaussians 1000000 --runs 3 --gradients
#
# What the machine needs: Python 3.11 to 3.14 with a CUDA build of torch 2.6 or newer (NVRTC comes
# with it), and this checkout with splatkit installed: pip install -e '.[cuda,test]'. Where the machine
# is offline, carry at most 60 MB in all:
#   this checkout with data/sample, without .git      9 MB (git archive HEAD | gzip)
#   splatkit's own wheel (pip wheel --no-deps .)       4 MB
#   cuda-core, cuda-bindings, cuda-pathfinder         14 MB, where they are missing
#   tyro, plyfile, pillow-heif and what else is missing of pyproject.toml's dependencies, each a few MB;
#   pycolmap (38 MB) is needed only where `train` has to find cameras.
# `peer` needs gsplat 1.5.3 with compiled kernels. Its package on PyPI compiles them on first use,
# which takes a CUDA toolkit (nvcc) of torch's version, ninja and up to ten minutes: do that once
# before (pytest -m long tests/render/test_gsplat.py, which compares them with the reference, too), or
# carry a wheel built elsewhere for the
# same Python and torch (TORCH_CUDA_ARCH_LIST=9.0 pip wheel --no-deps --no-build-isolation
# --no-binary gsplat gsplat==1.5.3). fused-ssim is used beside it where it is installed. Without
# gsplat the part says so and nothing is compared. compute-sanitizer comes with the toolkit; parity
# leaves it out where there is none.
# PYTHON names the interpreter; .venv/bin/python is taken where it exists.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

parts="parity kernels peer train"
wanted=${*:-none}
if [ "$wanted" = all ]; then wanted=$parts; fi
for part in $wanted; do
  case " $parts prepare " in
    *" $part "*) ;;
    *) echo "usage: $0 ${parts// /|}|prepare|all" >&2; exit 2 ;;
  esac
done

if [ -z "${PYTHON:-}" ]; then
  PYTHON=python3
  if [ -x .venv/bin/python ]; then PYTHON=.venv/bin/python; fi
fi
results=${GPU_CHECK_RESULTS:-build/gpu_check}
mkdir -p "$results"
limit=520 # seconds; the last of nine minutes is for starting and merging

parity() {
  local sanitizer=none status=0 code=0 log="$results/parity.log"
  timeout 320 "$PYTHON" -m pytest -q -rs -p no:cacheprovider tests/render/test_cuda_gpu.py \
    tests/enhance/test_cuda_gpu.py tests/render/test_gsplat.py >"$log" 2>&1 || status=$?
  tail -n 15 "$log" >&2
  if command -v compute-sanitizer >/dev/null; then
    timeout 180 compute-sanitizer --error-exitcode 9 "$PYTHON" -m splatkit bench render \
      --backend cuda --gaussians 2000 --width 200 --height 120 --runs 1 --gradients \
      >"$results/sanitizer.log" 2>&1 || code=$?
    case $code in
      0) sanitizer=passed ;;
      9) sanitizer="failed, see $results/sanitizer.log" ;;
      *) sanitizer="did not end (exit code $code), see $results/sanitizer.log" ;;
    esac
  fi
  "$PYTHON" - "$status" "$sanitizer" "$log" <<'PY'
import json, sys
status, sanitizer, log = sys.argv[1:]
last = open(log).read().strip().splitlines()[-1]
sound = sanitizer in ("none", "passed")
ok = status == "0" and sound
figures = [{"id": "parity", "value": None, "unit": "", "goal": None, "pass": ok, "how": last},
           {"id": "sanitizer", "value": None, "unit": "", "goal": None,
            "pass": sound, "how": sanitizer}]
print(json.dumps({"name": "parity", "figures": figures}, indent=1))
raise SystemExit(0 if ok else 4)
PY
}

run_part() {
  local name=$1 file="$results/$1.json"
  if [ -s "$file" ]; then
    echo "$name: done before, see $file"
    return
  fi
  echo "==> $name"
  local status=0
  if [ "$name" = parity ]; then
    parity >"$file.writing" || status=$?
  else
    timeout "$limit" "$PYTHON" scripts/bench/gpu.py "$name" "$results" >"$file.writing" || status=$?
  fi
  case $status in
    0) mv "$file.writing" "$file"; rm -f "$results/$name.failed.json" ;;
    4) mv "$file.writing" "$results/$name.failed.json"
       echo "$name: broke off, see $results/$name.failed.json" >&2 ;;
    *) rm -f "$file.writing"
       echo "$name: not finished (exit code $status); start it again to go on" >&2 ;;
  esac
}

if [ "$wanted" = prepare ]; then exec "$PYTHON" scripts/bench/gpu.py prepare "$results"; fi
"$PYTHON" -c 'from splatkit.render.backends._cuda_device import obstacle
reason = obstacle()
raise SystemExit(f"gpu_check: {reason}" if reason else 0)'
for part in $wanted; do run_part "$part"; done
"$PYTHON" scripts/bench/gpu.py merge "$results"
