"""Khronos' validator of glTF (npm: gltf-validator 2.0.0-dev.3.10, Apache-2.0).

``SPLATKIT_GLTF_VALIDATOR`` is the folder of the package.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

VALIDATE = """
const fs = require('fs'), path = require('path'), validator = require(process.argv[1]);
const file = process.argv[2];
const load = uri => Promise.resolve(
  new Uint8Array(fs.readFileSync(path.join(path.dirname(file), decodeURIComponent(uri)))));
validator.validateBytes(new Uint8Array(fs.readFileSync(file)),
  {maxIssues: 1000, externalResourceFunction: load})
  .then(report => console.log(JSON.stringify(report.issues.messages)));
"""


def issues_of(path: Path) -> list[dict[str, Any]]:
    """Everything that it has to say about a file; skips the test where it is not installed."""
    node, validator = shutil.which("node"), os.environ.get("SPLATKIT_GLTF_VALIDATOR")
    if node is None:
        pytest.skip("node is not installed")
    if not validator or not Path(validator).is_dir():
        pytest.skip("SPLATKIT_GLTF_VALIDATOR does not name the folder of gltf-validator")
    done = subprocess.run(
        [node, "-e", VALIDATE, validator, str(path)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)
