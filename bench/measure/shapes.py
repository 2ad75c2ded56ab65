"""Jobs of other shapes: very wide, very deep, and the scenarios that Airflow's authors published."""

import json
import statistics
import time

from . import sites, throughput

SECTION = "Shapes"
AIRFLOW = "Airflow's scenarios"
SMALL = "a job of 10 tasks alone, per task"
CORES_IN_ALL = 1024
CONF = {"exec.inprocess_noop": True, "resources.cores": CORES_IN_ALL}


def submit_one(api, dag):
    """(job id, seconds of the call)"""
    body = json.dumps({"dag_schema": dag}).encode()
    client = sites.Client(api.port)
    try:
        start = time.monotonic()
        answer = client.post("/v2/job/submit", body)
        seconds = time.monotonic() - start
    finally:
        client.close()
    if answer.get("code") != 0:
        raise RuntimeError(f"refused: {answer.get('message')}")
    return answer["job_id"], seconds


def seconds_of(bed, job_id):
    """From the submission of a job to its end."""
    row = bed.site.psql("SELECT status, extract(epoch FROM end_at - submitted_at) FROM norn.job "
                        f"WHERE job_id = '{job_id}'")[0]
    if row[0] != "success":
        raise RuntimeError(f"the job is {row[0]}")
    return float(row[1])


def alone(bed, api, dag, limit_s):
    """Runs one job on the idle site: (seconds to submit, seconds of the job)."""
    before = bed.last_job_no()
    job_id, submitted_s = submit_one(api, dag)
    if not sites.wait_over(bed.site, before, limit_s):
        good, _, _ = sites.progress(bed.site, before)
        raise RuntimeError(f"not over in {limit_s:.0f} s; {good} tasks succeeded")
    return submitted_s, seconds_of(bed, job_id)


def wide_and_deep(bench):
    if not throughput.has_inprocess(bench):
        bench.results.skipped(SECTION, "wide and deep jobs", "this nornd has no exec.inprocess_noop")
        return
    limit_s = bench.scale.run_limit_s
    with sites.Bed(conf=CONF) as bed:
        api = bed.start_nodes()
        alone(bed, api, sites.chain(), limit_s)
        small = statistics.median(alone(bed, api, sites.chain(), limit_s)[1] for _ in range(bench.scale.small_jobs))
        bench.results.add(SECTION, SMALL, 1e3 * small / sites.CHAIN, "ms")
        length = bench.scale.deep
        deep_job(bench, bed, api, length, small / sites.CHAIN, limit_s)
    wide_job(bench, bench.scale.wide, limit_s)


def deep_job(bench, bed, api, length, small_task_s, limit_s):
    what = f"a chain of {length} tasks"
    try:
        submitted_s, job_s = alone(bed, api, sites.chain(length), limit_s)
    except RuntimeError as e:
        bench.results.failed(SECTION, what, str(e))
        return
    per_task = job_s / length
    bench.results.add(SECTION, what + ", submit", submitted_s, "s", budget="under 1 s", ok=submitted_s < 1)
    bench.results.add(SECTION, what + ", per task", 1e3 * per_task, "ms",
                      ratios={"a 10-task chain": per_task / small_task_s}, budget="within 1.2 x of a 10-task job", ok=per_task <= 1.2 * small_task_s)


def wide_job(bench, width, limit_s):
    """Beside as many tasks in jobs of ten: only there is the node as busy as with one wide job."""
    what = f"a DAG of {width} tasks"
    try:
        jobs_rate, note, _ = throughput.run_jobs(bench, sites.fan(sites.CHAIN, 4), sites.CHAIN, width // sites.CHAIN, 1,
                                                 CONF, limit_s)
        with sites.Bed(conf=CONF) as bed:
            api = bed.open_front()
            _, submitted_s = submit_one(api, sites.fan(width, CORES_IN_ALL))
            sites.end_node(bed.front)
            bed.site.psql("ANALYZE")
            bench.cluster.settle()
            bed.start_nodes()
            rate, wide_note = sites.drain(bed, 0, width, limit_s)
    except RuntimeError as e:
        bench.results.failed(SECTION, what, str(e))
        return
    bench.results.add(SECTION, what + ", submit", submitted_s, "s", budget="under 1 s", ok=submitted_s < 1)
    bench.results.add(SECTION, "the same number of tasks in jobs of 10, per task", 1e3 / jobs_rate, "ms", note=note)
    bench.results.add(SECTION, what + ", per task", 1e3 / rate, "ms", ratios={"in jobs of 10": jobs_rate / rate},
                      note=wide_note, budget="within 1.2 x of a 10-task job", ok=jobs_rate <= 1.2 * rate and not wide_note)



LAG = """
    WITH parent AS (
        SELECT t.job_no, t.task_no, max(p.end_at) AS at FROM norn.task t
          JOIN norn.task_edge e ON e.job_no = t.job_no AND e.child_no = t.task_no
          JOIN norn.job j ON j.job_no = t.job_no
          JOIN norn.party_task p ON p.job_id = j.job_id AND p.task_no = e.parent_no AND p.party_status = 'success'
         GROUP BY 1, 2)
    SELECT count(*), sum(extract(epoch FROM x.start_at - COALESCE(parent.at, j.submitted_at))),
           extract(epoch FROM max(x.end_at) - min(j.submitted_at)),
           sum(extract(epoch FROM x.end_at - x.start_at))
      FROM norn.party_task x JOIN norn.job j USING (job_id)
      LEFT JOIN parent ON parent.job_no = j.job_no AND parent.task_no = x.task_no
     WHERE x.party_status = 'success'"""


def airflow(bench):
    """Real processes. Lag of a task: from the end of the last it waited for, or the submission, to its own start."""
    scenarios = (
        ("100 jobs x 10 tasks in a row", sites.chain(10), 100, 10),
        ("10 jobs x 100 tasks in a row", sites.chain(100), 10, 100),
        ("100 jobs x binary tree of 10 tasks", sites.tree(10, 5), 100, 10),
    )
    for what, dag, jobs, tasks in scenarios:
        if bench.out_of_time(AIRFLOW, what):
            continue
        with sites.Bed(conf={"resources.cores": CORES_IN_ALL}) as bed:
            port = bed.start_nodes().port
            _, refused, _ = sites.submit_many(port, dag, jobs)
            over = sites.wait_over(bed.site, 0, bench.scale.run_limit_s)
            row = bed.site.psql(LAG)[0]
            n = int(row[0])
            if n == 0:
                raise RuntimeError(f"{what}: nothing was run" + (f", {refused[0]}" if refused else ""))
            note = None if over and n == jobs * tasks else f"{n} of {jobs * tasks} tasks succeeded"
            bench.results.add(AIRFLOW, what + ", from the first submission to the last end", float(row[2]), "s", note=note)
            ran = float(row[3])
            bench.results.add(AIRFLOW, what + ", total lag of all tasks", float(row[1]), "s",
                              ratios={"the time their processes ran": float(row[1]) / ran} if ran > 0 else None,
                              note=f"mean {1e3 * float(row[1]) / n:.1f} ms a task")
