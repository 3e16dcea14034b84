# Sourced by quickstart.sh and test.sh: makes .venv with splatkit in it, once.
# Set PYTHON to choose an interpreter. Ends the script with one line when something is missing.

say() { printf '\n==> %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Prints the first Python from 3.11 to 3.14 that works.
find_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.14 python3.11 python}; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' \
      >/dev/null 2>&1; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

# What building needs beside Python; named before minutes of download rather than after.
check_tools() {
  local python=$1
  "$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python cannot make virtual environments; install its venv package (Debian, Ubuntu: apt install python3-venv)"
  case $(uname -s) in
    MINGW* | MSYS* | CYGWIN*) return ;; # CMake finds Visual Studio by itself.
  esac
  "$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' ||
    fail "$python has no header files; install them (Debian, Ubuntu: apt install python3-dev)"
  command -v "${CXX:-c++}" >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null ||
    fail "no C++ compiler found; install one (Debian, Ubuntu: apt install g++; macOS: xcode-select --install)"
}

# What the installed package was built from: the build's inputs and this interpreter.
stamp() {
  "$VENV_PYTHON" - "$@" <<'PY'
import hashlib, pathlib, sys
digest = hashlib.sha256(" ".join([sys.version, *sys.argv[1:]]).encode())
files = [pathlib.Path(name) for name in
         ("pyproject.toml", "CMakeLists.txt", "scripts/constraints.txt", "scripts/environment.sh")]
for path in files + sorted(p for p in pathlib.Path("cuda").rglob("*") if p.is_file()):
    digest.update(path.as_posix().encode() + path.read_bytes())
print(digest.hexdigest())
PY
}

# The requirements of an extra, one a line.
requirements() {
  "$VENV_PYTHON" -c 'import sys, tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
print(*project["optional-dependencies"][sys.argv[1]], sep="\n")' "$1"
}

has_nvidia_gpu() { [ -e /proc/driver/nvidia/version ] || command -v nvidia-smi >/dev/null; }

# Refuses gigabytes of CUDA libraries where no NVIDIA GPU could use them.
check_torch() {
  has_nvidia_gpu && return
  "$VENV_PYTHON" -c 'import torch' 2>/dev/null && return
  local report
  report=$(mktemp)
  # fast-deps reads what a wheel needs without downloading the wheel.
  "$VENV_PYTHON" -m pip install --quiet --dry-run --no-deps --ignore-installed \
    --use-feature=fast-deps --report "$report" --constraint scripts/constraints.txt torch \
    2>"$report.log" || { cat "$report.log" >&2; fail "pip finds no torch for this Python"; }
  local status=0
  "$VENV_PYTHON" - "$report" <<'PY' || status=$?
import json, sys
from pip._vendor.packaging.requirements import Requirement
metadata = json.load(open(sys.argv[1]))["install"][0]["metadata"]
needs = [Requirement(text) for text in metadata.get("requires_dist", [])]
cuda = [r.name for r in needs if r.name.startswith(("nvidia-", "cuda-"))
        and (r.marker is None or r.marker.evaluate({"extra": ""}))]
sys.exit(bool(cuda) and not metadata["version"].endswith("+cpu"))
PY
  rm -f "$report" "$report.log"
  [ $status -eq 0 ] || fail "pip would take the CUDA build of torch (gigabytes), but there is no NVIDIA GPU here; see 'Installing torch without CUDA' in README.md, then run this again"
}

# make_environment EXTRAS: .venv with splatkit[EXTRAS], editable. Sets VENV_PYTHON.
make_environment() {
  local extras=$1 python
  if [ -x .venv/Scripts/python.exe ]; then VENV_PYTHON=.venv/Scripts/python.exe; else VENV_PYTHON=.venv/bin/python; fi
  if ! "$VENV_PYTHON" -m pip --version >/dev/null 2>&1; then
    python=$(find_python) ||
      fail "Python 3.11 to 3.14 is needed and none was found; install one, or name it: PYTHON=/path/to/python $0"
    check_tools "$python"
    say "Making .venv with $("$python" --version)"
    "$python" -m venv .venv
    if [ -x .venv/Scripts/python.exe ]; then VENV_PYTHON=.venv/Scripts/python.exe; fi
    "$VENV_PYTHON" -m pip install --quiet --upgrade pip
  fi
  local now
  now=$(stamp)
  if grep -qsx "$now $extras" .venv/splatkit-stamp; then return; fi
  if grep -qs "^$now " .venv/splatkit-stamp; then
    # Built already, for the other script: only what the extras name is missing.
    if [ -n "$extras" ]; then
      say "Installing what '$extras' needs"
      local needs=() line
      while IFS= read -r line; do needs+=("${line%$'\r'}"); done < <(requirements "$extras")
      "$VENV_PYTHON" -m pip install --quiet --constraint scripts/constraints.txt "${needs[@]}"
    fi
    echo "$now $extras" >>.venv/splatkit-stamp
    return
  fi
  check_tools "$("$VENV_PYTHON" -c 'import sys; print(getattr(sys, "_base_executable", sys.executable))')"
  check_torch
  say "Installing splatkit (downloads its libraries, then compiles for about a minute)"
  "$VENV_PYTHON" -m pip install --constraint scripts/constraints.txt --editable ".${extras:+[$extras]}"
  echo "$now $extras" >.venv/splatkit-stamp
}
