#!/usr/bin/env bash
# From a clean clone to a scene: makes .venv, installs splatkit, turns photos into Gaussians.
#   ./scripts/quickstart.sh             the sample in data/sample/photos
#   ./scripts/quickstart.sh MY_PHOTOS   a folder of your own
set -euo pipefail
start=$SECONDS
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh

[ $# -le 1 ] || fail "expected at most one folder of photos, got $#: quickstart.sh [PHOTOS]"
case ${1:-} in
  "") photos=data/sample/photos run=runs/quickstart ;;
  -h | --help) sed -n '2,4s/^# \{0,1\}//p' scripts/quickstart.sh; exit 0 ;;
  /* | [A-Za-z]:*) photos=$1 run=runs/$(basename "$1") ;;
  *) photos=$caller/$1 run=runs/$(basename "$1") ;;
esac
[ -d "$photos" ] || fail "no folder of photos at $photos"

make_environment ""
splatkit=("$VENV_PYTHON" -m splatkit)
if [ -f "$run/eval/stats.json" ] && [ -f "$run/exports/scene.ply" ]; then
  say "Using the finished run in $run (delete that folder to start over)"
elif [ -f "$run/config.json" ]; then
  say "Going on with the run in $run"
  "${splatkit[@]}" train --resume -o "$run"
else
  say "Training on $photos"
  "${splatkit[@]}" train "$photos" -o "$run" --preset draft --time-limit 6m
fi

say "Done after $(((SECONDS - start) / 60)) min $(((SECONDS - start) % 60)) s"
cat <<TEXT
  scene      $run/exports/scene.ply   (opens in any Gaussian-splat viewer)
  renders    $run/renders/
  figures    $run/eval/stats.json

Look at it in the browser:
  ${splatkit[*]} view $run
TEXT
