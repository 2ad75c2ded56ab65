"""Reads the history when everything is quiet, and says what must not be. Each rule is a method that yields the
offending rows in words; it looks at the databases of the sites and at the files that components have left.
"""

import glob
import os
import re

from load import MARK

ENDS = ("canceled", "timeout", "failed", "success", "pass")
# What a job may fail of here: its own wish, a process that was killed, or a node that was lost.
EXPLAINED = (r"ended by signal 9", r"was killed by signal 9", r"^node \S+ was (lost|shut down) while it ran this task",
             r"^its node lost sight of it")
# The same of its reason: an outage longer than a grant lives.
EXPLAINED_REASON = r"refused to start the job: .*the reservation has expired"
WORK_TABLES = ("job_work", "task_work", "run_work", "outbox", "reservation", "resource_waiter")


def number(text):
    return int(text) if text else 0


class Event:
    """A row of the history."""

    COLUMNS = ("event_no, extract(epoch FROM at), job_id, object, task_name, role, party_id, attempt, from_status, "
               "to_status, reason, detail, actor")

    def __init__(self, row):
        self.no, self.at = int(row[0]), float(row[1])
        self.job_id, self.object, self.task, self.role, self.party = row[2:7]
        self.attempt = number(row[7])
        self.before, self.to, self.reason, self.detail, self.actor = row[8:13]

    def __str__(self):
        return (f"event {self.no} of job {self.job_id}: {self.object} {self.task} {self.role} {self.party} attempt "
                f"{self.attempt}: {self.before} -> {self.to} ({self.reason}, by {self.actor}) {self.detail}").replace("  ", " ")


class Site:
    """The rows of one site."""

    def __init__(self, site):
        self.name = site.name
        self.party = site.party
        self.logs = os.path.join(site.dir, "logs")
        q = site.psql
        self.events = [Event(r) for r in q(f"SELECT {Event.COLUMNS} FROM norn.event ORDER BY event_no")]
        self.jobs = q("SELECT job_id, status, attempt, progress, COALESCE(idempotency_key, ''), n_tasks, COALESCE(reason_code, ''), "
                      "COALESCE(reason, ''), COALESCE(first_failure->>'error', ''), COALESCE(stop_status, '') FROM norn.job ORDER BY job_no")
        self.job_parties = q("SELECT j.job_id, p.role, p.party_id, p.create_state FROM norn.job_party p "
                             "JOIN norn.job j USING (job_no)")
        self.tasks = q("SELECT j.job_id, t.task_name, t.status, t.attempt, t.deps_left FROM norn.task t JOIN norn.job j USING (job_no)")
        self.edges = q("SELECT j.job_id, p.task_name, c.task_name FROM norn.task_edge e JOIN norn.job j USING (job_no) "
                       "JOIN norn.task p ON p.job_no = e.job_no AND p.task_no = e.parent_no "
                       "JOIN norn.task c ON c.job_no = e.job_no AND c.task_no = e.child_no")
        self.reports = q("SELECT job_id, task_name, attempt, role, party_id, status FROM norn.task_party_view x "
                         "WHERE status IN ('canceled', 'timeout', 'failed', 'success')")
        self.party_jobs = q("SELECT job_id, role, party_id, status, attempt, progress FROM norn.party_job")
        self.runs = q("SELECT job_id, task_name, attempt, role, party_id, status, party_status FROM norn.party_task")
        self.outputs = q("SELECT t.job_id, t.task_name, t.attempt, t.role, t.party_id, t.party_status, t.component, o.uri "
                         "FROM norn.output_data o JOIN norn.party_task t USING (run_no)")
        self.cores = sum(int(r[0]) for r in q("SELECT cores FROM norn.engine"))
        self.left = {t: q(f"SELECT row_to_json(x) FROM norn.{t} x") for t in WORK_TABLES}


