"""Dispatch: from the end of a task to the start of the process of the one behind it, two parties at two sites."""

import os
import statistics
import subprocess

from . import limits, shapes, sites

SECTION = "Dispatch on idle sites, two parties"

# One row a task: its number and the times in seconds that this site saw, and the party's files.
RUNS = """
    SELECT task_no, extract(epoch FROM start_at), extract(epoch FROM end_at),
           format('%s/%s/%s/%s/%s/stdout', job_id, role, party_id, task_name, attempt)
      FROM norn.party_task WHERE job_id = '{}' AND party_status = 'success' ORDER BY task_no"""


def born(paths):
    """When the files were made, in seconds. The supervisor of a run makes the log of its output as it begins."""
    r = subprocess.run(["stat", "-c", "%.9W", *paths], capture_output=True, text=True, check=True)
    return [float(x) for x in r.stdout.split()]


def hops(bed, job_id):
    """(claimed, started) of every task but the first, in seconds after all parties had ended the one before it."""
    seen = {}
    for site in bed.fed.sites.values():
        rows = site.psql(RUNS.format(job_id))
        started = born([os.path.join(site.dir, "logs", r[3]) for r in rows])
        for r, s in zip(rows, started):
            seen.setdefault(int(r[0]), []).append((float(r[1]), s, float(r[2])))
    out = []
    for no in sorted(seen):
        if no > 0 and len(seen[no]) == len(seen.get(no - 1, ())) == len(bed.fed.sites):
            parent_end = max(end for _, _, end in seen[no - 1])
            out += [(claimed - parent_end, started - parent_end) for claimed, started, _ in seen[no]]
    return out


def percentile(values, p):
    v = sorted(values)
    return v[min(len(v) - 1, int(p * len(v)))]


def measure(bench):
    length = bench.scale.latency_length
    claimed, started = [], []
    with sites.Bed(sites=("guest", "host")) as bed:
        api = bed.start_all()
        dag = sites.chain(length, parties=("guest", "host"))
        for i in range(bench.scale.latency_jobs + 1):
            before = bed.last_job_no()
            job_id, _ = shapes.submit_one(api, dag)
            if not sites.wait_over(bed.site, before, bench.scale.run_limit_s):
                raise RuntimeError(f"job {i} was not over in {bench.scale.run_limit_s} s")
            shapes.seconds_of(bed, job_id)
            if i > 0:  # the first one warms up
                for c, s in hops(bed, job_id):
                    claimed.append(c)
                    started.append(s)
    if not started:
        raise RuntimeError("no transition was seen")
    bare = bench.results.value(limits.SECTION, limits.SPAWN_ONE)
    process_ms = 1e3 / bare if bare else 0.0
    rows = [("p50", statistics.median, 5), ("p99", lambda v: percentile(v, 0.99), 20)]
    note = f"{len(started)} starts"
    for name, f, limit_ms in rows:
        bench.results.add(SECTION, f"end of the task before, to claimed, {name}", 1e3 * f(claimed), "ms", note=note)
        value = 1e3 * f(started)
        ok = value - process_ms < limit_ms if bare else None
        bench.results.add(SECTION, f"end of the task before, to process started, {name}", value, "ms", note=note,
                          ratios={"a bare process": value / process_ms} if bare else None,
                          budget=f"under {limit_ms} ms beyond the start of a process", ok=ok)
