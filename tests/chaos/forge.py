"""Forges a history that breaks one rule after the other, in the databases of a run that was clean, and sees whether
the checker notices. A rule that cannot fail would prove nothing.
"""

import os

from checker import Checker
from load import MARK
from samples import Samples

COPY = ("INSERT INTO norn.event (job_id, object, task_name, role, party_id, attempt, from_status, to_status, reason, detail, "
        "actor) SELECT job_id, object, task_name, role, party_id, attempt, {before}, {to}, {reason}, detail, actor "
        "FROM norn.event WHERE event_no = (SELECT max(event_no) FROM norn.event WHERE {where})")
ENDED = "to_status IN ('success', 'failed', 'canceled')"

# rule that must notice, what is done to the database
FORGERIES = (
    ("no_attempt_twice", COPY.format(before="from_status", to="to_status", reason="reason",
                                     where="object = 'run' AND reason = 'claimed'")),
    ("runs_end_once", COPY.format(before="to_status", to="'failed'", reason="'exited'",
                                  where=f"object = 'run' AND actor LIKE 'node %' AND {ENDED}")),
    ("ends_are_final", COPY.format(before="to_status", to="'running'", reason="'started'",
                                   where=f"object = 'job' AND actor LIKE 'scheduler%' AND {ENDED}")),
    ("tasks_alternate", COPY.format(before="'waiting'", to="'running'", reason="'retry'",
                                    where="object = 'task' AND to_status = 'running'")),
    ("parents_first", "UPDATE norn.event SET to_status = 'failed' WHERE event_no = (SELECT min(e.event_no) FROM norn.event e "
     "JOIN norn.job j USING (job_id) JOIN norn.task_edge d USING (job_no) JOIN norn.task p ON p.job_no = d.job_no "
     "AND p.task_no = d.parent_no AND p.task_name = e.task_name JOIN norn.task c ON c.job_no = d.job_no "
     "AND c.task_no = d.child_no WHERE e.object = 'task' AND e.to_status = 'success' AND c.status = 'success' AND j.attempt = 0)"),
    ("no_job_is_lost", "UPDATE norn.job SET idempotency_key = idempotency_key || '-other' WHERE job_no = "
     "(SELECT min(job_no) FROM norn.job)"),
    ("sites_agree", "UPDATE norn.party_job SET attempt = attempt + 1 WHERE party_job_no = "
     "(SELECT min(party_job_no) FROM norn.party_job)"),
    ("reports_agree", "ALTER TABLE norn.party_task DISABLE TRIGGER USER; UPDATE norn.party_task SET party_status = 'running' "
     "WHERE run_no = (SELECT min(run_no) FROM norn.party_task WHERE party_status = 'success'); "
     "ALTER TABLE norn.party_task ENABLE TRIGGER USER"),
    ("work_is_done", "INSERT INTO norn.task_work (job_no, task_no) SELECT job_no, 0 FROM norn.job LIMIT 1"),
    ("failures_are_explained", "UPDATE norn.job SET first_failure = '{\"error\": \"no reason\"}' WHERE status = 'failed'"),
)


def notices(world, clients, samples, rule):
    return any(True for _ in getattr(Checker(world, clients, samples), rule)())


def missed(world, clients, samples):
    """What the checker did not see, as texts."""
    site = world.sites["guest"]
    out = []
    for rule, sql in FORGERIES:
        site.psql(sql)
        if not notices(world, clients, samples, rule):
            out.append(f"{rule} did not notice: {sql}")
    rows = site.psql("SELECT job_id, role, party_id, task_name, attempt FROM norn.run_view LIMIT 1")
    path = os.path.join(site.dir, "logs", *rows[0], "stdout")
    with open(path, "a", encoding="utf-8") as f:
        f.write(f"{MARK}\n{MARK}\n")
    if not notices(world, clients, samples, "one_process_an_attempt"):
        out.append(f"one_process_an_attempt did not notice {path}")
    samples = Samples(world)
    samples.take("guest", "use", "standalone", "6", "7", "2", "", "")
    samples.take("guest", "job", "forged", "5", "50", "0", "", "running")
    samples.take("guest", "job", "forged", "6", "40", "0", "", "running")
    for rule in ("reservations_fit", "numbers_only_grow"):
        if not notices(world, clients, samples, rule):
            out.append(f"{rule} did not notice what the samples say")
    return out
