"""The clients: they submit the jobs of the schedule, stop, suspend and rerun them, and note what they were told."""

import threading
import time

import harness

CALL_S = 8
INSIST_S = 180  # on a wish, once everything is up again
MARK = " default started"  # in the log of every process that has started, once
TABLE = {"namespace": "chaos", "name": "rows"}  # every site has one


def party_list(j, sites):
    """The submitting site is the guest, the others are its hosts."""
    out = []
    for role, members in (("guest", [s for s in sites if s == j.site]), ("host", [s for s in sites if s != j.site])):
        if members:
            out.append({"role": role, "party_id": [harness.PARTY_OF[s] for s in members]})
    return out


def definition(j):
    """The job as the API takes it."""
    tasks = {}
    for name, t in j.tasks.items():
        if t["sleep_ms"] is None:
            tasks[name] = {"component_ref": "reader", "parameters": TABLE}
            continue
        made = harness.noop(sleep_ms=t["sleep_ms"], fail=t["fail"])
        if t["parents"]:
            made["inputs"] = {"data": {"input_data": {"task_output_artifact": [
                {"producer_task": p, "output_artifact_key": "output_data"} for p in t["parents"]]}}}
        if t["parties"]:
            made["parties"] = party_list(j, t["parties"])
        tasks[name] = made
    dag = harness.job(tasks, (), j.cores, priority=j.priority, auto_retries=j.auto_retries)
    dag["dag"]["parties"] = party_list(j, j.parties)
    return dag


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
                body["parameters"] = {name: {"fail": 0, "sleep_ms": 100} for name, t in s.job.tasks.items()
                                      if t["sleep_ms"] is not None}
        v = self.call(action.args["site"], f"/v2/job/{action.kind}", body)
        s.answers.append((action.kind, v["code"] if v else None, v.get("data") if v else None))

    # ---- at the end

    def settle(self):
        """After the faults: unknown submits are sent again with their keys, suspended jobs go on, endless ones are
        stopped."""
        for s in self.all:
            if s.tries == 0:
                continue
            if s.job_id is None:
                self.insist(s, "submit", lambda s=s: self.submit(s, 60))
            if s.job_id is None:
                continue
            for wish in ("resume", "stop"):
                if s.job.endless if wish == "stop" else any(kind == "suspend" for kind, _, _ in s.answers):
                    self.insist(s, wish, lambda s=s, w=wish: self.call(s.job.site, f"/v2/job/{w}", {"job_id": s.job_id}, 30))

    def insist(self, s, wish, ask):
        end = time.monotonic() + INSIST_S
        while True:
            v = ask()
            if v and (v["code"] == 0 or v.get("job_id")):
                return
            if time.monotonic() > end:
                self.wrong.append(f"{wish} of {s.key}, job {s.job_id}, was never accepted, at last with {v}")
                return
            time.sleep(0.2)
