#!/usr/bin/env sh
# Start-up: `weft --help` (five runs), and what `import weft` and its model registry add to `import torch`.
#   sh benchmarks/startup.sh [PYTHON]
python="${1:-.venv/bin/python}"
"$python" - <<'PY'
import subprocess, sys, time
for command in (["-m", "weft", "--help"], ["-c", "import torch"], ["-c", "import torch, weft"], ["-c", "import torch, weft; weft.Blueprint"]):
    times = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    print(f"{' '.join(command):<44} median {sorted(times)[2]:.3f} s   ({min(times):.3f} to {max(times):.3f})")
PY
