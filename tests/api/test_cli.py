"""The command line: every group by table and by JSON, exit statuses, terminals, completion, and norn-flow."""

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import tarfile
import threading
import time
import unittest

import harness
from harness import ARBITER, GUEST, HOST, FederationTest, for_party, job, noop, wait_until

ESCAPE = "\x1b"
OK, FAILED, USAGE, UNREACHABLE, NOT_FOUND, CANCELED, TIMEOUT = range(7)
NO_JOB = "202601010000000000000"
TABLE = "id,y,x0\n" + "".join(f"u{i},{i % 2},{i}.5\n" for i in range(50))

# The commands of FATE's flow 2.2.0 with their options, the short form where there is one.
FLOW = {
    "init": "--ip --port --app-id --app-token --reset",
    "version": "",
    "client create-client": "--app-name",
    "client delete-client": "--app-id",
    "client query-client": "--app-id --app-name",
    "client create-site": "-p",
    "client delete-site": "-p",
    "client query-site": "-p",
    "client create-partner": "-p --app-id --app-token",
    "client delete-partner": "-p",
    "client query-partner": "-p",
    "data upload": "-c",
    "data upload-file": "-c",
    "data transformer": "-c",
    "data download-component": "-n -ns -o",
    "data download": "-n -ns -o",
    "job submit": "-c",
    "job query": "-j -r -p -s",
    "job add-notes": "-j -r -p --notes",
    "job stop": "-j",
    "job rerun": "-j",
    "job list": "-j -r -p -s -l",
    "job download-log": "-j -o",
    "job clean-queue": "",
    "job clean": "-j",
    "job dependency": "-j -r -p",
    "task query": "-j -r -p -tn -s -tid -tv",
    "task list": "-j -r -p -tn -l",
    "log count": "--log-type -j -r -p --instance-id",
    "log query": "--log-type -j -r -p -tn --instance-id",
    "model export": "-mid -mv -p -r -o",
    "model import": "-mid -mv -i",
    "model delete": "-mid -mv -r -p -tn --output-key",
    "output query-metric-key": "-j -r -p -tn",
    "output query-metric": "-j -r -p -tn",
    "output delete-metric": "-j -r -p -tn",
    "output query-model": "-j -r -p -tn",
    "output download-model": "-j -r -p -tn -o",
    "output delete-model": "-j -r -p -tn",
    "output download-data": "-j -r -p -tn -o",
    "output query-data-table": "-j -r -p -tn",
    "output display-data": "-j -r -p -tn",
    "permission grant": "--app-id -r",
    "permission delete": "--app-id -r",
    "permission query": "--app-id",
    "permission grant-resource": "-c",
    "permission delete-resource": "-c",
    "permission query-resource": "-p",
    "provider register": "-c",
    "provider query": "-n --device --version --provider-name",
    "provider delete": "-n --device --version --provider-name",
    "server info": "",
    "site query": "",
    "table query": "-ns -n -d",
    "table delete": "-ns -n",
    "table bind": "-ns -n -o",
    "test toy": "-gid -hid -t",
}


def groups():
    text = subprocess.run([harness.program("norn"), "--help"], capture_output=True, text=True, check=True).stdout
    return re.findall(r"^  ([a-z]+) ", text.split("Groups")[1].split("\n\n")[0], re.M)


