"""Wall clocks that jump: those of nodes, and that of the database. Nothing may wait longer or end earlier for it."""

import os
import shutil
import subprocess
import unittest

import harness
from harness import FederationTest, job, noop, wait_until

HOUR_S = 3600


class Clock:
    """A wall clock that can be shifted, for the programs that are started with its environment."""

    def __init__(self, name):
        compiler = os.environ.get("CC", "cc").split()
        if shutil.which(compiler[0]) is None:
            raise unittest.SkipTest("no C compiler for the library that shifts the clock")
        base = os.path.join(harness.root_dir(), name)
        self.file = base + ".clock"
        self.library = base + ".so"
        source = os.path.join(harness.SRC, "tests/api/wallclock.c")
        subprocess.run([*compiler, "-shared", "-fPIC", "-O1", "-o", self.library, source], check=True)
        os.chmod(self.library, 0o755)
        self.shift(0)

    def shift(self, seconds):
        with open(self.file + ".new", "w", encoding="ascii") as f:
            f.write(str(seconds))
        os.chmod(self.file + ".new", 0o644)
        os.rename(self.file + ".new", self.file)

    def env(self):
        sanitizer = harness.child_env()["ASAN_OPTIONS"] + ":verify_asan_link_order=0"
        return {"LD_PRELOAD": self.library, "TEST_WALLCLOCK": self.file, "ASAN_OPTIONS": sanitizer}


class ClockOfANode(FederationTest):
    """The node that schedules, and runs its part, lives in another time than the rest."""

    sites = ("guest", "host")
    conf = {"cluster.lease_ms": 3000}

    @classmethod
    def setUpClass(cls):
        cls.clock = Clock("node")
        super().setUpClass()
        node = cls.guest.nodes[0]
        node.stop()
        node.env = cls.clock.env()
        node.start().wait_ready()

    def tearDown(self):
        self.clock.shift(0)

    def test_jumps_in_the_middle_of_a_job(self):
        for shift in (HOUR_S, -HOUR_S, 400 * 24 * HOUR_S):
            with self.subTest(seconds=shift):
                job_id = self.guest.api.submit(job({"a": noop(sleep_ms=1500), "b": noop(after="a")}, timeout=600))
                self.guest.api.wait_started(job_id, "a")
                self.clock.shift(shift)
                self.guest.api.wait_job(job_id)
                # The same attempt has gone on, nothing was given up.
                self.assertEqual({t["attempt"] for t in self.guest.api.progress(job_id)["tasks"]}, {0})
                self.guest.api.wait_job(self.guest.api.submit(job({"a": noop()}, timeout=600)))
                self.clock.shift(0)
        self.assertNotIn("has lost its lease", self.guest.log_text())


class ClockOfTheDatabase(FederationTest):
    sites = ("guest", "host")
    nodes = {"guest": 2, "host": 1}
    conf = {"cluster.lease_ms": 2000, "exec.max_runs": 2}

    @classmethod
    def setUpClass(cls):
        cls.clock = Clock("database")
        cls.addClassCleanup(cls.restart, {})
        cls.restart(cls.clock.env())
        super().setUpClass()

    @staticmethod
    def restart(env):
        """The cluster anew, with this environment besides."""
        before = {k: os.environ.get(k) for k in env}
        harness.cluster().stop()
        try:
            os.environ.update(env)
            harness.cluster().start()
        finally:
            for k, v in before.items():
                if v is None:
                    del os.environ[k]
                else:
                    os.environ[k] = v

    def setUp(self):
        self.began_s = int(self.guest.psql("SELECT extract(epoch FROM now())::bigint")[0][0])
        for n in self.guest.nodes:
            if not n.running:
                n.start()
            n.wait_ready()

    def alive(self):
        return self.guest.psql("SELECT count(*) FROM norn.node_view WHERE alive")[0][0]

    def test_the_clock_of_the_database_is_shifted(self):
        self.clock.shift(5 * HOUR_S)
        now = int(self.guest.psql("SELECT extract(epoch FROM now())::bigint")[0][0])
        self.assertGreaterEqual(now - self.began_s, 5 * HOUR_S)
        self.clock.shift(0)
        wait_until("both nodes are alive", lambda: self.alive() == "2")

    def test_back_by_an_hour(self):
        """What was due in an hour's time by the old clock is due in time; a dead node is noticed."""
        wait_until("both nodes are alive", lambda: self.alive() == "2")
        tasks = {f"a{i}": noop(sleep_ms=6000) for i in range(4)}
        job_id = self.guest.api.submit(job({**tasks, "b": noop(after="a0")}, parties=["guest"], cores=4))
        wait_until("two runs at every node", lambda: self.guest.psql(
            "SELECT count(*) FROM norn.run_view WHERE party_status = 'running' "
            f"AND job_id = '{job_id}' GROUP BY node ORDER BY 1") == [["2"], ["2"]])
        wait_until("the components run", lambda: len(self.guest.processes_of(job_id)) >= 4)
        flaky = self.guest.api.submit(job({"bad": noop(fail=3)}, auto_retries=3))
        since = len(self.guest.log_text())
        self.clock.shift(-HOUR_S)
        self.guest.nodes[1].kill()
        self.guest.wait_log("clock has gone back by", since, timeout_s=60)
        self.guest.api.wait_job(job_id, timeout_s=120)
        self.assertEqual(self.guest.psql("SELECT count(*) FROM norn.run_view WHERE attempt = 1 AND party_status = 'success' "
                                         f"AND job_id = '{job_id}'"), [["2"]], "the runs of the dead node, anew")
        p = self.guest.api.wait_job(flaky, "failed", timeout_s=120)
        self.assertEqual(p["tasks"][0]["attempt"], 3)
        self.guest.api.wait_job(self.guest.api.submit(job({"a": noop()})))
        self.assert_no_processes(job_id)
        self.clock.shift(0)

    def test_forth_by_an_hour(self):
        """All leases have passed at once: the runs are given up for new attempts, which end well."""
        wait_until("both nodes are alive", lambda: self.alive() == "2")
        job_id = self.guest.api.submit(job({"a": noop(sleep_ms=2000), "b": noop(after="a")}))
        self.guest.api.wait_started(job_id, "a")
        self.clock.shift(HOUR_S)
        try:
            self.guest.api.wait_job(job_id, timeout_s=120)
            self.guest.api.wait_job(self.guest.api.submit(job({"a": noop()})), timeout_s=120)
            self.assert_no_processes(job_id)
        finally:
            self.clock.shift(0)
        wait_until("both nodes are alive", lambda: self.alive() == "2", timeout_s=60)
