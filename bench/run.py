#!/usr/bin/env python3
"""Measures Norn beside the limits of the machine and beside other queues; bench/README.md says what each number means.

The results go to bench/results/<date>-<kind of machine>.md and .json.
"""

import argparse
import datetime
import os
import shlex
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)


def arguments():
    p = argparse.ArgumentParser(description="Measures Norn beside the limits of this machine and beside other queues.")
    p.add_argument("--quick", action="store_true", help="small sizes: less than 3 minutes instead of 25")
    p.add_argument("--only", metavar="NAME", action="append", help="only this scenario; may be repeated (see --list)")
    p.add_argument("--list", action="store_true", help="name the scenarios")
    p.add_argument("--build", metavar="DIR", help="directory of the programs [build, or NORN_BUILDDIR]")
    p.add_argument("--cache", metavar="DIR", help="where packages to compare with are installed [.norn/bench]")
    p.add_argument("--out", metavar="DIR", default=os.path.join(HERE, "results"), help="where results go [bench/results]")
    p.add_argument("--no-fsync", action="store_true", help="PostgreSQL without durability, for all that is measured")
    return p.parse_args()


args = arguments()
SRC = os.path.dirname(HERE)
os.environ["NORN_SRCDIR"] = SRC
if args.build:
    os.environ["NORN_BUILDDIR"] = os.path.abspath(args.build)
elif not os.environ.get("NORN_BUILDDIR"):
    os.environ["NORN_BUILDDIR"] = os.path.join(SRC, "build")  # never the sanitizers' build

from measure import growth, latency, limits, machine, memory, peers, query, scale, shapes, sites, throughput  # noqa: E402
from measure.results import Results, write  # noqa: E402

# name, section and title for what goes wrong, function. Limits and peers come first: the others refer to them.
SCENARIOS = (
    ("pgbench", limits.SECTION, limits.PGBENCH, limits.pgbench),
    ("spawn", limits.SECTION, limits.SPAWN_MANY, limits.spawn),
    ("peers", peers.SECTION, "graphile-worker and pg-boss", peers.measure),
    ("inprocess", throughput.SECTION, throughput.INPROCESS, throughput.inprocess),
    ("real", throughput.SECTION, throughput.REAL, throughput.real),
    ("submit", throughput.SECTION, throughput.SUBMIT, throughput.submit),
    ("latency", latency.SECTION, "dispatch", latency.measure),
    ("query", query.SECTION, "requests", query.measure),
    ("memory", memory.SECTION, "a node with active jobs", memory.measure),
    ("growth", growth.SECTION, "history and a long queue", growth.measure),
    ("shapes", shapes.SECTION, "wide and deep jobs", shapes.wide_and_deep),
    ("airflow", shapes.AIRFLOW, "Airflow's scenarios", shapes.airflow),
)


class Bench:
    """What the scenarios share."""

    def __init__(self):
        self.scale = scale.QUICK if args.quick else scale.FULL
        self.results = Results()
        self.build = os.environ["NORN_BUILDDIR"]
        self.cache = os.path.abspath(args.cache or os.path.join(SRC, ".norn/bench"))
        self.start = time.monotonic()
        self.cluster = None
        self.peers = None  # directory of their installation
        self.versions = {}
        self.others = []  # cores that others kept busy, before each scenario

    def out_of_time(self, section, what):
        if time.monotonic() - self.start < self.scale.total_s:
            return False
        self.results.skipped(section, what, f"the time of this run ({self.scale.total_s} s) was over")
        return True


def run_scenario(bench, name, section, title, function):
    if bench.out_of_time(section, title):
        return
    bench.cluster.settle()
    others = machine.busy_cores()
    bench.others.append(others)
    print(f"{section} ({name}); others keep {others:.2f} cores busy", flush=True)
    first = len(bench.results.rows)
    began = time.monotonic()
    try:
        function(bench)
    except (Exception, SystemExit) as e:  # pylint: disable=broad-except
        bench.results.failed(section, title, f"{type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''}")
        traceback.print_exc()
    for r in bench.results.rows[first:]:
        r["others"] = others
    print(f"  ({time.monotonic() - began:.0f} s)", flush=True)


def versions(bench):
    settings = bench.cluster.psql("postgres", "SELECT version()")[0][0].split(",")[0].split(" on ")[0]
    return {"nornd": machine.version_of(os.path.join(bench.build, "nornd"), "--version"), "PostgreSQL": settings,
            "pgbench": machine.version_of("pgbench", "--version"), **bench.versions}


def head_of(bench, when):
    commit, changed = machine.commit(SRC)
    worst = max(bench.others, default=0.0)
    about = machine.describe()
    mean = sum(bench.others) / max(1, len(bench.others))
    head = {
        "date": when.strftime("%Y-%m-%d %H:%M UTC"), "mode": bench.scale.name, "machine": about, "commit": commit,
        "changed": changed, "versions": versions(bench),
        "settings": ", ".join(f"{k}={v}" for k, v in bench.cluster.settings.items()) + "; all else as it comes",
        "load": f"{mean:.2f} cores busy on average before a scenario, at most {worst:.2f}; "
                f"load average {bench.load:.2f} at the beginning",
        "took_s": time.monotonic() - bench.start, "command": shlex.join(["./dev", "bench", *told()]),
    }
    if mean > 0.1 * about["cores"]:
        head["warning"] = (f"Others used {mean:.2f} of {about['cores']} cores while this ran: absolute numbers are too "
                           "low, ratios uncertain.")
    return head


def told():
    """The arguments without the places of this machine."""
    out = ["--quick"] if args.quick else []
    out += ["--no-fsync"] if args.no_fsync else []
    for name in args.only or []:
        out += ["--only", name]
    return out


def main():
    if args.list:
        print("\n".join(s[0] for s in SCENARIOS))
        return 0
    unknown = set(args.only or []) - {s[0] for s in SCENARIOS}
    if unknown:
        print(f"bench: no scenario {', '.join(sorted(unknown))}; there are {', '.join(s[0] for s in SCENARIOS)}",
              file=sys.stderr)
        return 2
    for program in ("nornd", "norn", "norn-run", "norn-component", "bench/spawn"):
        if not os.access(os.path.join(os.environ["NORN_BUILDDIR"], program), os.X_OK):
            print(f"bench: {program} is not built; ./dev build does it", file=sys.stderr)
            return 2
    bench = Bench()
    bench.load = machine.load_average()
    when = datetime.datetime.now(datetime.timezone.utc)
    if not args.only or "peers" in args.only:
        bench.versions = peers.install(bench) or {}
        bench.start = time.monotonic()  # an installation happens once
    bench.cluster = sites.Cluster(durable=not args.no_fsync)
    for s in SCENARIOS:
        if not args.only or s[0] in args.only:
            run_scenario(bench, *s)
    head = head_of(bench, when)
    name = f"{when:%Y-%m-%d}-{machine.kind(head['machine'])}{'-quick' if args.quick else ''}"
    path = write(args.out, name, head, bench.results)
    print(f"{path}: {len(bench.results.rows)} numbers in {head['took_s']:.0f} s")
    return 1 if bench.results.bad() else 0


if __name__ == "__main__":
    sys.exit(main())
