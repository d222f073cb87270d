"""Anonymous memory of this process, and its peak: what benchmarks measure memory by."""

from __future__ import annotations

import threading
import time
from pathlib import Path


def anonymous() -> int:
    """Bytes of anonymous memory that this process holds."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise ValueError("this needs Linux: /proc/self/status has no RssAnon")


class Peak(threading.Thread):
    """The most anonymous memory seen while it runs."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self.going = anonymous(), True

    def run(self) -> None:
        while self.going:
            self.most = max(self.most, anonymous())
            time.sleep(0.001)

    def end(self) -> int:
        self.going = False
        self.join()
        return max(self.most, anonymous())
