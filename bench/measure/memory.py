"""How large a node grows with many jobs that are not over."""

import time

from . import machine, sites

SECTION = "Memory"


def measure(bench):
    """There are cores for all jobs, so that all of them start; their tasks wait for one of a few processes that sleep."""
    n = bench.scale.active_jobs
    with sites.Bed(conf={"exec.max_runs": 2, "resources.cores": n}) as bed:
        api = bed.start_nodes()
        pid = bed.site.nodes[0].process.pid
        before, _ = machine.memory_kb(pid)
        dag = sites.job({"t0": sites.noop(sleep_ms=3600000)}, parties=("guest",))
        ids, refused, _ = sites.submit_many(api.port, dag, n, deadline_s=2 * bench.scale.run_limit_s)
        end = time.monotonic() + bench.scale.run_limit_s
        running = 0
        while running < len(ids) and time.monotonic() < end:
            time.sleep(0.5)
            running = int(bed.site.psql("SELECT count(*) FROM norn.job WHERE status = 'running'")[0][0])
        time.sleep(2)
        after, peak = machine.memory_kb(pid)
        note = f"{running} jobs running" + (f", {len(refused)} refused: {refused[0]}" if refused else "")
        bench.results.add(SECTION, "a node before any job", before / 1024, "MiB")
        limit = 64
        bench.results.add(SECTION, f"a node with {len(ids)} active jobs", after / 1024, "MiB", note=note,
                          ratios={"before": after / before} if before else None,
                          budget=f"under {limit} MiB with 10 000 active jobs",
                          ok=(after < limit * 1024 and running == len(ids)) if n >= 10000 else None)
        bench.results.add(SECTION, "its peak", peak / 1024, "MiB")
