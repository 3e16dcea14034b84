"""What README shows as code runs as it stands there."""

import re
from pathlib import Path

from tests.scenes import write_run

README = Path(__file__).parents[1] / "README.md"


def test_the_library_example_runs(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert "runs/quickstart" in code
    names: dict[str, object] = {}
    exec(code.replace("runs/quickstart", str(write_run(tmp_path / "balls"))), names)
    gaussians = names["gaussians"]
    assert gaussians.means.grad.abs().sum() > 0  # pyright: ignore[reportAttributeAccessIssue]
