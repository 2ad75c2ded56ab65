"""Two job queues on the same PostgreSQL, for comparison: graphile-worker and pg-boss."""

import json
import os
import shutil
import subprocess

from . import machine, sites

SECTION = "Other queues on this PostgreSQL"
GRAPHILE_PLAIN = "graphile-worker, plain"
GRAPHILE_BATCHED = "graphile-worker, batched"
BOSS_PLAIN = "pg-boss, plain"
BOSS_BATCHED = "pg-boss, batched"
PACKAGES = ("graphile-worker", "pg-boss", "pg")
CHAINS = ", chains of 10"

# what, program, settings, number of jobs as an attribute of the scale
RUNS = (
    (GRAPHILE_PLAIN, "graphile", "plain", "peer_jobs"),
    (GRAPHILE_BATCHED, "graphile", "batched", "peer_jobs_batched"),
    ("pg-boss, work() as it comes", "pgboss", "default", "peer_jobs"),
    (BOSS_PLAIN, "pgboss", "plain", "peer_jobs"),
    (BOSS_BATCHED, "pgboss", "batched", "peer_jobs_batched"),
)


def install(bench):
    """Installs the pinned versions below the cache directory; their versions, or None when it cannot be done."""
    here = os.path.join(sites.SRC, "bench/peers")
    there = os.path.join(bench.cache, "peers")
    os.makedirs(there, exist_ok=True)
    with open(os.path.join(here, "package.json"), encoding="utf-8") as f:
        wanted = f.read()
    stamp = os.path.join(there, "installed")
    if not os.path.exists(stamp) or open(stamp, encoding="utf-8").read() != wanted:
        if shutil.which("npm") is None:
            return None
        shutil.copy(os.path.join(here, "package.json"), there)
        print("  installing the packages of bench/peers/package.json", flush=True)
        r = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"], cwd=there,
                           capture_output=True, text=True, check=False, timeout=300)
        if r.returncode != 0:
            print("  npm install: " + r.stderr.strip()[-300:], flush=True)
            return None
        with open(stamp, "w", encoding="utf-8") as f:
            f.write(wanted)
    bench.peers = there
    versions = {"Node.js": machine.version_of(os.path.join(there, "node_modules/.bin/node"), "--version")}
    for name in PACKAGES:
        with open(os.path.join(there, "node_modules", name, "package.json"), encoding="utf-8") as f:
            versions[name] = json.load(f)["version"]
    return versions


def run_once(bench, program, settings, shape, n):
    bench.cluster.fresh("bench_peer")
    bench.cluster.settle()
    limit = bench.scale.peer_limit_s
    cpu = machine.Cpu()
    r = subprocess.run(["node_modules/.bin/node", os.path.join(sites.SRC, f"bench/peers/{program}.mjs"), settings, shape,
                        str(n), str(limit)], cwd=bench.peers, env=bench.cluster.environment("bench_peer"),
                       capture_output=True, text=True, check=False, timeout=limit * 2 + 30)
    busy = cpu.cores()
    bench.cluster.command("dropdb", "bench_peer")
    bench.results.command(f"node bench/peers/{program}.mjs {settings} {shape} {n} {limit}")
    if r.returncode != 0:
        raise RuntimeError(f"{program}: " + (r.stderr or r.stdout).strip()[-300:])
    return json.loads(r.stdout.strip().splitlines()[-1]), busy


def measure(bench):
    if bench.peers is None:
        bench.results.skipped(SECTION, "graphile-worker and pg-boss", "npm is missing or could not install them")
        return
    for what, program, settings, size in RUNS:
        for shape, suffix in (("jobs", ""), ("chains", CHAINS)):
            if bench.out_of_time(SECTION, what + suffix):
                continue
            n = getattr(bench.scale, size)
            if shape == "chains":
                if settings == "default":
                    continue
                n = max(1, n // sites.CHAIN)
            try:
                got, busy = run_once(bench, program, settings, shape, n)
            except (RuntimeError, OSError, subprocess.TimeoutExpired, ValueError, IndexError) as e:
                bench.results.failed(SECTION, what + suffix, str(e))
                continue
            note = None
            if got["done"] < got["expected"]:
                note = f"{got['done']} of {got['expected']} in {got['run_s']:.0f} s"
            bench.results.add(SECTION, what + suffix, got["done"] / got["run_s"], "jobs/s", note=note, jobs=got["expected"],
                              added_per_s=got["added"] / got["add_s"], cores_busy=busy)


def fastest(bench, batched, chains):
    """(name, jobs per second) of the faster one, or None."""
    names = (GRAPHILE_BATCHED, BOSS_BATCHED) if batched else (GRAPHILE_PLAIN, BOSS_PLAIN)
    found = [(bench.results.value(SECTION, n + (CHAINS if chains else "")), n) for n in names]
    found = [x for x in found if x[0]]
    return max(found) if found else None
