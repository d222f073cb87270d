"""A run as one self-contained page that needs no network: curves, figures, settings, samples, machine."""

from weft.training.report.compare import compare
from weft.training.report.page import PAGE, write_report

__all__ = ["PAGE", "compare", "write_report"]
