"""What becomes of freed memory, in a process of its own."""

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch, weft
kept, faults = weft.keep_memory(), []
for _ in range(30):  # it takes some until the pieces fit
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.empty(2**23).fill_(1)  # 32 MB
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(kept, faults[-1])
"""


def told(**environment: str) -> tuple[str, int]:
    clean = {name: value for name, value in os.environ.items() if "MALLOC" not in name and name != "GLIBC_TUNABLES"}
    command = [sys.executable, "-c", FAULTS]
    done = subprocess.run(command, env=clean | environment, capture_output=True, text=True, check=True)
    kept, faults = done.stdout.split()
    return kept, int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library, whose memory is not spoken of")
def test_memory_is_used_again_unless_the_environment_says_something_of_it() -> None:
    kept, faults = told()
    assert kept == "True" and faults < 100
    kept, faults = told(MALLOC_TRIM_THRESHOLD_="131072")
    assert kept == "False" and faults > 8000
