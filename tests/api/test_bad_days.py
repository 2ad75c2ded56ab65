"""Bad days of a site: no database, no room on a disk, parties that do not answer, more jobs at once than it can take.
Each has a clear end, in words, and what can go on goes on."""

import json
import os
import resource
import selectors
import shutil
import signal
import socket
import subprocess
import time
import unittest

import harness
from harness import ARBITER, HOST, FederationTest, for_party, job, noop, wait_until

BURST_JOBS = int(os.environ.get("NORN_TEST_BURST", "1000"))  # 10000 when there is time
OUTAGE_S = float(os.environ.get("NORN_TEST_OUTAGE_S", "6"))   # 60 when there is time


def ready(node):
    return node.api.call("GET", "/readyz")[0] == 200


class NoDatabase(FederationTest):
    sites = ("guest", "host")
    conf = {"cluster.lease_ms": 3000, "resources.cores": 2}

    def test_none_when_the_sites_start(self):
        for site in self.fed.sites.values():
            site.stop()
        harness.cluster().stop()
        since = {site: len(site.log_text()) for site in self.fed.sites.values()}
        try:
            for site in self.fed.sites.values():
                site.nodes[0].start()
            for site in self.fed.sites.values():
                site.wait_log("waiting for the database: .*connect", since[site])
        finally:
            harness.cluster().start()
        for site in self.fed.sites.values():
            site.nodes[0].wait_ready(60)
        self.guest.api.wait_job(self.guest.api.submit(job({"a": noop(), "b": noop(after="a")})))

    def test_none_for_a_while(self):
        """Jobs that run, that wait for cores and that wait for a retry go on; what is asked meanwhile is refused."""
        running = self.guest.api.submit(job({"a": noop(sleep_ms=2000), "b": noop(after="a")}, cores=2))
        self.guest.api.wait_started(running, "a")
        waiting = [self.guest.api.submit(job({"a": noop()}, cores=2)) for _ in range(3)]
        failing = self.guest.api.submit(job({"bad": noop(fail=3)}, cores=1, auto_retries=2))
        harness.cluster().stop()
        try:
            began = time.monotonic()
            wait_until("readyz says so", lambda: not ready(self.guest.nodes[0]))
            status, headers, text = self.guest.api.call("POST", "/v2/job/submit", {"dag_schema": job({"a": noop()})})
            refused = json.loads(text)
            self.assertEqual((status, refused["code"]), (200, 9007), refused)
            self.assertIn("no connection to the database", refused["message"])
            self.assertEqual(headers["Retry-After"], "1")
            r = self.guest.norn("why", running)
            self.assertNotEqual(r.returncode, 0)
            self.assertIn("database", r.stderr)
            time.sleep(max(0.0, OUTAGE_S - (time.monotonic() - began)))  # the bad day itself
        finally:
            harness.cluster().start()
        for site in self.fed.sites.values():
            wait_until("ready again", lambda s=site: ready(s.nodes[0]), timeout_s=60)
        for job_id in (running, *waiting):
            self.guest.api.wait_job(job_id, timeout_s=120)
        p = self.guest.api.wait_job(failing, "failed", timeout_s=120)
        self.assertGreaterEqual(p["tasks"][0]["attempt"], 2)
        for job_id in (running, failing):
            self.assert_no_processes(job_id)


