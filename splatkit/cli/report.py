"""``splatkit report RUN [RUN]``: the page of a run, or of two side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg


@dataclass(frozen=True)
class Command:
    """Write a run's report.html again, or one page that compares two runs."""

    run_folder: Positional[Annotated[Path, arg(name="run", metavar="RUN")]]
    """The run folder."""
    other: Positional[Annotated[Path | None, arg(metavar="OTHER")]] = None
    """A second one, shown beside the first."""
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="FILE")] = None
    """The HTML file. Default: RUN/report.html, with OTHER RUN/report-and-OTHER.html."""

    def run(self) -> None:
        """Write the page, and print where it is."""
        from splatkit.train.report import write_report
        from splatkit.train.run_folder import RunFolder

        runs = [self.run_folder] if self.other is None else [self.run_folder, self.other]
        path = self.output or RunFolder(self.run_folder).report
        if self.output is None and self.other is not None:
            path = path.with_name(f"report-and-{self.other.resolve().name}.html")
        print(write_report(runs, path))
