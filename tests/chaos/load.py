"""The clients: they submit the jobs of the schedule, stop, suspend and rerun them, and note what they were told."""

import threading

import harness

CALL_S = 8
MARK = "chaos start"  # a line in the log of every process that has started


def definition(j):
    """The job as the API takes it."""
    tasks = {}
    for name, t in j.tasks.items():
        made = harness.noop(parties=t["parties"], message=MARK, sleep_ms=t["sleep_ms"], fail=t["fail"])
        if t["parents"]:
            made["dependent_tasks"] = t["parents"]
        tasks[name] = made
    return harness.job(tasks, j.parties, j.cores, priority=j.priority, auto_retries=j.auto_retries)


class Submitted:
    """A job from the client's point of view."""

    def __init__(self, j, key):
        self.job = j
        self.key = key
        self.job_id = None  # as answered; None: the outcome is unknown
        self.tries = 0
        self.answers = []  # (wish, code, data) of everything else asked of it


class Clients:
    def __init__(self, world, jobs, seed):
        self.world = world
        self.all = [Submitted(j, f"chaos-{seed}-{j.number}") for j in jobs]
        self.wrong = []
        self.lock = threading.Lock()
        self.turn = 0

    def call(self, site, path, body, timeout_s=CALL_S):
        """The envelope; None: the outcome is unknown, or no node could be reached."""
        nodes = self.world.sites[site].nodes
        self.turn += 1
        for i in range(len(nodes)):
            try:
                return nodes[(self.turn + i) % len(nodes)].api.envelope("POST", path, body, timeout_s=timeout_s)
            except ConnectionRefusedError:
                continue
            except (OSError, AssertionError, harness.http.client.HTTPException):
                return None
        return None

    # ---- wishes

    def submit(self, s, timeout_s=CALL_S):
        s.tries += 1
        v = self.call(s.job.site, "/v2/job/submit", {"dag_schema": definition(s.job), "idempotency_key": s.key}, timeout_s)
        job_id = v.get("job_id") if v else None
        if not job_id:
            return v
        with self.lock:
            if s.job_id not in (None, job_id):
                self.wrong.append(f"submitted twice with the key {s.key}, and two jobs came: {s.job_id} and {job_id}")
            s.job_id = job_id
        return v

    def carry_out(self, action):
        s = self.all[action.args["job"]]
        if action.kind in ("submit", "submit_again"):
            self.submit(s)
            return
        if s.job_id is None:
            return
        body = {"job_id": s.job_id}
        if action.kind == "rerun":
            how = action.args["how"]
            if how == "all":
                body["all"] = True
            elif how == "from":
                body["from"] = action.args["task"]
            elif how == "parameters":
                body["parameters"] = {name: {"fail": 0, "sleep_ms": 100} for name in s.job.tasks}
        v = self.call(action.args["site"], f"/v2/job/{action.kind}", body)
        s.answers.append((action.kind, v["code"] if v else None, v.get("data") if v else None))

    # ---- at the end

    def settle(self, end):
        """After the faults: unknown submits are sent again with their keys, suspended jobs go on, endless ones are
        stopped. Gives the texts of what was not accepted."""
        for s in self.all:
            if s.tries == 0:
                continue
            v = None
            while s.job_id is None and not end():
                v = self.submit(s, 60)
            if s.job_id is None:
                self.wrong.append(f"the submit with the key {s.key} was never accepted, at last with {v}")
                continue
            if any(kind == "suspend" for kind, _, _ in s.answers):
                self.insist(s, "resume", end)
            if s.job.endless:
                self.insist(s, "stop", end)
        return self.wrong

    def insist(self, s, wish, end):
        v = None
        while not end():
            v = self.call(s.job.site, f"/v2/job/{wish}", {"job_id": s.job_id}, 30)
            if v and v["code"] == 0:
                return
        self.wrong.append(f"{wish} of job {s.job_id} was never accepted, at last with {v}")
