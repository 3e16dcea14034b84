#!/usr/bin/env bash
# Makes the environment if needed and runs the tests.
#   ./scripts/test.sh           everything that takes seconds (at most five minutes in all)
#   ./scripts/test.sh --long    the tests that take minutes too
# Further arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh

select=()
if [ "${1:-}" = --long ]; then
  shift
  select=(-m "long or not long")
fi
make_environment test
# Real photo sets, where they lie beside the checkout; tests that need one skip without it.
if [ -z "${SPLATKIT_DATA:-}" ] && [ -d ../shared/data ]; then
  SPLATKIT_DATA=$(cd ../shared/data && pwd)
  export SPLATKIT_DATA
fi
exec "$VENV_PYTHON" -m pytest -q ${select[@]+"${select[@]}"} "$@"
