"""How many no-op tasks a site gets done, and how many jobs it takes in."""

import json
import os
import subprocess
import threading

from . import limits, machine, peers, sites

SECTION = "Throughput"
INPROCESS = "no-op tasks in the node, jobs of 10 in a row"
REAL = "no-op processes, jobs of 10 in a row"
SUBMIT = "submitted jobs of 10 tasks"
CORES = {"resources.cores": 256}


def has_inprocess(bench):
    r = subprocess.run([os.path.join(bench.build, "nornd"), "--help-config"], capture_output=True, text=True, check=False)
    return "inprocess_noop" in r.stdout


def run_jobs(bench, dag, tasks_each, jobs, nodes=1, conf=None, limit_s=60):
    """Adds the jobs, then lets the nodes work them off: (tasks per second, note, cores busy)."""
    with sites.Bed(nodes=nodes, conf={**CORES, **(conf or {})}) as bed:
        api = bed.open_front()
        ids, refused, _ = sites.submit_many(api.port, dag, jobs, deadline_s=limit_s)
        if refused:
            raise RuntimeError(f"{len(refused)} of {jobs} jobs were refused: {refused[0]}")
        sites.end_node(bed.front)
        bed.site.psql("ANALYZE")
        bench.cluster.settle()
        cpu = machine.Cpu()
        bed.start_nodes()
        rate, note = sites.drain(bed, 0, len(ids) * tasks_each, limit_s)
        return rate, note, cpu.cores()


def name_for(base, nodes):
    return base if nodes == 1 else f"{base}, {nodes} nodes"


def inprocess(bench):
    if not has_inprocess(bench):
        bench.results.skipped(SECTION, INPROCESS, "this nornd has no exec.inprocess_noop")
        return
    conf = {"exec.inprocess_noop": True}
    for nodes in bench.scale.nodes:
        if bench.out_of_time(SECTION, name_for(INPROCESS, nodes)):
            continue
        rate, note, busy = run_jobs(bench, sites.chain(), sites.CHAIN, bench.scale.inprocess_jobs, nodes, conf,
                                    bench.scale.run_limit_s)
        places = [(limits.SECTION, limits.PGBENCH, "pgbench")]
        for batched in (False, True):
            for chains in (True, False):
                best = peers.fastest(bench, batched, chains)
                if best:
                    suffix = peers.CHAINS if chains else ""
                    places.append((peers.SECTION, best[1] + suffix, best[1] + suffix))
        more = {}
        if nodes == 1:
            pg = bench.results.value(limits.SECTION, limits.PGBENCH)
            plain = bench.results.value(peers.SECTION, peers.GRAPHILE_PLAIN)
            more["budget"] = "at least pgbench's rate and graphile-worker's plain rate"
            if pg:
                more["ok"] = rate >= pg and (plain is None or rate >= plain)
        else:
            places.append((SECTION, INPROCESS, "one node"))
        bench.results.add(SECTION, name_for(INPROCESS, nodes), rate, "tasks/s", ratios=bench.results.ratio(rate, *places),
                          note=note, cores_busy=busy, jobs=bench.scale.inprocess_jobs, **more)


def real(bench):
    for nodes in bench.scale.real_nodes:
        if bench.out_of_time(SECTION, name_for(REAL, nodes)):
            continue
        rate, note, busy = run_jobs(bench, sites.chain(), sites.CHAIN, bench.scale.real_jobs, nodes, None,
                                    bench.scale.run_limit_s)
        places = [(limits.SECTION, limits.SPAWN_MANY, "bare processes"),
                  (limits.SECTION, limits.LAUNCH_MANY, "processes through norn-run")]
        ratios = bench.results.ratio(rate, *places)
        more = {}
        if nodes == 1:
            more["budget"] = "at least 0.3 x bare processes"
            if "bare processes" in ratios:
                more["ok"] = ratios["bare processes"] >= 0.3
        else:
            ratios.update(bench.results.ratio(rate, (SECTION, REAL, "one node")))
        bench.results.add(SECTION, name_for(REAL, nodes), rate, "tasks/s", ratios=ratios, note=note, cores_busy=busy,
                          jobs=bench.scale.real_jobs, **more)


def submit(bench):
    """Clients that submit as fast as they are answered; nobody works on the jobs meanwhile."""
    with sites.Bed(nodes=0) as bed:
        api = bed.open_front()
        sites.submit_many(api.port, sites.chain(), 20)
        bench.cluster.settle()
        for connections in (1, 8):
            n = bench.scale.submit_jobs
            cpu = machine.Cpu()
            ids, refused, seconds = sites.submit_many(api.port, sites.chain(), n, connections, bench.scale.run_limit_s)
            note = f"{len(refused)} refused: {refused[0]}" if refused else None
            what = f"{SUBMIT}, {connections} connection{'s' if connections > 1 else ''}"
            bench.results.add(SECTION, what, len(ids) / seconds, "jobs/s", note=note, cores_busy=cpu.cores())
    burst(bench)


def burst(bench):
    """Jobs submitted at the same moment, each over a connection of its own."""
    n = 50
    with sites.Bed(nodes=1, conf=CORES) as bed:
        port = bed.start_nodes().port
        body = json.dumps({"dag_schema": sites.chain(1)}).encode()
        gate = threading.Barrier(n)
        accepted = []

        def one():
            client = sites.Client(port)
            try:
                gate.wait()
                if client.post("/v2/job/submit", body).get("code") == 0:
                    accepted.append(1)
            except OSError:
                pass
            finally:
                client.close()

        threads = [threading.Thread(target=one) for _ in range(n)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        sites.wait_over(bed.site, 0, 30)
        good, _, _ = sites.progress(bed.site, 0)
        bench.results.add(SECTION, f"{n} jobs submitted at once, accepted", len(accepted), "jobs",
                          note=f"{good} of them succeeded", budget="none refused", ok=len(accepted) == n and good == n)

