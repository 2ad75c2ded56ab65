"""Real sites for black-box tests: a private PostgreSQL cluster, certificates, nodes, a client of their API.

Everything stands below one directory made for the run; clean_up() ends what was started and removes it.
Set NORN_KEEP=1 to keep it. NORN_BUILDDIR names the build to test, NORN_SRCDIR the source tree.
"""

import atexit
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.parse

GUEST, HOST, ARBITER = "9999", "10000", "10001"
PARTY_OF = {"guest": GUEST, "host": HOST, "arbiter": ARBITER}
END_STATUSES = ("success", "failed", "canceled", "timeout")
SANITIZER_SIGNS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:")

SRC = os.path.abspath(os.environ.get("NORN_SRCDIR") or os.path.join(os.path.dirname(__file__), "../.."))
PGCLUSTER = os.path.join(SRC, "tests/lib/pgcluster.sh")
NO_POSTGRESQL = 69
PATIENCE_S = 120  # for whatever is expected to happen: on a busy machine late is not wrong


def find_build():
    given = os.environ.get("NORN_BUILDDIR")
    for build in [given] if given else [os.path.join(SRC, "build-test"), os.path.join(SRC, "build")]:
        if os.access(os.path.join(build, "nornd"), os.X_OK):
            return os.path.abspath(build)
    raise SystemExit("no build with a program nornd found; set NORN_BUILDDIR")


class Run:
    """What the whole run shares; made on first use."""

    root = None
    build = None
    cluster = None
    sites = []
    sanitizer_reports = []
    ports_given = set()
    tests_made = 0


def root_dir():
    if Run.root is None:
        Run.build = find_build()
        Run.root = tempfile.mkdtemp(prefix="norn-api-")
        os.chmod(Run.root, 0o755)
        atexit.register(clean_up)
    return Run.root


def program(name):
    root_dir()
    return os.path.join(Run.build, name)


def child_env():
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "NORN_"))}
    env["HOME"] = root_dir()
    env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    return env


def free_port():
    while True:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        if port not in Run.ports_given:
            Run.ports_given.add(port)
            return port


def wait_until(what, check, timeout_s=PATIENCE_S, step_s=0.05):
    """Waits for check() to give something true and returns it."""
    end = time.monotonic() + timeout_s
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        time.sleep(step_s)


class Cluster:
    """The private PostgreSQL cluster, without durability."""

    def __init__(self):
        self.dir = os.path.join(root_dir(), "pg")
        r = subprocess.run([PGCLUSTER, "start", "--fast", self.dir], capture_output=True, text=True, check=False)
        if r.returncode == NO_POSTGRESQL:
            raise unittest.SkipTest("no PostgreSQL server programs")
        if r.returncode != 0:
            raise AssertionError("PostgreSQL did not start: " + r.stderr)

    def command(self, name, *args):
        r = subprocess.run([PGCLUSTER, name, self.dir, *args], capture_output=True, text=True, check=False)
        if r.returncode != 0:
            raise AssertionError(f"pgcluster.sh {name}: {r.stderr}")
        return r.stdout.strip()

    def stop(self, mode="fast"):
        self.command("stop", mode)

    def start(self):
        r = subprocess.run([PGCLUSTER, "start", "--fast", self.dir], capture_output=True, text=True, check=False)
        if r.returncode != 0:
            raise AssertionError("PostgreSQL did not start again: " + r.stderr)

    def restart(self, mode="fast"):
        self.command("restart", mode)

    def conninfo(self, database):
        return self.command("conninfo", database)

    def try_psql(self, database, sql):
        """Rows as lists of texts, or the error text; one of both is None."""
        r = subprocess.run(["psql", "-XAtq", "-F", "\x1f", "-R", "\x1e", "-v", "ON_ERROR_STOP=1",
                            "-d", self.conninfo(database), "-c", sql],
                           capture_output=True, text=True, check=False, env=child_env())
        if r.returncode != 0:
            return None, r.stderr.strip()
        text = r.stdout[:-1] if r.stdout.endswith("\n") else r.stdout
        return [row.split("\x1f") for row in text.split("\x1e")] if r.stdout else [], None

    def psql(self, database, sql):
        rows, error = self.try_psql(database, sql)
        if error is not None:
            raise AssertionError(f"{error}\n{sql}")
        return rows