class Checker:
    def __init__(self, world, clients, samples, sites=None):
        self.world = world
        self.clients = clients
        self.samples = samples
        self.sites = sites or [Site(s) for s in world.sites.values()]
        self.scheduled = {j[0]: (s, j) for s in self.sites for j in s.jobs}
        self.parents = {}
        for s in self.sites:
            for job_id, parent, child in s.edges:
                self.parents.setdefault((job_id, child), []).append(parent)

    RULES = ("no_job_is_lost", "no_attempt_twice", "one_process_an_attempt", "outputs_are_there", "ends_are_final", "runs_end_once",
             "tasks_alternate", "parents_first", "history_is_the_state", "jobs_follow_tasks", "sites_agree", "reports_agree",
             "reports_arrive", "runs_were_ordered", "work_is_done", "reservations_add_up", "reservations_fit",
             "numbers_only_grow", "failures_are_explained", "wishes_are_kept", "stops_hold", "nothing_is_left_running",
             "nodes_stay_up")

    def violations(self):
        """[(rule, text)]"""
        return [(rule, text) for rule in self.RULES for text in getattr(self, rule)()]

    # ---- jobs

    def no_job_is_lost(self):
        known = {}
        for s in self.clients.all:
            if s.tries == 0:
                continue
            known[s.key] = s
            found = [(site.name, j) for site in self.sites for j in site.jobs if j[4] == s.key]
            if len(found) != 1:
                yield f"the key {s.key}, answered with job {s.job_id}, has {len(found)} jobs: {found}"
            elif found[0][1][0] != s.job_id or found[0][0] != s.job.site:
                yield f"the key {s.key}, answered with job {s.job_id} at {s.job.site}, has job {found[0]}"
            elif found[0][1][1] not in ENDS:
                yield f"job {s.job_id} ({s.job.shape}) is {found[0][1][1]}"
        for site in self.sites:
            for j in site.jobs:
                if j[4] not in known and j[0] not in self.world.first_jobs:
                    yield f"nobody has submitted job {j}"
        yield from self.clients.wrong

    def failures_are_explained(self):
        asked = {s.job_id: s for s in self.clients.all}
        for job_id, (_, j) in self.scheduled.items():
            s, status, why = asked.get(job_id), j[1], j[8]
            if s is None:
                continue
            if status == "failed" and not (s.job.fails and re.search(r"^exit code|failed as asked", why)) and not any(
                    re.search(p, why) for p in EXPLAINED) and not re.search(EXPLAINED_REASON, j[7]):
                yield f"job {job_id} ({s.job.shape}) failed without a cause: {j[6]}: {j[7]}"
            if status == "canceled" and not (s.job.endless or any(a[0] == "stop" for a in s.answers)):
                yield f"nobody has stopped job {job_id}: {j[7]}"
            if status == "success" and s.job.endless and not any(a[0] == "rerun" for a in s.answers):
                yield f"job {job_id} succeeded, which would take an hour"
            if status == "timeout":
                yield f"job {job_id} has no deadline: {j[7]}"

    def wishes_are_kept(self):
        reruns = {}
        for site in self.sites:
            for e in site.events:
                if e.object == "job" and e.reason == "rerun" and not e.actor.startswith("scheduler "):
                    reruns[e.job_id] = reruns.get(e.job_id, 0) + 1
        for s in self.clients.all:
            accepted = sum(1 for wish, code, data in s.answers if wish == "rerun" and code == 0 and data["tasks"] > 0)
            if accepted > reruns.get(s.job_id, 0):
                yield f"{accepted} reruns of job {s.job_id} were accepted, the history has {reruns.get(s.job_id, 0)}"

    # ---- attempts

    def no_attempt_twice(self):
        for site in self.sites:
            seen = {}
            for e in site.events:
                if e.object == "run" and e.reason == "claimed":
                    key = (e.job_id, e.task, e.role, e.party, e.attempt)
                    if key in seen:
                        yield f"claimed twice at {site.name}: {seen[key]}; {e}"
                    seen[key] = e

    def one_process_an_attempt(self):
        """Of files: what the components themselves have said."""
        for site in self.sites:
            ended = {tuple(r[:5]): r[6] for r in site.runs}
            for (job_id, task, attempt, role, party), status in ended.items():
                path = os.path.join(site.logs, job_id, role, party, task, attempt, "stdout")
                try:
                    with open(path, encoding="utf-8", errors="replace") as f:
                        n = f.read().count(MARK)
                except FileNotFoundError:
                    n = 0
                if n > 1 or (n == 0 and status == "success"):
                    yield f"{n} processes of one attempt, which is {status}: {path}"
            for path in glob.glob(os.path.join(site.logs, "2*", "*", "*", "*", "*", "stdout")):
                job_id, role, party, task, attempt = path.split(os.sep)[-6:-1]
                if (job_id, task, attempt, role, party) not in ended:
                    yield f"a process of an attempt that is not in the database: {path}"

    def outputs_are_there(self):
        """Success and output are one: neither without the other, and the files stand where the rows say."""
        kept = {s.job_id for s in self.clients.all if s.job.shape == "data"}
        for site in self.sites:
            left = {}
            for r in site.outputs:
                left.setdefault(tuple(r[:5]), []).append(r)
                path = r[7].removeprefix("file://")
                if r[5] != "success":
                    yield f"an output at {site.name} of an attempt that is {r[5]}: {r}"
                elif r[6] == "noop" and not os.path.exists(os.path.join(path, "data.csv")):
                    yield f"an output at {site.name} whose file is not there: {r}"
            for r in site.runs:
                n = len(left.get(tuple(r[:5]), ()))
                if r[0] in kept and r[6] == "success" and n != 1:
                    yield f"a run at {site.name} is success and has left {n} outputs: {r}"

    def runs_end_once(self):
        for site in self.sites:
            at, reported = {}, {}
            for e in site.events:
                if e.object != "run" or e.reason == "stale_report":
                    continue
                state = reported if e.actor.startswith("party ") else at
                key = (e.job_id, e.task, e.role, e.party, e.attempt)
                was = state.get(key, "waiting")
                if was in ENDS or (e.before or "waiting") != was:
                    yield f"at {site.name} it was {was}: {e}"
                state[key] = e.to
            for key, was in at.items():
                if was not in ENDS:
                    yield f"never ended at {site.name}: {key} is {was}"

    def ends_are_final(self):
        """Jobs, at the scheduler and at each party: the history is one chain, out of an end only by a rerun."""
        for site in self.sites:
            last = {}
            for e in site.events:
                if e.object != "job":
                    continue
                party = (e.role, e.party) if e.actor.startswith("scheduler ") else None
                was, attempt = last.get((e.job_id, party), ("", 0))
                if e.before != was:
                    yield f"at {site.name} it was {was}: {e}"
                if e.reason == "rerun":
                    if e.before not in ENDS or e.to != "waiting" or e.attempt <= attempt:
                        yield f"no proper rerun at {site.name}, the attempt was {attempt}: {e}"
                    attempt = e.attempt
                elif was in ENDS:
                    yield f"after the end at {site.name}: {e}"
                last[e.job_id, party] = (e.to, attempt)

    def tasks_alternate(self):
        for site in self.sites:
            last = {}
            for e in site.events:
                if e.object != "task":
                    continue
                was, attempt = last.get((e.job_id, e.task), ("waiting", -1))
                starts = e.to == "running"
                good = was != "running" and e.attempt > attempt if starts else was == "running" and e.attempt == attempt
                if not good or e.before != ("waiting" if starts else "running") or not (starts or e.to in ENDS):
                    yield f"at {site.name} attempt {attempt} was {was}: {e}"
                last[e.job_id, e.task] = (e.to, e.attempt)
            for (job_id, task), (status, attempt) in last.items():
                if status == "running":
                    yield f"attempt {attempt} of task {task} of job {job_id} never ended"

    def parents_first(self):
        history = {}  # (job, task): [(at, status)]
        for site in self.sites:
            n_tasks = {j[0]: number(j[5]) for j in site.jobs}
            now = {}
            for e in site.events:
                if e.object == "task":
                    if e.to == "running":
                        for p in self.parents.get((e.job_id, e.task), ()):
                            if now.get((e.job_id, p)) not in ("success", "pass"):
                                yield f"its parent {p} was {now.get((e.job_id, p))}: {e}"
                    now[e.job_id, e.task] = e.to
                    history.setdefault((e.job_id, e.task), []).append((e.at, e.to))
                elif e.object == "job" and e.reason == "rerun" and e.job_id in n_tasks:
                    # of all tasks: what was done before does not count
                    if e.detail.split(" ")[0] == str(n_tasks[e.job_id]):
                        now = {k: v for k, v in now.items() if k[0] != e.job_id}
        for site in self.sites:
            for e in site.events:
                if e.object != "run" or e.reason != "claimed":
                    continue
                for p in self.parents.get((e.job_id, e.task), ()):
                    before = [status for at, status in history.get((e.job_id, p), ()) if at <= e.at]
                    if not before or before[-1] not in ("success", "pass"):
                        yield f"its parent {p} was {before[-1:]} when it was claimed at {site.name}: {e}"

    def history_is_the_state(self):
        """What the last event of an object says is what its row says."""
        for site in self.sites:
            last = {}
            for e in site.events:
                if e.reason == "stale_report" or e.object not in ("job", "task", "run"):
                    continue
                if e.object == "job":
                    key = (e.job_id, e.role, e.party) if e.actor.startswith("scheduler ") else (e.job_id,)
                elif e.object == "task":
                    key = (e.job_id, e.task)
                else:
                    key = (e.job_id, e.task, e.attempt, e.role, e.party, e.actor.startswith("party "))
                last[key] = e
            rows = {(j[0],): j[1] for j in site.jobs}
            rows |= {tuple(r[:3]): r[3] for r in site.party_jobs}
            rows |= {(r[0], r[1], int(r[2]), r[3], r[4], False): r[6] for r in site.runs if r[6] != "waiting"}
            for key, status in rows.items():
                if key not in last or last[key].to != status:
                    yield f"{key} at {site.name} is {status}, its last event is {last.get(key)}"
            for job_id, task, status, attempt, _ in site.tasks:
                e = last.get((job_id, task))
                ended = e is not None and (e.to, e.attempt) == (status, int(attempt))
                if not ended and not (status == "waiting" and (e is None or e.attempt < int(attempt))):
                    yield f"task {task} of job {job_id} is {status} in attempt {attempt}, its last event is {e}"

    def jobs_follow_tasks(self):
        tasks = {}
        for s in self.sites:
            for job_id, _, status, _, _ in s.tasks:
                tasks.setdefault(job_id, []).append(status)
        for job_id, (_, j) in self.scheduled.items():
            have, status, progress = tasks.get(job_id, []), j[1], int(j[3])
            if len(have) != number(j[5]):
                yield f"job {job_id} has {len(have)} of its {j[5]} tasks"
            if (status == "success") != all(t in ("success", "pass") for t in have):
                yield f"job {job_id} is {status}, its tasks are {have}"
            if status == "success" and progress != 100:
                yield f"job {job_id} is success with a progress of {progress}"
            if status == "failed" and j[6] == "task_failed" and "failed" not in have and "timeout" not in have:
                yield f"job {job_id} failed because of a task, its tasks are {have}"

    # ---- between sites

    def runs_were_ordered(self):
        """A site claims only what the scheduler of the job has started."""
        started = {(e.job_id, e.task, e.attempt) for s in self.sites for e in s.events
                   if e.object == "task" and e.to == "running"}
        for s in self.sites:
            for e in s.events:
                if e.object == "run" and e.reason == "claimed" and (e.job_id, e.task, e.attempt) not in started:
                    yield f"its scheduler has never started it, {s.name} has: {e}"

    def reports_arrive(self):
        """The end of every run that was claimed comes to the scheduler, though perhaps too late to count."""
        home = {job_id: s for job_id, (s, _) in self.scheduled.items()}
        heard = {}
        for s in self.sites:
            for e in s.events:
                if e.object == "run" and e.actor.startswith("party ") and e.to in ENDS:
                    heard.setdefault((e.job_id, e.task, e.attempt, e.role, e.party), set()).add(e.to)
        for s in self.sites:
            claimed = {(e.job_id, e.task, e.attempt, e.role, e.party) for e in s.events
                       if e.object == "run" and e.reason == "claimed"}
            for r in s.runs:
                key = (r[0], r[1], int(r[2]), r[3], r[4])
                if key in claimed and home.get(r[0], s) is not s and heard.get(key) != {r[6]}:
                    yield f"a run at {s.name} is {r[6]}, its scheduler has heard {heard.get(key)}: {key}"

    def sites_agree(self):
        here = {(r[0], r[1], r[2]): r for s in self.sites for r in s.party_jobs}
        states = {}
        for s in self.sites:
            for job_id, role, party, created in s.job_parties:
                states[job_id, role, party] = created
        for key, created in states.items():
            job = self.scheduled[key[0]][1]
            row = here.pop(key, None)
            if row is None:
                if created == "ok":
                    yield f"job {key[0]} is {job[1]}, and {key[1]} {key[2]}, who has accepted it, does not know it"
            elif row[3:6] != job[1:4]:
                yield (f"job {key[0]} is {job[1]} attempt {job[2]} progress {job[3]} for its scheduler, "
                       f"{row[3]} attempt {row[4]} progress {row[5]} for {key[1]} {key[2]}")
        for row in here.values():
            yield f"a party has a job of no scheduler: {row}"

    def reports_agree(self):
        said = {tuple(r[:5]): r[5] for s in self.sites for r in s.reports}
        status = {}
        for s in self.sites:
            for job_id, task, now, attempt, deps_left in s.tasks:
                status[job_id, task, attempt] = now
                if now == "running":
                    yield f"task {task} of job {job_id} is still running for its scheduler"
                if now == "success" and deps_left != "0":
                    yield f"task {task} of job {job_id} has succeeded, and {deps_left} parents have not"
        for s in self.sites:
            for r in s.runs:
                key = tuple(r[:5])
                if "running" in (r[5], r[6]) or (r[5] in ENDS and r[6] == "waiting"):
                    yield f"a run at {s.name} is {r[5]}, its process {r[6]}: {key}"
                if key in said and said[key] != r[6]:
                    yield f"a run at {s.name} ended {r[6]}, its scheduler has {said[key]}: {key}"
                decided = status.get((r[0], r[1], r[2]))
                if decided is not None and decided != r[5]:
                    yield f"the scheduler says {decided}, {s.name} says {r[5]}: {key}"

    # ---- what is left, and what was seen meanwhile

    def work_is_done(self):
        for s in self.sites:
            for table, rows in s.left.items():
                for r in rows[:5]:
                    yield f"left in {table} of {s.name} ({len(rows)} rows): {r[0][:600]}"

    def reservations_add_up(self):
        """Of the history: a share is granted once, given back once, and never is more granted than there is. A grant
        that has seen a release has the greater number, since numbers are drawn before the commit."""
        for s in self.sites:
            held = {}
            for e in s.events:
                if e.object != "reservation":
                    continue
                key = (e.job_id, e.role, e.party)
                if e.to == "granted":
                    if key in held:
                        yield f"granted twice at {s.name}: {e}"
                    held[key] = int(e.detail.split(" ")[0])
                    if sum(held.values()) > s.cores:
                        yield f"{sum(held.values())} of {s.cores} cores are granted at {s.name}: {held}; {e}"
                elif held.pop(key, None) is None:
                    yield f"given back at {s.name} without having it: {e}"
            for key in held:
                yield f"never given back at {s.name}: {key}"

    def stops_hold(self):
        """Behind a wish to stop no task of that attempt of the job is started, and none while it is suspended."""
        for s in self.sites:
            bars = {}  # job: {why}
            for e in s.events:
                if e.object == "job" and not e.actor.startswith("scheduler "):
                    if e.reason in ("stop_requested", "suspended"):
                        bars.setdefault(e.job_id, set()).add(e.reason)
                    elif e.reason == "resumed":
                        bars.get(e.job_id, set()).discard("suspended")
                    elif e.reason == "rerun":
                        bars.pop(e.job_id, None)
                    elif e.to in ENDS and "stop_requested" in bars.get(e.job_id, ()) and e.reason != "stop_requested":
                        yield f"it was to be stopped: {e}"
                elif e.object == "task" and e.to == "running" and bars.get(e.job_id):
                    yield f"{' and '.join(sorted(bars[e.job_id]))} before: {e}"

    def reservations_fit(self):
        yield from self.samples.wrong_use

    def numbers_only_grow(self):
        yield from self.samples.wrong_steps

    def nothing_is_left_running(self):
        for pid in self.world.processes():
            try:
                with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as f:
                    text = f.read().replace("\0", " ")
            except OSError:
                continue
            yield f"process {pid}: {text}"

    def nodes_stay_up(self):
        yield from self.world.deaths

    # ---- for the report

    def outcomes(self):
        n = {}
        for _, j in self.scheduled.values():
            n[j[1]] = n.get(j[1], 0) + 1
        return n

    def recoveries(self):
        """Seconds from each kill of a node to the claim of the new attempt, an entry a run that was lost with it."""
        took = []
        for site in self.sites:
            claims = {(e.job_id, e.task, e.role, e.party, e.attempt): e.at for e in site.events
                      if e.object == "run" and e.reason == "claimed"}
            for e in site.events:
                if e.object != "run" or e.reason != "node_lost":
                    continue
                again = claims.get((e.job_id, e.task, e.role, e.party, e.attempt + 1))
                node = re.match(r"node (\S+) was lost", e.detail)
                killed = [at for name, at in self.world.kills if node and name == node.group(1) and at <= e.at]
                began = claims.get((e.job_id, e.task, e.role, e.party, e.attempt), 0)
                if again and killed and began <= max(killed):
                    took.append(again - max(killed))
        return sorted(took)

    def attempts(self):
        runs = sum(len([e for e in s.events if e.object == "run" and e.reason == "claimed"]) for s in self.sites)
        lost = sum(len([e for e in s.events if e.object == "run" and e.reason == "node_lost"]) for s in self.sites)
        stale = sum(len([e for e in s.events if e.reason == "stale_report"]) for s in self.sites)
        return runs, lost, stale
