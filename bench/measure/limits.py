"""What the machine can do at most: the same writes by pgbench, and bare processes."""

import os
import re
import subprocess

from . import machine, sites

SECTION = "Limits of the machine"
PGBENCH = "pgbench, claim + finish + two history rows"
SPAWN_ONE = "bare processes, one at a time"
SPAWN_MANY = "bare processes, 4 at once"
LAUNCH_MANY = "through norn-run, 4 at once"


def pgbench_once(bench, clients, tasks):
    cluster = bench.cluster
    cluster.fresh("bench_limits")
    env = cluster.environment("bench_limits")
    here = os.path.join(sites.SRC, "bench/pgbench")
    subprocess.run(["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-v", f"tasks={tasks}", "-f", here + "/tables.sql"], env=env,
                   check=True, capture_output=True, timeout=60)
    each = tasks // clients
    command = ["pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-t", str(each)]
    cpu = machine.Cpu()
    r = subprocess.run([*command, "-f", here + "/claim_finish.sql"], env=env, capture_output=True, text=True,
                       check=False, timeout=bench.scale.pgbench_timeout_s)
    busy = cpu.cores()
    cluster.command("dropdb", "bench_limits")
    bench.results.command(" ".join([*command, "-f", "bench/pgbench/claim_finish.sql"]))
    m = re.search(r"tps = ([\d.]+)", r.stdout)
    if r.returncode != 0 or m is None:
        raise RuntimeError("pgbench: " + (r.stderr or r.stdout).strip()[-300:])
    return float(m.group(1)), busy


def pgbench(bench):
    best = None
    for clients in bench.scale.pgbench_clients:
        tasks = bench.scale.pgbench_tasks * clients // max(bench.scale.pgbench_clients)
        rate, busy = pgbench_once(bench, clients, tasks)
        bench.results.add(SECTION, f"pgbench, {clients} clients", rate, "tasks/s", cores_busy=busy)
        if best is None or rate > best[0]:
            best = rate, busy, clients
    bench.results.add(SECTION, PGBENCH, best[0], "tasks/s", cores_busy=best[1], note=f"the best: {best[2]} clients")


def spawn(bench):
    n = bench.scale.spawn_processes
    r = subprocess.run([os.path.join(bench.build, "bench/spawn"), str(n), "4", os.path.join(bench.build, "norn-run")],
                       capture_output=True, text=True, check=False, timeout=120)
    bench.results.command(f"bench/spawn {n} 4 ./norn-run")
    found = re.findall(r"(\d+) at once: bare\s+(\d+)/s.*?launched\s+(\d+)/s", r.stdout)
    if r.returncode != 0 or len(found) != 2:
        raise RuntimeError("bench/spawn: " + (r.stderr or r.stdout).strip()[-300:])
    for (_, bare, launched), bare_name, launched_name in zip(
            found, (SPAWN_ONE, SPAWN_MANY), ("through norn-run, one at a time", LAUNCH_MANY)):
        bench.results.add(SECTION, bare_name, float(bare), "processes/s")
        bench.results.add(SECTION, launched_name, float(launched), "processes/s",
                          ratios={"bare": float(launched) / float(bare)})
