"""Forges a history that breaks one rule after the other, in the databases of a run that was clean, and sees whether
the checker notices. A rule that cannot fail would prove nothing.
"""

import os

from checker import Checker, Site
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
    ("outputs_are_there", "INSERT INTO norn.output_data (run_no, job_id, task_name, attempt, role, party_id, output_key, "
     "namespace, name, uri, type_name) SELECT run_no, job_id, task_name, attempt, role, party_id, 'forged', 'a', 'b', "
     "'file:///nowhere', 'dataframe' FROM norn.party_task WHERE component = 'noop' AND party_status = 'success' LIMIT 1"),
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
     "(SELECT min(job_no) FROM norn.job WHERE idempotency_key IS NOT NULL)"),
    ("sites_agree", "UPDATE norn.party_job SET attempt = attempt + 1 WHERE party_job_no = "
     "(SELECT min(party_job_no) FROM norn.party_job)"),
    ("reports_agree", "ALTER TABLE norn.party_task DISABLE TRIGGER USER; UPDATE norn.party_task SET party_status = 'running' "
     "WHERE run_no = (SELECT min(run_no) FROM norn.party_task WHERE party_status = 'success'); "
     "ALTER TABLE norn.party_task ENABLE TRIGGER USER"),
    ("work_is_done", "INSERT INTO norn.task_work (job_no, task_no) SELECT job_no, 0 FROM norn.job LIMIT 1"),
    ("history_is_the_state", "UPDATE norn.event SET from_status = 'waiting', to_status = 'running' WHERE event_no = (SELECT "
     f"max(event_no) FROM norn.event WHERE object = 'job' AND actor = 'scheduler' AND {ENDED})"),
    ("jobs_follow_tasks", "UPDATE norn.job SET n_tasks = n_tasks + 1 WHERE job_no = (SELECT min(job_no) FROM norn.job)"),
    ("reports_arrive", "UPDATE norn.event SET to_status = 'timeout' WHERE event_no = (SELECT max(event_no) FROM norn.event "
     f"WHERE object = 'run' AND reason = 'reported' AND {ENDED})"),
    ("runs_were_ordered", "UPDATE norn.event SET attempt = 99 WHERE event_no = (SELECT max(event_no) FROM norn.event "
     "WHERE object = 'run' AND reason = 'claimed')"),
    ("reservations_add_up", COPY.format(before="from_status", to="to_status", reason="reason",
                                        where="object = 'reservation' AND to_status = 'granted'")),
    ("stops_hold", "UPDATE norn.event SET reason = 'stop_requested' WHERE event_no = (SELECT max(e.event_no) FROM norn.event "
     "e JOIN norn.job j USING (job_id) WHERE e.reason = 'submitted' AND j.status = 'success' AND j.attempt = 0)"),
    ("failures_are_explained", "ALTER TABLE norn.job DISABLE TRIGGER USER; UPDATE norn.job SET status = 'failed', "
     "first_failure = '{\"error\": \"no reason\"}' WHERE status = 'success'; ALTER TABLE norn.job ENABLE TRIGGER USER"),
)

# The same of what the samples say.
SAMPLES = (
    ("reservations_fit", [("use", "standalone", "6", "7", "2", "", "")]),
    ("reservations_fit", [("bare", "forged", "2", "0", "0", "guest", "9999")]),
    ("reservations_fit", [("over", "forged", "1", "2", "2", "guest", "9999")]),
    ("numbers_only_grow", [("job", "forged", "5", "50", "0", "", "running"), ("job", "forged", "6", "40", "0", "", "running")]),
    ("numbers_only_grow", [("job", "forged", "5", "50", "0", "", "running"), ("job", "forged", "5", "50", "0", "", "failed")]),
    ("numbers_only_grow", [("job", "forged", "5", "50", "0", "", "failed"), ("job", "forged", "6", "50", "0", "", "success")]),
)


def missed(checker):
    """What the checker, which has found nothing, does not see behind a forgery, as texts."""
    forger = checker.world.sites["guest"]
    others = [s for s in checker.sites if s.name != forger.name]

    def noticed(rule, samples=None):
        """Of forged samples, or of the databases, which are then read again."""
        sites = checker.sites if samples else [Site(forger), *others]
        again = Checker(checker.world, checker.clients, samples or checker.samples, sites)
        return any(True for _ in getattr(again, rule)())

    out = []
    for rule, sql in FORGERIES:
        forger.psql(sql)
        if not noticed(rule):
            out.append(f"{rule} did not notice: {sql}")
    rows = forger.psql("SELECT job_id, role, party_id, task_name, attempt FROM norn.run_view WHERE party_status = 'success' LIMIT 1")
    path = os.path.join(forger.dir, "logs", *rows[0], "stdout")
    with open(path, "a", encoding="utf-8") as f:
        f.write(f"{MARK}\n")
    if not noticed("one_process_an_attempt"):
        out.append(f"one_process_an_attempt did not notice {path}")
    for rule, rows in SAMPLES:
        forged = Samples(checker.world)
        for row in rows:
            forged.take("guest", *row)
        if not noticed(rule, forged):
            out.append(f"{rule} did not notice {rows}")
    return out