def cluster():
    if Run.cluster is None:
        Run.cluster = Cluster()
    return Run.cluster


class Api:
    """The HTTP API of one node."""

    def __init__(self, port):
        self.port = port

    def call(self, method, path, body=None, query=None, timeout_s=60, headers=None):
        """(HTTP status, headers, body)"""
        if query:
            path += "?" + urllib.parse.urlencode(query, doseq=True)
        headers = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            conn.request(method, path, body=body, headers=headers)
            answer = conn.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            conn.close()

    def envelope(self, method, path, body=None, query=None, **kw):
        status, headers, text = self.call(method, path, body, query, **kw)
        try:
            value = json.loads(text)
        except ValueError as e:
            raise AssertionError(f"{method} {path}: status {status}, not JSON: {text[:300]!r}") from e
        if headers.get("Content-Type") != "application/json":
            raise AssertionError(f"{method} {path}: Content-Type is {headers.get('Content-Type')!r}")
        return value

    def get(self, path, **query):
        """The data of an answer that must be good."""
        return good(self.envelope("GET", path, query=query), path)

    def post(self, path, **body):
        return good(self.envelope("POST", path, body), path)

    def refused(self, method, path, body=None, **query):
        """The envelope of an answer that must be an error."""
        v = self.envelope(method, path, body, query)
        if v.get("code") == 0:
            raise AssertionError(f"{method} {path} was accepted: {v}")
        return v

    # ---- jobs

    def submit_raw(self, dag_schema, **extra):
        return self.envelope("POST", "/v2/job/submit", {"dag_schema": dag_schema, **extra})

    def submit(self, dag_schema, **extra):
        v = self.submit_raw(dag_schema, **extra)
        good(v, "/v2/job/submit")
        return v["job_id"]

    def progress(self, job_id):
        return self.get("/v2/job/progress", job_id=job_id)

    def status(self, job_id):
        return self.progress(job_id)["job"]["status"]

    def wait_job(self, job_id, status="success", timeout_s=PATIENCE_S):
        """Waits for the end of the job, which must be with this status (None: any)."""
        end = time.monotonic() + timeout_s
        while True:
            p = self.progress(job_id)
            if p["job"]["status"] in END_STATUSES:
                break
            if time.monotonic() > end:
                why = self.get("/v2/job/why", job_id=job_id)
                raise AssertionError(f"job {job_id} did not end in {timeout_s} s: {json.dumps(why, indent=1)}")
            time.sleep(0.05)
        if status is not None and p["job"]["status"] != status:
            why = self.get("/v2/job/why", job_id=job_id)
            raise AssertionError(f"job {job_id} ended {p['job']['status']}, not {status}: {json.dumps(why, indent=1)}")
        return p

    def wait_started(self, job_id, task, timeout_s=PATIENCE_S):
        """Waits until every party of the task has started it."""

        def check():
            for t in self.progress(job_id)["tasks"]:
                if t["task_name"] == task:
                    return all(p["status"] != "waiting" for p in t["parties"])
            return False

        wait_until(f"task {task} of job {job_id} has started at every party", check, timeout_s)

    def events(self, job_id):
        return self.get("/v2/job/events", job_id=job_id, after=0, limit=1000)

    def stop(self, job_id):
        return self.envelope("POST", "/v2/job/stop", {"job_id": job_id})


def good(envelope, what):
    if envelope.get("code") != 0:
        raise AssertionError(f"{what}: code {envelope.get('code')}: {envelope.get('message')}")
    return envelope.get("data")


