"""Output of every benchmark: the machine, and tables with median and spread."""

import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path


def machine() -> str:
    """One line that names the machine: processor, cores, memory, Python."""
    processor = platform.processor() or platform.machine()
    memory_gib = 0.0
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
        processor = names[0] if names else processor
        memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{processor}, {os.cpu_count()} cores, {memory_gib:.0f} GiB, Python {platform.python_version()}"


def spread(values: Sequence[float], digits: int = 0) -> str:
    """`median (lowest-highest)` of repeated measurements."""
    shown = f"{statistics.median(values):,.{digits}f}"
    if len(values) > 1:
        shown += f" ({min(values):,.{digits}f}-{max(values):,.{digits}f})"
    return shown


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table in Markdown, so that it can be pasted into a document as it is."""
    print(f"\n{title}\n{machine()}\n")
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join([str(cell) for cell in row]) + " |")


def resident_mib(pid: int) -> float:
    """Resident memory of a process now, MiB (Linux)."""
    return _status_mib(pid, "VmRSS:")


def anonymous_mib(pid: int) -> float:
    """Memory of a process now without files that it maps (LevelDB maps its own), MiB (Linux)."""
    return _status_mib(pid, "RssAnon:")


def peak_resident_mib(pid: int) -> float:
    """Highest resident memory of a process so far, MiB (Linux)."""
    return _status_mib(pid, "VmHWM:")


def _status_mib(pid: int, field: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
