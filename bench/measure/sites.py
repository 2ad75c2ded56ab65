"""Sites to measure: the same PostgreSQL for everything, nodes as an installation would run them.

Sites, nodes and job definitions are those of the black-box tests (tests/api/harness.py); the cluster differs: it is
durable.
"""

import http.client
import json
import os
import shutil
import subprocess
import sys
import threading
import time

SRC = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(SRC, "tests/api"))
import harness  # noqa: E402

GUEST, HOST = harness.GUEST, harness.HOST
noop, job = harness.noop, harness.job
CHAIN = 10  # tasks of an ordinary job

# PostgreSQL's own defaults are for a machine of long ago; every program measured here gets these.
SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "4GB", "checkpoint_timeout": "15min"}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Cluster(harness.Cluster):
    """A private cluster with SETTINGS, durable unless told otherwise; no TCP."""

    def __init__(self, durable):  # pylint: disable=super-init-not-called
        self.dir = os.path.join(harness.root_dir(), "pg")
        self.settings = {**SETTINGS, **({} if durable else NOT_DURABLE)}
        r = subprocess.run([harness.PGCLUSTER, "start", self.dir], capture_output=True, text=True, check=False)
        if r.returncode != 0:
            raise SystemExit("PostgreSQL did not start: " + r.stderr)
        for name, value in self.settings.items():
            self.psql("postgres", f"ALTER SYSTEM SET {name} = '{value}'")
        self.command("restart")
        harness.Run.cluster = self

    def environment(self, database):
        """For programs that take their connection from the environment."""
        parts = dict(p.split("=", 1) for p in self.conninfo(database).split())
        return {**harness.child_env(), "PGHOST": parts["host"].strip("'"), "PGPORT": parts["port"],
                "PGUSER": parts["user"], "PGDATABASE": database}

    def fresh(self, database):
        self.command("dropdb", database)
        self.command("createdb", database)

    def settle(self):
        """So that nobody pays for the writes of the one before."""
        self.psql("postgres", "CHECKPOINT")


class Bed:
    """Sites of one scenario. Besides the nodes asked for, the first site has a front: a node that schedules nothing, so
    that jobs can be added before anybody works on them. It is an executor, since those tell what components there are."""

    made = 0

    def __init__(self, nodes=1, sites=("guest",), conf=None):
        Bed.made += 1
        self.fed = harness.Federation(f"bed{Bed.made}", sites=sites, nodes={s: nodes for s in sites} | {sites[0]: nodes + 1},
                                      conf=conf or {})
        self.site = self.fed.sites[sites[0]]
        self.front = self.site.nodes.pop()
        set_option(self.front, "node", "duties", ["api", "exec"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in self.fed.sites.values():
            for n in [*s.nodes, *([self.front] if s is self.site else [])]:
                n.kill()  # nobody waits for what still runs; norn-run ends it
            if s in harness.Run.sites:
                harness.Run.sites.remove(s)
            harness.cluster().command("dropdb", s.database)
        shutil.rmtree(self.fed.dir, ignore_errors=True)

    def open_front(self):
        self.front.start()
        self.front.wait_ready()
        return self.front.api

    def start_nodes(self):
        for n in self.site.nodes:
            n.start()
        for n in self.site.nodes:
            n.wait_ready()
        return self.site.nodes[0].api

    def start_all(self):
        """Every site with all its nodes, which know each other; without the front."""
        self.fed.start()
        return self.site.nodes[0].api

    def last_job_no(self):
        return int(self.site.psql("SELECT COALESCE(max(job_no), 0) FROM norn.job")[0][0])


def set_option(node, section, key, value):
    with open(node.conf_file, encoding="utf-8") as f:
        conf = json.load(f)
    conf.setdefault(section, {})[key] = value
    with open(node.conf_file, "w", encoding="utf-8") as f:
        json.dump(conf, f, indent=1)


def end_node(node):
    try:
        node.stop(timeout_s=15)
    except AssertionError as e:
        print("  " + str(e).splitlines()[0], flush=True)
        node.kill()


# ---- jobs


def chain(length=CHAIN, parties=("guest",), **parameters):
    names = [f"t{i}" for i in range(length)]
    tasks = {n: noop(after=names[i - 1] if i else None, **parameters) for i, n in enumerate(names)}
    return job(tasks, parties=parties)


def fan(width, cores):
    """One task, and all others behind it; as many at once as the job has cores."""
    return job({"root": noop(), **{f"t{i}": noop(after="root") for i in range(width - 1)}}, parties=("guest",), cores=cores)


def tree(size, cores):
    """A binary tree: task i waits for task (i - 1) / 2."""
    return job({f"t{i}": noop(after=f"t{(i - 1) // 2}" if i else None) for i in range(size)}, parties=("guest",),
               cores=cores)


class Client:
    """Calls over one connection that stays open."""

    def __init__(self, port):
        self.conn = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def post(self, path, body):
        self.conn.request("POST", path, body=body, headers={"Content-Type": "application/json"})
        return json.loads(self.conn.getresponse().read())

    def close(self):
        self.conn.close()


def submit_many(port, dag, n, connections=4, deadline_s=60):
    """Submits the same job n times: (ids, refusals and broken connections, seconds)."""
    body = json.dumps({"dag_schema": dag}).encode()
    todo = iter(range(n))
    lock = threading.Lock()
    ids, refused = [], []
    start = time.monotonic()

    def work():
        client = Client(port)
        try:
            while time.monotonic() - start < deadline_s:
                with lock:
                    if next(todo, None) is None:
                        return
                answer = client.post("/v2/job/submit", body)
                if answer.get("code") == 0:
                    ids.append(answer["job_id"])
                else:
                    refused.append(answer.get("message"))
        except (OSError, ValueError, http.client.HTTPException) as e:
            refused.append(f"{type(e).__name__}: {e}")
        finally:
            client.close()

    threads = [threading.Thread(target=work) for _ in range(connections)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return ids, refused, time.monotonic() - start


def wait_over(site, after_job_no, timeout_s):
    """Waits until the jobs behind this number are over; false when they are not in time."""
    end = time.monotonic() + timeout_s
    while site.psql(f"SELECT EXISTS (SELECT 1 FROM norn.job_work WHERE job_no > {after_job_no})") == [["t"]]:
        if time.monotonic() > end:
            return False
        time.sleep(0.4)
    return True


def progress(site, after_job_no):
    """(tasks that succeeded, tasks that ended otherwise, seconds from the first start of a job to the last end of a
    task), by the clock of the database."""
    row = site.psql(
        "SELECT count(*) FILTER (WHERE t.status = 'success'), count(*) FILTER (WHERE t.status IN "
        "('failed', 'canceled', 'timeout')), "
        f"extract(epoch FROM max(t.end_at) - (SELECT min(start_at) FROM norn.job WHERE job_no > {after_job_no})) "
        f"FROM norn.task t WHERE t.job_no > {after_job_no}")[0]
    return int(row[0]), int(row[1]), float(row[2] or 0)


def drain(bed, after_job_no, expected, timeout_s):
    """Waits for the end of what was submitted: (tasks per second, a note when not all succeeded)."""
    over = wait_over(bed.site, after_job_no, timeout_s)
    good, bad, seconds = progress(bed.site, after_job_no)
    note = None
    if not over or good != expected:
        note = f"{good} of {expected} tasks succeeded, {bad} failed{'' if over else f' in {timeout_s:.0f} s'}"
    if good == 0 or seconds <= 0:
        raise RuntimeError(note or "nothing was run")
    return good / seconds, note