class Node:
    """One nornd process of a site. Its ports stay over restarts."""

    def __init__(self, site, number, extra):
        self.site = site
        self.name = f"{site.name}-{number}"
        self.port = free_port()
        self.peer_port = free_port()
        self.api = Api(self.port)
        self.err_file = os.path.join(site.dir, self.name + ".err")
        self.conf_file = os.path.join(site.dir, self.name + ".yaml")
        self.process = None
        self.env = {}  # more of its environment
        conf = {
            "site": {"name": site.name, "parties": site.parties},
            "node": {"name": self.name},
            "dirs": {"data": site.dir + "/data", "logs": site.dir + "/logs"},
            "database": {"url": cluster().conninfo(site.database)},
            "http": {"listen": f"127.0.0.1:{self.port}"},
            "peer": {"listen": f"127.0.0.1:{self.peer_port}", "ca": site.tls["ca"], "cert": site.tls["cert"],
                     "key": site.tls["key"]},
            "components": {"norn_component": program("norn-component"), "norn_run": program("norn-run")},
        }
        for path, value in extra.items():
            section, key = path.split(".")
            conf.setdefault(section, {})[key] = value
        with open(self.conf_file, "w", encoding="utf-8") as f:
            json.dump(conf, f, indent=1)  # JSON is YAML

    def migrate(self):
        r = subprocess.run([program("nornd"), "--config", self.conf_file, "--migrate"], capture_output=True,
                           text=True, check=False, env=child_env())
        if r.returncode != 0:
            raise AssertionError("migrate: " + r.stderr)

    def start(self):
        with open(self.err_file, "ab") as err:
            self.process = subprocess.Popen([program("nornd"), "--config", self.conf_file], stdin=subprocess.DEVNULL,
                                            stdout=err, stderr=err, env={**child_env(), **self.env},
                                            cwd=self.site.dir)
        return self

    def wait_ready(self, timeout_s=PATIENCE_S):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.process.returncode}\n{self.tail()}")
            try:
                status, _, _ = self.api.call("GET", "/readyz", timeout_s=PATIENCE_S)
            except OSError:
                return False
            return status == 200

        wait_until(f"{self.name} is ready", ready, timeout_s)

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        os.kill(self.process.pid, number)

    def kill(self):
        """Like a crash of the machine: no farewell."""
        if self.running:
            self.process.kill()
            self.process.wait()

    def stop(self, timeout_s=PATIENCE_S):
        """In order; the exit status must be 0."""
        if not self.running:
            return
        self.process.terminate()
        try:
            status = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired as e:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait()
            raise AssertionError(f"{self.name} did not end within {timeout_s} s of SIGTERM\n{self.tail()}") from e
        if status != 0:
            raise AssertionError(f"{self.name} ended with {status} after SIGTERM\n{self.tail()}")

    def tail(self, lines=25):
        return tail_of(self.err_file, lines)


