"""The machine, its load, and the versions of what is measured."""

import os
import platform
import re
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")


def first_match(pattern, text, default=""):
    m = re.search(pattern, text, re.MULTILINE)
    return m.group(1).strip() if m else default


def read(path):
    try:
        with open(path, encoding="utf-8") as f:
            return f.read()
    except OSError:
        return ""


def version_of(*command):
    try:
        r = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except OSError:
        return None
    lines = (r.stdout + r.stderr).strip().splitlines()
    return lines[0] if lines else None


def describe():
    cpuinfo = read("/proc/cpuinfo")
    return {
        "cpu": first_match(r"^model name\s*:\s*(.*)$", cpuinfo, platform.machine()),
        "cores": os.cpu_count(),
        "memory_mb": int(first_match(r"^MemTotal:\s*(\d+)", read("/proc/meminfo"), "0")) // 1024,
        "virtual": "hypervisor" in cpuinfo,
        "system": first_match(r'^PRETTY_NAME="?([^"\n]*)', read("/etc/os-release"), platform.system()),
        "kernel": platform.release(),
    }


def kind(machine):
    """A short name of this kind of machine for file names: no host name."""
    cpu = re.sub(r"\(.*?\)|@.*|\b(CPU|Processor|Core|with)\b|\d+-Core", " ", machine["cpu"])
    return f"{machine['cores']}x-" + re.sub(r"[^a-z0-9]+", "-", cpu.lower()).strip("-")


def commit(src):
    """The commit that is measured, and whether the tree differs from it."""

    def git(*args):
        r = subprocess.run(["git", "-C", src, *args], capture_output=True, text=True, check=False)
        return r.stdout.strip() if r.returncode == 0 else ""

    return git("rev-parse", "--short=12", "HEAD"), bool(git("status", "--porcelain", "--", "src", "sql", "include"))


def load_average():
    return os.getloadavg()[0]


class Cpu:
    """Processor time of the whole machine, from when it was made."""

    def __init__(self):
        self.at = time.monotonic()
        self.ticks = self.busy_ticks()

    @staticmethod
    def busy_ticks():
        f = [int(x) for x in read("/proc/stat").splitlines()[0].split()[1:9]]
        return sum(f) - f[3] - f[4]  # all but idle and waiting for disks

    def cores(self):
        """How many cores were busy on average."""
        elapsed = time.monotonic() - self.at
        return (self.busy_ticks() - self.ticks) / TICK / elapsed if elapsed > 0 else 0.0


def busy_cores(seconds=0.5):
    """Cores that others keep busy; call it while the benchmark does nothing."""
    cpu = Cpu()
    time.sleep(seconds)
    return cpu.cores()


def memory_kb(pid):
    """(resident now, its peak)"""
    text = read(f"/proc/{pid}/status")
    return int(first_match(r"^VmRSS:\s*(\d+)", text, "0")), int(first_match(r"^VmHWM:\s*(\d+)", text, "0"))