def commands(group):
    text = subprocess.run([harness.program("norn"), group, "--help"], capture_output=True, text=True,
                          check=True).stdout
    return re.findall(r"^  ([a-z][a-z-]*)", text.split("Options of every")[0], re.M)


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, *args, rows=40, columns=120):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            env = {**harness.child_env(), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
            os.execve(args[0], args, env)
        import fcntl
        import struct
        import termios

        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.text = ""

    def read(self, wait_s=0.05):
        ready, _, _ = select.select([self.fd], [], [], wait_s)
        if not ready:
            return True
        try:
            piece = os.read(self.fd, 65536)
        except OSError:
            return False
        self.text += piece.decode("utf-8", "replace")
        return bool(piece)

    def wait_text(self, words):
        def seen():
            self.read()
            return words in self.text

        wait_until(f"the terminal shows {words!r}", seen, 60)

    def send(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        """The exit status, when everything it wrote was read."""
        while self.read(60):
            pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


class Cli(FederationTest):
    sites = ("guest", "host")
    conf = {"resources.cores": 4, "components.allow_register": True}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.guest.upload(TABLE, "mine", label="y")
        cls.good = cls.guest.api.submit(job({"a": noop(), "b": noop(after="a")}))
        cls.bad = cls.guest.api.submit(job({"a": noop()}, party_tasks=for_party("host", a={"fail": 1})))
        cls.reads = cls.guest.api.submit(job({"r": {"component_ref": "reader", "parameters": {
            "namespace": "test", "name": "mine"}}}, parties=("guest",)))
        cls.guest.api.wait_job(cls.good)
        cls.guest.api.wait_job(cls.reads)
        cls.guest.api.wait_job(cls.bad, "failed")

    def run_norn(self, *args, status=OK, **kw):
        r = self.guest.norn(*args, **kw)
        self.assertEqual(r.returncode, status, f"norn {args}: {r.stdout}{r.stderr}")
        self.assertNotIn(ESCAPE, r.stdout + r.stderr)
        return r

    def json_of(self, *args, status=OK):
        return json.loads(self.run_norn(*args, "--json", status=status).stdout)

    def shows(self, *args, words=()):
        """The table has these words, and JSON comes with --json."""
        r = self.run_norn(*args)
        for w in words:
            self.assertIn(w, r.stdout)
        return self.json_of(*args)

    def file(self, name, text):
        path = os.path.join(self.guest.dir, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path


class Groups(Cli):
    def test_job(self):
        self.shows("job", "list", words=(self.good, self.bad, "failed"))
        self.shows("job", "list", "--job", self.good, "--order-by", "create_time", "--ascending", words=(self.good,))
        first = self.run_norn("job", "list", "--limit", "1").stdout
        self.assertIn("in all", first)
        self.assertNotEqual(first, self.run_norn("job", "list", "--limit", "1", "--page", "2").stdout)
        rows = self.shows("job", "query", self.good, words=(GUEST, "100 %"))
        self.assertEqual(rows[0]["job_id"], self.good)
        self.run_norn("job", "query", status=USAGE)
        self.run_norn("job", "notes", self.good, "for the paper")
        self.assertIn("for the paper", self.run_norn("job", "list").stdout)
        self.shows("job", "dependency", self.good, words=("noop", "input_data of a"))
        self.shows("job", "data", self.reads, words=("test", "mine"))
        self.shows("job", "timing", self.good, words=("reported",))
        self.shows("job", "events", self.good, words=("success",))

    def test_job_clean_queue(self):
        holds = self.guest.api.submit(job({"hold": noop(sleep_ms=120000)}, cores=4))
        self.guest.api.wait_started(holds, "hold")
        waits = self.guest.api.submit(job({"a": noop()}, cores=4))
        wait_until("it waits", lambda: self.guest.api.status(waits) == "waiting")
        text = self.run_norn("top").stdout
        self.assertIn(waits, text)
        self.assertIn("needs 4 cores", text)
        self.assertNotIn("has waited longer", text)  # nobody is ahead
        self.assertIn(f"job {waits}: stopped", self.run_norn("job", "clean-queue").stdout)
        self.guest.api.wait_job(waits, "canceled")
        self.assertEqual(self.guest.api.status(holds), "running")
        self.run_norn("job", "stop", holds)
        self.guest.api.wait_job(holds, "canceled")
        self.assertIn("no job waits", self.run_norn("job", "clean-queue").stdout)

    def test_task(self):
        self.shows("task", "list", self.good, words=("noop", "success"))
        rows = self.json_of("task", "list", self.good, "--all", "--task", "a")
        self.assertEqual([r["task_name"] for r in rows["data"]], ["a"])
        self.run_norn("task", "list", self.good, "--limit", "1", status=USAGE)
        self.shows("task", "show", self.good, "b", words=("b", "success"))
        self.shows("task", "query", "--job", self.good, "--status", "success", words=(self.good,))
        self.run_norn("task", "query", status=USAGE)
        self.run_norn("task", "query", "--status", "nonsense", status=USAGE)

    def test_data_and_table(self):
        v = self.shows("table", "show", "test", "mine", "--rows", words=("50", "x0"))
        self.assertEqual(v["count"], 50)
        out = os.path.join(self.guest.dir, "mine.tar.gz")
        v = self.json_of("data", "download", "test", "mine", "--out", out)
        self.assertEqual(v["bytes"], os.path.getsize(out))
        with tarfile.open(out) as t:
            self.assertIn("data/0.csv", t.getnames())
        self.run_norn("data", "download", "test", "mine", "--out", out, status=USAGE)
        self.run_norn("data", "download", "test", "mine", "--out", out, "--force")
        self.run_norn("data", "download", "test", "none", "--out", out + "2", status=NOT_FOUND)
        self.assertFalse(os.path.exists(out + "2"))
        self.run_norn("table", "bind", "test", "bound", self.guest.dir)
        self.assertIn(self.guest.dir, self.run_norn("table", "show", "test", "bound").stdout)
        self.run_norn("table", "delete", "test", "bound")
        self.run_norn("table", "show", "test", "bound", status=NOT_FOUND)

    def test_upload_from_here_and_there(self):
        path = self.file("up.csv", TABLE)
        r = self.run_norn("data", "upload", path, "--namespace", "test", "--name", "sent", "--label", "y")
        self.assertIn("50 rows", r.stdout)
        r = self.run_norn("data", "upload", path, "--server", "--namespace", "test", "--name", "read", "--label", "y")
        self.assertIn("50 rows", r.stdout)
        job_id = self.json_of("data", "upload", path, "--namespace", "test", "--name", "later", "--detach")["job_id"]
        self.run_norn("job", "wait", job_id, "--quiet")
        self.run_norn("data", "upload", path + ".none", "--namespace", "test", "--name", "x", status=NOT_FOUND)
        self.run_norn("data", "upload", self.guest.dir, "--namespace", "test", "--name", "x", status=USAGE)
        self.run_norn("data", "upload", path, "--name", "x", status=USAGE)
        exported = os.path.join(self.guest.dir, "exported")
        self.run_norn("data", "export", "test", "sent", exported)
        self.assertTrue(os.path.exists(exported))

    def test_output_and_metric(self):
        v = self.shows("output", "query-data-table", self.reads, "r", words=("output_data",))
        self.assertIn("output_data", v)
        self.shows("output", "display-data", self.reads, "r", words=("output_data 0",))
        self.shows("output", "query-metric-key", self.good, "a")
        self.shows("output", "query-metric", self.good, "a")
        out = os.path.join(self.guest.dir, "a.tar.gz")
        self.run_norn("output", "download-data", self.reads, "r", "--out", out, "--key", "output_data")
        with tarfile.open(out) as t:
            self.assertIn("output_data/0.csv", t.getnames())
        self.run_norn("output", "query-model", self.good, "a", status=NOT_FOUND)
        self.run_norn("output", "download-model", self.good, "a", status=NOT_FOUND)
        self.run_norn("output", "query-metric", self.good, "none", status=NOT_FOUND)
        self.run_norn("output", "delete-metric", self.good, "b")

    def test_log(self):
        n = int(self.run_norn("log", "count", self.good, "schedule_info").stdout)
        self.assertGreater(n, 0)
        lines = self.json_of("log", "query", self.good, "schedule_info", "--begin", "1", "--end", "2")
        self.assertEqual(lines[0]["line_num"], 1)
        self.run_norn("log", "query", self.good, "nonsense", status=USAGE)
        out = os.path.join(self.guest.dir, "logs.tar.gz")
        self.run_norn("log", "download", self.good, "--out", out)
        with tarfile.open(out) as t:
            self.assertIn("fate_flow_schedule.log", " ".join(t.getnames()))
        # the command of the same name
        self.assertIn(self.good, self.run_norn("log", self.good).stdout)
        self.run_norn("log", self.good, "a", "--stdout")
        self.run_norn("log", "--stdout", "count", self.good, "schedule_info", status=USAGE)
        self.run_norn("log", status=USAGE)

    def test_model(self):
        v = self.shows("model", "deploy", self.good, words=("--set dag.conf.model_warehouse.model_id=",))
        self.assertEqual(v["model_id"], self.good)
        self.run_norn("model", "export", self.good, "0", self.guest.dir, status=USAGE)
        self.run_norn("model", "delete", self.good, "0", status=NOT_FOUND)
        self.run_norn("model", "import", "m", "1", "/no/such.zip", status=NOT_FOUND)
        self.run_norn("model", "import", "m", "1", self.file("no.zip", "this is no archive"), status=FAILED)

    def test_provider_and_component(self):
        conf = self.file("provider.yaml", "name: mine\nversion: '1.0'\ndevice: local\nmetadata: {program: /bin/true}\n")
        self.assertIn("create success", self.run_norn("provider", "register", conf).stdout)
        self.shows("provider", "list", words=("mine:1.0@local", "norn:"))
        rows = self.shows("provider", "query", "--name", "mine", words=("/bin/true",))
        self.assertEqual(len(rows), 1)
        self.run_norn("provider", "delete", "mine:1.0@local")
        self.run_norn("provider", "delete", "mine:1.0@local", status=NOT_FOUND)
        self.run_norn("provider", "register", "/no/such/file", status=NOT_FOUND)
        self.shows("component", "list", words=("noop", "psi"))
        self.shows("component", "show", "psi")

    def test_site_and_server(self):
        self.assertEqual(self.run_norn("site", "info").stdout, GUEST + "\n")
        self.shows("site", "list", words=(HOST,))
        self.shows("site", "check", HOST)
        self.run_norn("site", "check", ARBITER, status=FAILED)
        self.shows("server", "nodes", words=("guest-1",))
        self.shows("server", "resources", words=("standalone",))
        self.shows("server", "info", words=(GUEST,))
        self.shows("server", "metrics", words=("norn_nodes_alive 1",))
        self.shows("server", "live", words=("ok",))
        self.shows("server", "ready", words=("is ready",))
        self.shows("server", "config")
        self.assertIn("/v2/job/submit", json.loads(self.run_norn("server", "openapi").stdout)["paths"])
        self.shows("server", "audit", words=("/v2/job/submit",))
        self.run_norn("server", "register", "ml", "192.0.2.7", "8059")
        self.shows("server", "query", "ml", words=("192.0.2.7",))
        self.run_norn("server", "register-service", "ml", "load", "/model/load")
        self.shows("server", "query", "ml", "load", words=("/model/load",))
        self.run_norn("server", "delete", "ml", "load")
        self.run_norn("server", "delete", "ml")
        self.run_norn("server", "delete", "ml", status=NOT_FOUND)
        self.run_norn("server", "query", "ml", status=NOT_FOUND)
        self.run_norn("server", "register", "ml", "192.0.2.7", "many", status=USAGE)

    def test_client_and_permission(self):
        self.shows("client", "whoami", words=("nobody",))
        self.shows("permission", "show", HOST)

    def test_every_command_has_help_with_an_example(self):
        n = 0
        for group in groups():
            for command in commands(group):
                args = [group, command] + (["init"] if (group, command) == ("site", "ca") else [])
                with self.subTest(args):
                    text = self.run_norn(*args, "--help").stdout
                    self.assertIn("Example:\n  norn " + " ".join(args), text)
                    self.assertIn("--json", text)
                    n += 1
        self.assertGreater(n, 70)

    def test_every_route_of_clients_has_a_command(self):
        with open(os.path.join(harness.SRC, "src/cli/flow.c"), encoding="utf-8") as f:
            text = f.read()
        for name in os.listdir(os.path.join(harness.SRC, "src/cli")):
            if name.startswith(("cmd_", "progress", "names", "jobfile")):
                with open(os.path.join(harness.SRC, "src/cli", name), encoding="utf-8") as f:
                    text += f.read()
        missing = []
        for name in os.listdir(os.path.join(harness.SRC, "src/api")):
            if not name.endswith(".c"):
                continue
            with open(os.path.join(harness.SRC, "src/api", name), encoding="utf-8") as f:
                source = f.read()
            for route in re.findall(r'"(?:GET|POST)",\s*"(/v2/[^"]*)"', source):
                if f'"{route}"' not in text and "{" not in route:
                    missing.append(route)
        # Components, not people, use the worker's; streams are for programs, people have log -f and job wait;
        # store and restore are names that FATE's clients never call.
        missing = [r for r in missing if not r.startswith("/v2/worker/") and not r.endswith("/stream")
                   and r not in ("/v2/model/store", "/v2/model/restore")]
        self.assertEqual(missing, [])


class Statuses(Cli):
    def test_run_ends_like_the_job(self):
        path = self.file("good.json", json.dumps(job({"a": noop()})))
        self.assertIn("ended with success", self.run_norn("run", path).stdout)
        self.assertEqual(self.json_of("run", path)["job"]["status"], "success")
        path = self.file("bad.json", json.dumps(job({"a": noop(fail=1)})))
        self.assertIn("failed as asked", self.run_norn("run", path, status=FAILED).stderr)
        path = self.file("long.json", json.dumps(job({"a": noop(sleep_ms=120000)})))
        job_id = self.run_norn("run", path, "--detach").stdout.strip()
        self.run_norn("job", "wait", job_id, "--for", "1", status=TIMEOUT)
        waiter = threading.Timer(0.5, lambda: self.guest.api.stop(job_id))
        waiter.start()
        self.run_norn("job", "wait", job_id, status=CANCELED)
        waiter.join()

    def test_errors(self):
        for args, status in ((["job", "show", NO_JOB], NOT_FOUND), (["why", NO_JOB], NOT_FOUND),
                             (["job", "query", NO_JOB], NOT_FOUND), (["job", "stop", NO_JOB], NOT_FOUND),
                             (["output", "query-metric", NO_JOB, "a"], NOT_FOUND),
                             (["log", "download", NO_JOB], NOT_FOUND), (["run", "/no/such.yaml"], NOT_FOUND),
                             (["job", "show", "a/b"], USAGE), (["job", "show"], USAGE), (["nonsense"], USAGE),
                             (["job", "nonsense"], USAGE), (["job", "list", "--nonsense"], USAGE),
                             (["job", "list", "--limit", "x"], USAGE), (["top", "--limit", "0"], USAGE)):
            with self.subTest(args):
                r = self.run_norn(*args, status=status)
                self.assertEqual(r.stdout, "")
                self.assertTrue(r.stderr.startswith("norn: "), r.stderr)

    def test_no_node(self):
        url = f"http://127.0.0.1:{harness.free_port()}"
        for args in (["job", "list"], ["top", "--once"], ["server", "live"], ["provider", "list"]):
            r = self.run_norn(*args, "--url", url, status=UNREACHABLE)
            self.assertIn(url, r.stderr)
        r = self.run_norn("doctor", "--url", url, status=FAILED)
        self.assertIn("start nornd", r.stdout)

    def test_something_else_answers(self):
        with socket.create_server(("127.0.0.1", 0)) as s:
            def answer():
                conn, _ = s.accept()
                conn.recv(10000)
                conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi")
                conn.close()

            t = threading.Thread(target=answer)
            t.start()
            r = self.run_norn("job", "list", "--url", f"http://127.0.0.1:{s.getsockname()[1]}", status=FAILED)
            t.join()
            self.assertIn("not a node of Norn", r.stderr)


class Watching(Cli):
    def test_top(self):
        holds = self.guest.api.submit(job({"hold": noop(sleep_ms=120000)}, cores=3))
        self.guest.api.wait_started(holds, "hold")
        v = self.shows("top", words=("guest-1", holds, self.good, "3 of 4"))
        self.assertEqual([r["job_id"] for r in v["running"]], [holds])
        self.assertEqual(v["running"][0]["cores"], 3)
        self.assertIn(self.bad, [r["job_id"] for r in v["ended"]])
        self.assertEqual(len(self.json_of("top", "--limit", "1")["ended"]), 1)
        t = Terminal(harness.program("norn"), "--url", self.guest.url, "top", "--interval", "1")
        t.wait_text(holds)
        self.assertIn("\x1b[?1049h", t.text)
        self.guest.api.stop(holds)
        self.guest.api.wait_job(holds, "canceled")
        t.wait_text("canceled")
        t.send("q")
        self.assertEqual(t.end(), OK)
        self.assertTrue(t.text.endswith("\x1b[?25h\x1b[?1049l"), t.text[-40:])

    def test_top_ends_at_an_interrupt(self):
        t = Terminal(harness.program("norn"), "--url", self.guest.url, "top")
        t.wait_text("guest-1")
        os.kill(t.pid, signal.SIGINT)
        self.assertEqual(t.end(), OK)

    def test_doctor(self):
        r = self.guest.norn("doctor")
        v = json.loads(self.guest.norn("doctor", "--json").stdout)
        checks = {c["name"]: c for c in v["checks"]}
        for name in ("node", "database", "schema", "clock", "nodes", "duties", "scheduling", "runs", "outbox",
                     "capacity", "reservations", "data directory", "log directory", "certificate of the site",
                     "provider", "this machine's clock", "site " + HOST):
            self.assertIn(name, checks)
            self.assertIn(name, r.stdout)
        for name in ("database", "schema", "nodes", "duties", "capacity", "reservations", "provider", "site " + HOST):
            self.assertEqual(checks[name]["status"], "ok", checks[name])
        self.assertEqual(v["failed"], sum(c["status"] == "failed" for c in v["checks"]))
        self.assertEqual(r.returncode, FAILED if v["failed"] else OK)
        self.assertNotIn(ESCAPE, r.stdout)
        for c in v["checks"]:
            self.assertEqual("hint" in c, c["status"] != "ok", c)

    def test_doctor_finds_what_is_wrong(self):
        self.guest.api.post("/v2/site/route/add", party_id="7777", url=f"https://127.0.0.1:{harness.free_port()}")
        self.addCleanup(self.guest.api.post, "/v2/site/route/remove", party_id="7777")
        conf = self.file("norn.yaml", "site: {parties: ['1']}\nnonsense: {x: 1}\n")
        os.chmod(conf, 0o666)
        r = self.guest.norn("doctor", "--config", conf)
        self.assertEqual(r.returncode, FAILED)
        self.assertRegex(r.stdout, r"failed +site 7777")
        self.assertIn("norn site check 7777", r.stdout)
        self.assertIn("can be written by others", r.stdout)
        self.assertIn("nonsense", r.stdout)

    def test_bars_only_on_a_terminal(self):
        path = self.file("bar.csv", "id,x0\n" + "".join(f"u{i},{i}\n" for i in range(2000)))
        self.run_norn("data", "upload", path, "--namespace", "test", "--name", "bar")
        t = Terminal(harness.program("norn"), "--url", self.guest.url, "job", "list")
        self.assertEqual(t.end(), OK)
        self.assertIn(self.good, t.text)
        # a node that takes its time
        with socket.create_server(("127.0.0.1", 0)) as s:
            go_on = threading.Event()

            def slow():
                conn, _ = s.accept()
                while b"\r\n\r\n" not in conn.recv(65536):
                    pass
                conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/gzip\r\nContent-Length: 2048\r\n\r\n")
                conn.sendall(b"x" * 1024)
                go_on.wait(60)
                conn.sendall(b"x" * 1024)
                conn.close()

            threading.Thread(target=slow, daemon=True).start()
            out = os.path.join(self.guest.dir, "slow.tar.gz")
            t = Terminal(harness.program("norn"), "--url", f"http://127.0.0.1:{s.getsockname()[1]}", "data",
                         "download", "test", "mine", "--out", out)
            t.wait_text("1.0 KiB")
            go_on.set()
            self.assertEqual(t.end(), OK)
            self.assertEqual(os.path.getsize(out), 2048)

    def test_a_large_upload_takes_little_memory(self):
        path = os.path.join(self.guest.dir, "large.bin")
        with open(path, "wb") as f:
            f.truncate(200 << 20)
        self.addCleanup(os.unlink, path)
        with socket.create_server(("127.0.0.1", 0)) as s:
            got = [0]

            def take():
                conn, _ = s.accept()
                end = b""
                while not end.endswith(b"--\r\n"):
                    piece = conn.recv(1 << 20)
                    if not piece:
                        break
                    got[0] += len(piece)
                    end = (end + piece)[-8:]
                conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 39\r\n\r\n"
                             b'{"code": 9005, "message": "too large"}\n')
                conn.close()

            t = threading.Thread(target=take)
            t.start()
            # what AddressSanitizer keeps back of freed memory would be counted, too
            env = {**harness.child_env(), "ASAN_OPTIONS": "quarantine_size_mb=1"}
            p = subprocess.Popen([harness.program("norn"), "--url", f"http://127.0.0.1:{s.getsockname()[1]}", "data",
                                  "upload", path, "--namespace", "test", "--name", "large"], stderr=subprocess.PIPE,
                                 stdout=subprocess.DEVNULL, env=env)
            peak_kib = 0  # of the program itself: what wait4 tells begins with the size of this process
            while p.poll() is None:
                with open(f"/proc/{p.pid}/status", encoding="ascii") as f:
                    seen = re.search(r"VmHWM:\s+(\d+) kB", f.read())
                peak_kib = max(peak_kib, int(seen.group(1)) if seen else 0)
                time.sleep(0.01)
            stderr = p.stderr.read()
            p.stderr.close()
            t.join()
            self.assertEqual(p.returncode, FAILED)
            self.assertGreater(peak_kib, 0)
            self.assertLess(peak_kib, 100 << 10, "KiB at the most")
            self.assertIn(b"too large", stderr)
            self.assertGreater(got[0], 200 << 20)


class Completion(unittest.TestCase):
    def complete(self, *words):
        script = os.path.join(harness.SRC, "etc/norn.bash-completion")
        code = (f'. "{script}"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _norn; '
                'printf "%s\\n" "${COMPREPLY[@]}"')
        r = subprocess.run(["bash", "-c", code, "bash", "norn", *words], capture_output=True, text=True, check=True)
        self.assertEqual(r.stderr, "")
        return r.stdout.split()

    def test_groups_commands_and_options(self):
        self.assertEqual(self.complete("jo"), ["job"])
        self.assertEqual(set(self.complete("job", "su")), {"submit", "suspend"})
        self.assertIn("doctor", self.complete("do"))
        self.assertEqual(self.complete("job", "submit", "--pl"), ["--plan"])
        self.assertEqual(self.complete("task", "list", "--role", "g"), ["guest"])
        self.assertIn("--begin", self.complete("log", "query", "1", "task_info", "--"))
        self.assertIn(os.path.join(harness.SRC, "etc/norn.yaml"),
                      self.complete("run", os.path.join(harness.SRC, "etc/norn.ya")))

    def test_everything_is_known(self):
        words = self.complete("")
        for group in groups():
            self.assertIn(group, words)
            self.assertEqual(set(commands(group)) - {"init"}, set(self.complete(group, "")) - {"init"})


class Flow(Cli):
    def flow(self, *args, status=OK):
        env = {**harness.child_env(), "NORN_URL": self.guest.url}
        r = subprocess.run([harness.program("norn-flow"), *args], capture_output=True, text=True, check=False, env=env,
                           cwd=self.guest.dir, timeout=120)
        self.assertEqual(r.returncode, status, f"flow {args}: {r.stdout}{r.stderr}")
        return r.stdout

    def envelope(self, *args, status=OK):
        return json.loads(self.flow(*args, status=status))

    def test_job(self):
        conf = self.file("flow.yaml", json.dumps(job({"a": noop()})))
        v = self.envelope("job", "submit", "-c", conf)
        self.assertEqual((v["code"], v["data"]["model_id"]), (0, v["job_id"]))
        self.guest.api.wait_job(v["job_id"])
        for args in (["-j", v["job_id"], "-r", "guest", "-p", GUEST], ["--job-id=" + v["job_id"]],
                     ["-j" + v["job_id"]]):
            q = self.envelope("job", "query", *args)
            self.assertEqual(q["data"][0]["status"], "success")
        self.assertEqual(len(self.envelope("job", "list", "-l", "1")["data"]["data"]), 1)
        self.assertEqual(self.envelope("task", "query", "-j", v["job_id"], "-tn", "a")["data"][0]["task_name"], "a")
        self.assertEqual(self.envelope("job", "stop", "-j", NO_JOB, status=FAILED)["code"], 1001)
        self.envelope("job", "add-notes", "-j", v["job_id"], "-r", "guest", "-p", GUEST, "--notes", "by flow")
        self.flow("job", "query", "--nonsense", "x", status=USAGE)
        self.flow("job", "stop", status=USAGE)
        self.flow("job", "nonsense", status=USAGE)
        self.assertIn("--job-id", self.flow("job", "query", "--help"))

    def test_data_and_output(self):
        csv = self.file("flow.csv", TABLE)
        meta = {"delimiter": ",", "sample_id_name": "id", "match_id_name": "id", "label_name": "y"}
        body = {"file": csv, "head": True, "partitions": 4, "meta": meta, "namespace": "test"}
        for command, name in (("upload", "flow1"), ("upload-file", "flow2")):
            conf = self.file("upload.json", json.dumps({**body, "name": name}))
            v = self.envelope("data", command, "-c", conf)
            self.assertEqual(v["code"], 0, v)
            self.guest.api.wait_job(v["job_id"])
            self.assertEqual(self.envelope("table", "query", "-ns", "test", "-n", name)["data"]["count"], 50)
        self.envelope("data", "download", "-n", "flow1", "-ns", "test", "-o", "got")
        self.assertTrue(os.path.exists(os.path.join(self.guest.dir, "got/download_data_test_flow1/data/0.csv")))
        four = ["-j", self.reads, "-r", "guest", "-p", GUEST, "-tn", "r"]
        v = self.envelope("output", "download-data", *four, "-o", "got")
        self.assertTrue(os.path.exists(os.path.join(self.guest.dir, v["directory"], "output_data/0.csv")))
        self.assertIn("output_data", self.envelope("output", "query-data-table", *four))
        self.assertEqual(self.envelope("output", "download-model", *four, "-o", "got", status=FAILED)["code"], 2005)
        self.envelope("job", "download-log", "-j", self.good, "-o", "got")
        self.assertTrue(os.listdir(os.path.join(self.guest.dir, f"got/{self.good}_logs")))
        self.assertEqual(self.envelope("data", "upload", "-c", "/no/such", status=NOT_FOUND)["code"], 100)

    def test_init(self):
        home = os.path.join(self.guest.dir, "home")
        os.makedirs(home)
        env = {**harness.child_env(), "HOME": home}

        def flow(*args):
            r = subprocess.run([harness.program("norn-flow"), *args], capture_output=True, text=True, check=False,
                               env=env)
            return r.returncode, json.loads(r.stdout)

        port = str(self.guest.api.port)
        self.assertEqual(flow("init", "--ip", "127.0.0.1", "--port", str(harness.free_port()))[1]["code"], 100)
        self.assertFalse(os.path.exists(os.path.join(home, ".config/norn/client.yaml")))
        self.assertEqual(flow("init", "--ip", "127.0.0.1", "--port", port)[1]["code"], 0)
        self.assertEqual(flow("site", "query")[1]["data"]["party_id"], GUEST)
        self.assertEqual(flow("init", "--app-id", "me", "--app-token", "secret")[1]["code"], 0)
        keys = os.path.join(home, ".config/norn/keys")
        self.assertEqual(os.stat(keys).st_mode & 0o777, 0o600)
        self.assertEqual(flow("init", "--reset")[1]["code"], 0)
        with open(keys, encoding="utf-8") as f:
            self.assertNotIn("secret", f.read())

    def test_every_command_of_flow(self):
        found = {}
        for word in re.findall(r"^  ([a-z]+)$", self.flow("--help"), re.M):
            inner = self.flow(word, "--help")
            names = re.findall(r"^  ([a-z-]+)$", inner, re.M)
            for command in [f"{word} {n}" for n in names] or [word]:
                text = self.flow(*command.split(), "--help")
                found[command] = set(re.findall(r"^  (-[a-z-]+)", text, re.M)) - {"-h"}
        self.assertEqual(found, {k: set(v.split()) for k, v in FLOW.items()})

    def test_others(self):
        self.assertEqual(self.envelope("server", "info")["code"], 0)
        self.assertEqual(self.envelope("log", "count", "--log-type", "schedule_info", "-j", self.good)["code"], 0)
        self.assertEqual(self.envelope("provider", "query", "-n", "norn")["data"][0]["name"], "norn")
        self.assertEqual(self.envelope("permission", "query-resource", "-p", HOST)["code"], 0)
        self.flow("version")
