"""``report.html``: a run, or two beside each other, as one page that needs nothing but itself."""

from splatkit.train.report.page import publish, write_report

__all__ = ["publish", "write_report"]