class FullDisk(FederationTest):
    """Data and logs on a small disk, a file that fills it, and the same for the tables of the database."""

    sites = ("guest",)
    conf = {"resources.cores": 8}

    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("only root may mount the small disks of this test")
        cls.fed = harness.Federation(cls.__name__, cls.sites, 1, cls.conf)
        cls.guest = cls.fed.guest
        for name in ("data", "logs"):
            cls.mount(os.path.join(cls.guest.dir, name), "8m")
        cls.fed.start()

    @classmethod
    def mount(cls, path, size):
        os.makedirs(path, exist_ok=True)
        r = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", path], capture_output=True,
                           text=True, check=False)
        if r.returncode != 0:
            raise unittest.SkipTest("a small disk cannot be mounted here: " + r.stderr.strip())
        cls.addClassCleanup(subprocess.run, ["umount", "-l", path], check=True)

    def fill(self, path):
        """Takes all room below the directory until the end of the test, or until free() is called with the answer."""
        ballast = os.path.join(path, "ballast")

        def free():
            if os.path.exists(ballast):
                os.unlink(ballast)

        self.addCleanup(free)
        with open(ballast, "wb", buffering=0) as f:
            for step in (65536, 1):
                try:
                    while f.write(b"x" * step):
                        pass
                except OSError:
                    pass
        self.assertEqual(shutil.disk_usage(path).free, 0)
        return free

    def test_no_room_for_data(self):
        free = self.fill(os.path.join(self.guest.dir, "data"))
        job_id = self.guest.api.submit(job({"a": noop()}, parties=["guest"]))
        self.guest.api.wait_job(job_id, "failed")
        r = self.guest.norn("why", job_id)
        self.assertIn("No space left on device", r.stdout)
        self.assertIn("make room", r.stdout.replace("\n", " "))
        self.assertEqual(self.guest.api.call("GET", "/readyz")[0], 200)
        free()
        self.guest.api.post("/v2/job/rerun", job_id=job_id)
        self.guest.api.wait_job(job_id)

    def test_an_upload_larger_than_the_disk(self):
        path = os.path.join(self.guest.dir, "large.csv")
        with open(path, "w", encoding="ascii") as f:
            f.write("id,x\n")
            f.writelines(f"{i},{i}.123456789123456789\n" for i in range(600000))
        self.addCleanup(os.unlink, path)
        r = self.guest.norn("data", "upload", path, "--namespace", "test", "--name", "large")
        self.assertNotEqual(r.returncode, 0)
        self.assertIn("No space left on device", r.stdout + r.stderr)
        self.guest.upload("id,x\n1,2\n", "small")
        self.assertEqual(os.listdir(os.path.join(self.guest.dir, "data/spool")), [], "nothing is left of it")

    def test_no_room_for_logs(self):
        free = self.fill(os.path.join(self.guest.dir, "logs"))
        job_id = self.guest.api.submit(job({"a": noop(stdout_lines=1000)}, parties=["guest"]))
        p = self.guest.api.wait_job(job_id, None)
        if p["job"]["status"] != "success":  # where not even a directory can be made
            self.assertIn("No space left on device", self.guest.norn("why", job_id).stdout)

        def says_so():
            self.guest.api.wait_job(self.guest.api.submit(job({"a": noop()}, parties=["guest"])), None)
            return "cannot write the log file" in self.guest.nodes[0].tail(1000)

        wait_until("lines go to standard error", says_so)
        free()
        since = len(self.guest.log_text())

        def logs_again():
            self.guest.api.wait_job(self.guest.api.submit(job({"a": noop()}, parties=["guest"])))
            return "success" in self.guest.log_text()[since:]

        wait_until("the log file is written again", logs_again)

    def test_no_room_for_the_database(self):
        cluster = harness.cluster()
        owner = os.stat(cluster.psql("postgres", "SHOW data_directory")[0][0])
        disk = os.path.join(self.fed.dir, "tablespace")
        self.mount(disk, "96m")
        os.chown(disk, owner.st_uid, owner.st_gid)
        node = self.guest.nodes[0]
        node.stop()
        cluster.psql("postgres", f"CREATE TABLESPACE small LOCATION '{disk}'")
        self.addCleanup(cluster.psql, "postgres", "DROP TABLESPACE small")
        cluster.psql("postgres", f"ALTER DATABASE {self.guest.database} SET TABLESPACE small")
        self.addCleanup(self.leave_tablespace)
        node.start().wait_ready()
        before = [self.guest.api.submit(job({"a": noop(sleep_ms=500), "b": noop(after="a")}, parties=["guest"]))
                  for _ in range(8)]
        free = self.fill(disk)
        accepted = []

        def refused():
            v = self.guest.api.submit_raw(job({f"t{i}": noop() for i in range(20)}, parties=["guest"]))
            if v["code"] == 0:
                accepted.append(v["job_id"])
            return v if v["code"] != 0 else None

        v = wait_until("there is no room for another job", refused, timeout_s=120)
        self.assertEqual(v["code"], 9007, v)
        self.assertIn("No space left on device", v["message"])
        self.assertTrue(node.running)
        free()
        for job_id in before + accepted:
            self.guest.api.wait_job(job_id, timeout_s=180)
        self.guest.api.wait_job(self.guest.api.submit(job({"a": noop()}, parties=["guest"])))

    def leave_tablespace(self):
        node = self.guest.nodes[0]
        node.stop()
        harness.cluster().psql("postgres", f"ALTER DATABASE {self.guest.database} SET TABLESPACE pg_default")
        node.start().wait_ready()