class Site:
    """One organisation: a database, a certificate, nodes that share both."""

    def __init__(self, name, directory, ca_dir, parties, nodes=1, conf=None):
        Run.tests_made += 1
        self.name = name
        self.parties = parties
        self.dir = directory
        self.database = re.sub("[^a-z0-9_]", "_", f"norn_{name}_{Run.tests_made}")
        os.makedirs(os.path.join(directory, "data"))
        os.makedirs(os.path.join(directory, "logs"))
        self.tls = make_cert(ca_dir, name, parties, os.path.join(directory, "tls"))
        cluster().command("createdb", self.database)
        self.nodes = [Node(self, i + 1, conf or {}) for i in range(nodes)]
        self.nodes[0].migrate()
        Run.sites.append(self)

    @property
    def api(self):
        for n in self.nodes:
            if n.running:
                return n.api
        return self.nodes[0].api

    @property
    def url(self):
        return f"http://127.0.0.1:{self.api.port}"

    def peer_url(self, node=0):
        return f"https://127.0.0.1:{self.nodes[node].peer_port}"

    def psql(self, sql):
        return cluster().psql(self.database, sql)

    def norn(self, *args, timeout_s=120, stdin=None):
        """The command line against this site: the finished process."""
        return subprocess.run([program("norn"), "--url", self.url, *args], capture_output=True, text=True, check=False,
                              timeout=timeout_s, env=child_env(), input=stdin, cwd=self.dir)

    def log_file(self):
        return os.path.join(self.dir, "logs/norn/nornd.log")

    def log_text(self):
        try:
            with open(self.log_file(), encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def wait_log(self, pattern, since=0, timeout_s=PATIENCE_S):
        """Waits for a line of the server log, from a position (a length of log_text() before)."""
        return wait_until(f"the log of {self.name} says {pattern!r}",
                          lambda: re.search(pattern, self.log_text()[since:]), timeout_s)

    def stop(self):
        for n in self.nodes:
            n.stop()

    def kill(self):
        for n in self.nodes:
            n.kill()

    def processes_of(self, job_id):
        """Ids of processes on this machine that work for the job: their command line or directory names it."""
        mine = os.path.join(self.dir, "")
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    text = f.read().decode(errors="replace")
                cwd = os.readlink(f"/proc/{pid}/cwd")
            except OSError:
                continue
            if job_id in text + cwd and mine in text + cwd:
                found.append(int(pid))
        return found

    def upload(self, csv_text, name, namespace="test", **more):
        """Uploads a table and waits for it; the id of the job that did it."""
        path = os.path.join(self.dir, f"{namespace}.{name}.csv")
        with open(path, "w", encoding="utf-8") as f:
            f.write(csv_text)
        r = self.norn("data", "upload", path, "--namespace", namespace, "--name", name,
                      *[x for k, v in more.items() for x in ("--" + k.replace("_", "-"), str(v))])
        if r.returncode != 0:
            raise AssertionError(f"upload of {name} at {self.name}: {r.stdout}{r.stderr}")


class Federation:
    """Sites that know each other. Keys of site_conf are site names; conf goes to every node."""

    def __init__(self, title, sites=("guest", "host", "arbiter"), nodes=1, conf=None, site_conf=None):
        self.dir = os.path.join(root_dir(), title)
        others = 0  # two test modules may have classes of one name
        while os.path.exists(self.dir):
            others += 1
            self.dir = os.path.join(root_dir(), f"{title}{others}")
        os.makedirs(self.dir)
        self.ca_dir = make_ca(os.path.join(self.dir, "ca"))
        self.sites = {}
        for s in sites:
            both = {**(conf or {}), **(site_conf or {}).get(s, {})}
            self.sites[s] = Site(s, os.path.join(self.dir, s), self.ca_dir, [PARTY_OF[s]],
                                 nodes if isinstance(nodes, int) else nodes.get(s, 1), both)

    def __getattr__(self, name):
        try:
            return self.__dict__["sites"][name]
        except KeyError:
            raise AttributeError(name) from None

    def start(self):
        for s in self.sites.values():
            for n in s.nodes:
                n.start()
        for s in self.sites.values():
            for n in s.nodes:
                n.wait_ready()
        for s in self.sites.values():
            for o in self.sites.values():
                if s is not o:
                    for party in o.parties:
                        s.api.post("/v2/site/route/add", party_id=party, url=o.peer_url())
        return self

    def stop(self):
        """Every node in order; then no process of a job may be left."""
        errors = []
        for s in self.sites.values():
            try:
                s.stop()
            except AssertionError as e:
                errors.append(str(e))
                s.kill()
        look_for_sanitizer_reports(self.dir)
        for s in self.sites.values():
            if s in Run.sites:
                Run.sites.remove(s)
        if errors:
            raise AssertionError("\n".join(errors))


def make_ca(directory):
    r = subprocess.run([program("norn"), "site", "ca", "init", directory], capture_output=True, text=True,
                       check=False, env=child_env())
    if r.returncode != 0:
        raise AssertionError("norn site ca init: " + r.stderr)
    return directory


def make_cert(ca_dir, name, parties, out, *more):
    args = [x for p in parties for x in ("--party", p)]
    r = subprocess.run([program("norn"), "site", "cert", ca_dir, name, *args, "--host", "127.0.0.1", "--out", out,
                        *more], capture_output=True, text=True, check=False, env=child_env())
    if r.returncode != 0:
        raise AssertionError("norn site cert: " + r.stderr)
    return {"ca": os.path.join(ca_dir, "ca.crt"), "cert": os.path.join(out, name + ".crt"),
            "key": os.path.join(out, name + ".key")}


def tail_of(path, lines=25):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return "".join(f.readlines()[-lines:])
    except FileNotFoundError:
        return ""


def log_tails():
    """The ends of the logs of every site that is up, for a test that failed."""
    out = []
    for s in Run.sites:
        out.append(f"---- {s.name}: server log\n{tail_of(s.log_file())}")
        for n in s.nodes:
            if n.tail():
                out.append(f"---- {n.name}: standard error\n{n.tail()}")
    return "\n".join(out)


def look_for_sanitizer_reports(directory):
    """Reports of AddressSanitizer and UBSan in whatever nodes and components have written."""
    for base, _, files in os.walk(directory):
        for name in files:
            path = os.path.join(base, name)
            if "/data/" in path and not name.startswith("std"):
                continue
            with open(path, encoding="utf-8", errors="replace") as f:
                text = f.read()
            for sign in SANITIZER_SIGNS:
                at = text.find(sign)
                if at >= 0:
                    Run.sanitizer_reports.append(f"{os.path.relpath(path, Run.root)}:\n{text[max(0, at - 200):at + 3000]}")
                    break


def clean_up():
    """Ends what is left and removes the directory of the run."""
    if Run.root is None:
        return
    for s in Run.sites:
        s.kill()
    Run.sites.clear()
    if Run.cluster is not None:
        subprocess.run([PGCLUSTER, "destroy", Run.cluster.dir], capture_output=True, check=False)
        Run.cluster = None
    if os.environ.get("NORN_KEEP"):
        print("kept:", Run.root)
    else:
        shutil.rmtree(Run.root, ignore_errors=True)
    Run.root = None


# ---- job definitions


def party_list(*names):
    """[{role, party_id: [id]}] of site names; "guest" is guest 9999, and so on."""
    return [{"role": n, "party_id": [PARTY_OF[n]]} for n in names]


def noop(after=None, parties=None, conf=None, **parameters):
    """A task that does what its parameters say; after: the task whose output it reads."""
    t = {"component_ref": "noop", "parameters": parameters}
    if parties:
        t["parties"] = party_list(*parties)
    if conf:
        t["conf"] = conf
    if after:
        t["inputs"] = {"data": {"input_data": {"task_output_artifact": {
            "producer_task": after, "output_artifact_key": "output_data"}}}}
    return t


def job(tasks, parties=("guest", "host"), cores=1, party_tasks=None, stage="default", **conf):
    """A job definition; conf goes to dag.conf."""
    dag = {
        "stage": stage,
        "parties": party_list(*parties),
        "conf": {"cores": cores, "task": {"timeout": 120, "engine_run": {"cores": min(1, cores)}}, **conf},
        "tasks": tasks,
    }
    if party_tasks:
        dag["party_tasks"] = party_tasks
    return {"schema_version": "2.2.0", "dag": dag}


def for_party(name, **tasks):
    """An entry of party_tasks: parameters of one party's tasks."""
    return {f"{name}_{PARTY_OF[name]}": {"parties": party_list(name),
                                         "tasks": {t: {"parameters": p} for t, p in tasks.items()}}}


class FederationTest(unittest.TestCase):
    """Sites are up for a whole class. Sub-classes say which, by class attributes."""

    sites = ("guest", "host", "arbiter")
    nodes = 1
    conf = {}
    site_conf = {}
    fed = None

    @classmethod
    def setUpClass(cls):
        cls.fed = Federation(cls.__name__, cls.sites, cls.nodes, cls.conf, cls.site_conf)
        cls.fed.start()
        cls.guest = cls.fed.sites.get("guest")
        cls.host = cls.fed.sites.get("host")
        cls.arbiter = cls.fed.sites.get("arbiter")

    @classmethod
    def tearDownClass(cls):
        cls.fed.stop()

    def assert_no_processes(self, job_id, timeout_s=PATIENCE_S):
        wait_until(f"no process of job {job_id} is left",
                   lambda: not any(s.processes_of(job_id) for s in self.fed.sites.values()), timeout_s)
