"""The same work with years of history and a long queue in the tables."""

import os
import statistics
import subprocess
import time

from . import shapes, sites, throughput

SECTION = "Growth"
EMPTY = "no-op tasks, empty database"
STEP = 25000  # copies in one transaction
FIRST_COPY = 1000000000  # their numbers, see bench/sql/clone.sql


def clone(bench, site, job_id, n, limit_s):
    """Copies of the job; returns how many there was time for."""
    start = time.monotonic()
    made = 0
    while made < n and time.monotonic() - start < limit_s:
        to = min(n, made + STEP)
        subprocess.run(["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-v", f"job_id={job_id}", "-v", f"from={made + 1}", "-v",
                        f"to={to}", "-f", os.path.join(sites.SRC, "bench/sql/clone.sql")], check=True, capture_output=True,
                       env=bench.cluster.environment(site.database), timeout=300)
        made = to
    return made


def measured_jobs(bench, bed, limit_s):
    """Adds jobs through the front while no node works, then works them off."""
    before = int(bed.site.psql(f"SELECT COALESCE(max(job_no), 0) FROM norn.job WHERE job_no < {FIRST_COPY}")[0][0])
    api = bed.open_front()
    ids, refused, _ = sites.submit_many(api.port, sites.chain(), bench.scale.growth_jobs)
    sites.end_node(bed.front)
    if refused:
        raise RuntimeError(f"refused: {refused[0]}")
    bench.cluster.settle()
    bed.start_nodes()
    where = f"job_no BETWEEN {before + 1} AND {before + len(ids)}"
    end = time.monotonic() + limit_s
    while bed.site.psql(f"SELECT EXISTS (SELECT 1 FROM norn.job_work WHERE {where})") == [["t"]]:
        if time.monotonic() > end:
            break
        time.sleep(0.4)
    row = bed.site.psql(
        "SELECT count(*), extract(epoch FROM max(t.end_at) - (SELECT min(start_at) FROM norn.job j WHERE "
        f"j.{where})) FROM norn.task t WHERE t.{where} AND t.status = 'success'")[0]
    for n in bed.site.nodes:
        sites.end_node(n)
    good, expected = int(row[0]), len(ids) * sites.CHAIN
    if good == 0:
        raise RuntimeError(f"nothing was run in {limit_s} s")
    return good / float(row[1]), None if good == expected else f"{good} of {expected} tasks in {limit_s:.0f} s"


def rates(bench, bed):
    found = [measured_jobs(bench, bed, bench.scale.run_limit_s) for _ in range(bench.scale.growth_rounds)]
    notes = [n for _, n in found if n]
    return statistics.median(r for r, _ in found), notes[0] if notes else None


def fill(bench, bed):
    """Ended jobs and jobs that wait for more cores than are free: (ended, waiting)."""
    api = bed.start_nodes()
    ended_id = api.submit(sites.chain(1))
    api.wait_job(ended_id)
    if bench.scale.growth_waiting > 0:
        api.submit(sites.job({"hold": sites.noop(sleep_ms=1800000)}, parties=("guest",)))
        wait_for(bed, "SELECT count(*) FROM norn.reservation", "1")
        all_cores = bed.site.psql("SELECT cores FROM norn.engine")[0][0]
        waiting_id = api.submit(sites.job({"t0": sites.noop()}, parties=("guest",), cores=int(all_cores)))
        wait_for(bed, f"SELECT reserve_tries > 0 FROM norn.job WHERE job_id = '{waiting_id}'", "t")
    for n in bed.site.nodes:
        sites.end_node(n)
    ended = clone(bench, bed.site, ended_id, bench.scale.growth_ended, bench.scale.growth_fill_s)
    waiting = 0
    if bench.scale.growth_waiting > 0:
        waiting = clone(bench, bed.site, waiting_id, bench.scale.growth_waiting, bench.scale.growth_fill_s / 2)
    bed.site.psql("VACUUM ANALYZE")
    return ended, waiting


def wait_for(bed, sql, wanted):
    sites.harness.wait_until(sql, lambda: bed.site.psql(sql) == [[wanted]], timeout_s=20)


def measure(bench):
    if not throughput.has_inprocess(bench):
        bench.results.skipped(SECTION, EMPTY, "this nornd has no exec.inprocess_noop")
        return
    with sites.Bed(conf=shapes.CONF) as bed:
        empty, note = rates(bench, bed)
        bench.results.add(SECTION, EMPTY, empty, "tasks/s", note=note)
    with sites.Bed(conf=shapes.CONF) as bed:
        start = time.monotonic()
        ended, waiting = fill(bench, bed)
        bench.results.add(SECTION, "time to write the history and the queue", time.monotonic() - start, "s")
        size = bed.site.psql("SELECT pg_database_size(current_database()) / 1048576")[0][0]
        bench.results.add(SECTION, "size of the database then", int(size), "MiB")
        full, note = rates(bench, bed)
        bench.results.add(SECTION, f"no-op tasks, {ended} ended and {waiting} waiting jobs", full, "tasks/s",
                          ratios={"empty": full / empty}, note=note, budget="at least 0.9 x empty", ok=full >= 0.9 * empty)