class SilentParties(FederationTest):
    """The arbiter has no site: its address accepts connections and says nothing, or does not even accept."""

    sites = ("guest", "host")
    conf = {"jobs.create_timeout_s": 2, "peer.timeout_ms": 500, "peer.gone_s": 2, "resources.cores": 8}

    def listener(self, accepts):
        """The port of somebody who never answers; not even the connection when accepts is false."""
        s = socket.socket()
        self.addCleanup(s.close)
        s.bind(("127.0.0.1", 0))
        s.listen(100 if accepts else 0)
        for _ in range(0 if accepts else 3):  # the queue of connections is full
            c = socket.socket()
            self.addCleanup(c.close)
            c.setblocking(False)
            c.connect_ex(s.getsockname())
        return s.getsockname()[1]

    def suspend_host(self):
        node = self.host.nodes[0]
        node.signal(signal.SIGSTOP)
        self.addCleanup(node.signal, signal.SIGCONT)

    def resume_host(self, job_id):
        """What has ended at the scheduler ends there too, and nothing is left."""
        self.host.nodes[0].signal(signal.SIGCONT)
        wait_until("the host has ended its part", lambda: self.host.api.status(job_id) == "failed", timeout_s=60)
        self.assert_no_processes(job_id)
        wait_until("no message is left", lambda: self.guest.psql(
            f"SELECT count(*) FROM norn.outbox WHERE job_id = '{job_id}'") == [["0"]], timeout_s=60)
        self.assertEqual(self.guest.api.status(job_id), "failed")

    def test_one_that_never_takes_the_job(self):
        for accepts in (True, False):
            with self.subTest(accepts=accepts):
                url = f"https://127.0.0.1:{self.listener(accepts)}"
                self.guest.api.post("/v2/site/route/add", party_id=ARBITER, url=url)
                v = self.guest.api.submit_raw(job({"a": noop()}, parties=["guest", "host", "arbiter"]))
                self.assertEqual(v["code"], 1002, v)
                self.assertIn(f"party {ARBITER} did not answer in time", v["message"])
                self.guest.api.wait_job(v["job_id"], "failed")
                r = self.guest.norn("why", v["job_id"])
                self.assertIn(f"party {ARBITER} did not answer in time", r.stdout)
                wait_until("the host knows that it is over", lambda i=v["job_id"]: self.host.api.status(i) == "failed")

    def test_it_holds_up_nobody(self):
        url = f"https://127.0.0.1:{self.listener(True)}"
        self.guest.api.post("/v2/site/route/add", party_id=ARBITER, url=url)
        stuck = Burst.post_all(self.guest.api.port, [  # more than the outbox takes at once
            {"dag_schema": job({"a": noop()}, parties=["guest", "arbiter"])} for _ in range(60)], read=False)
        self.addCleanup(lambda: [s.close() for s in stuck])
        wait_until("they are being asked for", lambda: int(self.guest.psql(
            "SELECT count(*) FROM norn.job WHERE status = 'ready'")[0][0]) > 0)
        for _ in range(3):
            self.guest.api.wait_job(self.guest.api.submit(job({"a": noop(), "b": noop(after="a")})))
        wait_until("the others have ended", lambda: self.guest.psql(
            "SELECT count(*) FROM norn.job WHERE status NOT IN ('success', 'failed')") == [["0"]], timeout_s=120)

    def test_one_that_falls_silent_while_it_runs(self):
        job_id = self.guest.api.submit(job({"a": noop(), "b": noop(after="a", conf={"timeout": 1})},
                                           party_tasks=for_party("host", b={"sleep_ms": 60000})))
        self.guest.api.wait_started(job_id, "b")
        wait_until("its component runs", lambda: self.host.processes_of(job_id))
        self.suspend_host()
        other = self.guest.api.submit(job({"a": noop()}, parties=["guest"]))
        self.guest.api.wait_job(other)
        self.guest.api.wait_job(job_id, "failed", timeout_s=60)
        r = self.guest.norn("why", job_id)
        self.assertIn(f"task b failed at host {HOST}", r.stdout)
        self.assertIn(f"party {HOST} has not answered for 2 s longer than the task may take", r.stdout)
        self.assertIn("norn site check", r.stdout)
        self.resume_host(job_id)

    def test_one_that_does_not_take_the_order_to_start(self):
        job_id = self.guest.api.submit(job({"a": noop(parties=["guest"], sleep_ms=1500),
                                            "b": noop(after="a", conf={"timeout": 1})}))
        self.guest.api.wait_started(job_id, "a")
        self.suspend_host()
        self.guest.api.wait_job(job_id, "failed", timeout_s=60)
        why = self.guest.api.get("/v2/job/why", job_id=job_id)
        self.assertEqual((why["first_failure"]["task_name"], why["first_failure"]["party_id"]), ("b", HOST))
        self.assertIn(f"party {HOST} has not answered", why["summary"])
        self.resume_host(job_id)


