"""``report.html``: a run, or two beside each other, as one page that needs nothing but itself."""

from splatkit.train.report.page import write_report

__all__ = ["write_report"]
