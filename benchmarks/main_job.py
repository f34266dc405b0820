"""Time and peak memory of the main job, step by step, each in a process of its own on a fresh home folder.

Usage: .venv/bin/python benchmarks/main_job.py [--data FOLDER_WITH_olist_AND_online_retail] [--scenario default]
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def measured(arguments: list[str], home: Path) -> tuple[float, float]:
    """Wall seconds and peak memory (MB) of one `ordercast` command on this home folder; it must succeed."""
    command = [str(Path(sys.executable).with_name("ordercast")), *arguments]
    environment = os.environ | {"ORDERCAST_HOME": str(home)}
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{errors.decode()}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder that holds olist/ and online_retail/")
    parser.add_argument("--scenario", default="default")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| command | wall s | against first run | peak MB |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        merchants = {
            "simulated": [["simulate", "--scenario", options.scenario], ["run"], ["run"], ["simulate", "--continue", "1"], ["run"]]
        }
        for name in ("olist", "online_retail"):
            if options.data:
                merchants[name] = [["import", name, str(options.data / name)], ["run"], ["run"]]
        for merchant, commands in merchants.items():
            first_run = None
            for command in commands:
                seconds, peak = measured(command, Path(folder) / merchant)
                first_run = first_run or (seconds if command == ["run"] else None)
                ratio = f"{seconds / first_run:.2f}x" if first_run else "-"
                shown = " ".join(Path(word).name if "/" in word else word for word in command)
                print(f"| {merchant}: {shown} | {seconds:.1f} | {ratio} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