class Burst(FederationTest):
    sites = ("guest",)
    conf = {"exec.inprocess_noop": True, "resources.cores": 64}

    @staticmethod
    def post_all(port, bodies, read=True):
        """Submits all at once, a connection each: the answers in order, None for a connection that broke; or the open
        sockets when the answers are not to be read."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < len(bodies) + 200:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, len(bodies) + 200), hard))
        sockets = []
        with selectors.DefaultSelector() as sel:
            for i, body in enumerate(bodies):
                text = json.dumps(body).encode()
                head = (f"POST /v2/job/submit HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                        f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n").encode()
                s = socket.socket()
                s.connect(("127.0.0.1", port))
                s.sendall(head + text)
                s.setblocking(False)
                sockets.append(s)
                sel.register(s, selectors.EVENT_READ, i)
            if not read:
                return sockets
            got = [b""] * len(bodies)
            while sel.get_map():
                events = sel.select(120)
                if not events:
                    raise AssertionError(f"{len(sel.get_map())} of {len(bodies)} submits were not answered")
                for key, _ in events:
                    try:
                        part = key.fileobj.recv(65536)
                    except ConnectionError:
                        part = b""
                    got[key.data] += part
                    if not part:
                        sel.unregister(key.fileobj)
                        key.fileobj.close()
        return [g.split(b"\r\n\r\n", 1) if b"\r\n\r\n" in g else None for g in got]

    def test_many_jobs_at_once(self):
        """Each is accepted, or refused with a code that says try again, and none is lost or doubled."""
        left = {f"burst-{i}": {"dag_schema": job({"a": noop()}, parties=["guest"]), "idempotency_key": f"burst-{i}"}
                for i in range(BURST_JOBS)}
        ids = {}
        rounds = 0
        while left:
            rounds += 1
            self.assertLess(rounds, 200, f"{len(left)} of {BURST_JOBS} jobs are refused again and again")
            keys = list(left)
            for key, answer in zip(keys, self.post_all(self.guest.api.port, list(left.values()))):
                if answer is None:
                    continue  # asked again with the same key
                head, body = answer[0].decode(), json.loads(answer[1])
                if body["code"] == 0:
                    ids[key] = body["job_id"]
                    del left[key]
                else:
                    self.assertEqual(body["code"], 9007, body)
                    self.assertIn("Retry-After: ", head)
        self.assertEqual(len(set(ids.values())), BURST_JOBS)
        wait_until("all jobs have ended", lambda: self.guest.psql(
            "SELECT count(*) FROM norn.job WHERE end_at IS NULL") == [["0"]], timeout_s=60 + BURST_JOBS / 10, step_s=0.5)
        self.assertEqual(self.guest.psql("SELECT status, count(*) FROM norn.job WHERE idempotency_key LIKE 'burst-%' "
                                         "GROUP BY 1"), [["success", str(BURST_JOBS)]])
        self.assertEqual(self.guest.psql("SELECT count(*) FROM norn.run_view"), [[str(BURST_JOBS)]], "each ran once")
        self.guest.api.wait_job(self.guest.api.submit(job({"a": noop()}, parties=["guest"])))
