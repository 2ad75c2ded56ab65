"""Several nodes of a site, and what happens when one of them, or PostgreSQL, goes away in the middle of a job."""

import json
import signal
import subprocess
import time

import harness
from harness import FederationTest, job, noop, wait_until


class TwoNodes(FederationTest):
    sites = ("guest", "host")
    nodes = 2
    conf = {"cluster.lease_ms": 1500, "exec.max_runs": 2}

    def setUp(self):
        for site in (self.guest, self.host):
            for n in site.nodes:
                if not n.running:
                    n.start()
            for n in site.nodes:
                n.wait_ready()
            wait_until("both nodes are alive", lambda s=site: s.psql(
                "SELECT count(*) FROM norn.node_view WHERE alive") == [["2"]])

    def job_on_all_nodes(self, sleep_ms=6000):
        """A job with as many tasks at once as the site has room for, so that every node runs two of them."""
        tasks = {f"long{i}": noop(sleep_ms=sleep_ms) for i in range(4)}
        job_id = self.guest.api.submit(job({**tasks, "after": noop(after="long0")}, cores=4))
        for site in (self.guest, self.host):
            wait_until("two runs at every node of " + site.name, lambda s=site: s.psql(
                "SELECT node, count(*) FROM norn.run_view WHERE party_status = 'running' "
                f"AND job_id = '{job_id}' GROUP BY 1 ORDER BY 1") == [[n.name, "2"] for n in s.nodes])
            wait_until("the components run", lambda s=site: len(s.processes_of(job_id)) >= 4)
        return job_id

    def assert_new_attempts(self, site, job_id, lost):
        """The job has ended well; the runs of the lost node are marked, and each had a new attempt."""
        self.guest.api.wait_job(job_id)
        rows = site.psql("SELECT task_name, attempt, party_status, error FROM norn.run_view "
                         f"WHERE job_id = '{job_id}' AND node = '{lost.name}' AND attempt = 0 AND task_name <> 'after'")
        self.assertEqual(len(rows), 2)
        for task, _, status, error in rows:
            self.assertEqual(status, "failed")
            self.assertIn(f"node {lost.name} was lost", error)
            self.assertEqual(site.psql("SELECT attempt, party_status FROM norn.run_view WHERE attempt > 0 "
                                       f"AND job_id = '{job_id}' AND task_name = '{task}'"), [["1", "success"]])
        self.assert_no_processes(job_id)

    def test_jobs_spread_over_the_nodes(self):
        ids = [self.guest.api.submit(job({"a": noop(sleep_ms=500)})) for _ in range(8)]
        for i in ids:
            self.guest.api.wait_job(i)
        quoted = ",".join(f"'{i}'" for i in ids)
        for site in (self.guest, self.host):
            used = site.psql(f"SELECT DISTINCT node FROM norn.run_view WHERE job_id IN ({quoted}) ORDER BY 1")
            self.assertEqual(used, [[n.name] for n in site.nodes])
            self.assertEqual(site.psql("SELECT job_id, task_name, attempt, role, count(*) FROM norn.run_view "
                                       "GROUP BY 1, 2, 3, 4 HAVING count(*) > 1"), [])

    def test_every_node_answers_for_every_job(self):
        job_id = self.guest.nodes[0].api.submit(job({"a": noop()}))
        self.guest.nodes[1].api.wait_job(job_id)
        self.assertEqual(self.guest.nodes[1].api.progress(job_id)["job"], self.guest.nodes[0].api.progress(job_id)["job"])
        r = self.guest.norn("server", "nodes", "--json")
        self.assertEqual(r.returncode, 0, r.stderr)
        alive = [n["name"] for n in json.loads(r.stdout) if n["alive"]]
        self.assertEqual(sorted(alive), [n.name for n in self.guest.nodes])

    def test_a_killed_node_of_the_guest(self):
        job_id = self.job_on_all_nodes()
        self.guest.nodes[1].kill()
        self.assert_new_attempts(self.guest, job_id, self.guest.nodes[1])

    def test_a_killed_node_of_the_host(self):
        job_id = self.job_on_all_nodes()
        self.host.nodes[1].kill()
        self.assert_new_attempts(self.host, job_id, self.host.nodes[1])

    def test_the_killed_node_was_the_one_that_others_call(self):
        job_id = self.job_on_all_nodes()
        self.guest.nodes[0].kill()
        time.sleep(1)
        self.guest.nodes[0].start().wait_ready()
        self.assert_new_attempts(self.guest, job_id, self.guest.nodes[0])

    def test_no_process_outlives_its_node(self):
        job_id = self.job_on_all_nodes(sleep_ms=60000)
        self.guest.kill()
        wait_until("the supervisors have ended what they started", lambda: not self.guest.processes_of(job_id))
        for n in self.guest.nodes:
            n.start().wait_ready()
        self.guest.api.stop(job_id)
        self.guest.api.wait_job(job_id, "canceled")
        self.assert_no_processes(job_id)

    def test_every_node_of_a_site_is_killed(self):
        job_id = self.job_on_all_nodes()
        self.host.kill()
        time.sleep(2)
        for n in self.host.nodes:
            n.start()
        self.guest.api.wait_job(job_id)
        self.assert_no_processes(job_id)

    def test_a_node_that_ends_in_order_hands_over(self):
        node = self.guest.nodes[1]
        job_id = self.job_on_all_nodes()
        node.stop()
        self.assertEqual(self.guest.psql("SELECT alive FROM norn.node_view WHERE stopped_at IS NOT NULL "
                                         f"AND name = '{node.name}' ORDER BY started_at DESC LIMIT 1"), [["f"]])
        self.guest.api.wait_job(job_id)
        self.assert_no_processes(job_id)

    def test_a_node_that_was_suspended_finds_its_writes_refused(self):
        node = self.guest.nodes[1]
        job_id = self.job_on_all_nodes()
        before = len(self.guest.log_text())
        node.signal(signal.SIGSTOP)
        try:
            self.guest.api.wait_job(job_id)
        finally:
            node.signal(signal.SIGCONT)
        self.guest.wait_log(f"node {node.name} has lost its lease", before)
        wait_until("it has registered again", lambda: self.guest.psql(
            f"SELECT count(*) FROM norn.node_view WHERE alive AND name = '{node.name}'") == [["1"]])
        time.sleep(0.5)
        self.assert_new_attempts(self.guest, job_id, node)
        self.assertEqual(self.guest.api.status(job_id), "success")
        ends = [e for e in self.guest.api.events(job_id) if e["object"] == "run" and e["attempt"] == 0
                and e["role"] == "guest" and e["to"] in harness.END_STATUSES and e["to"] != "success"]
        self.assertEqual([(e["to"], e["reason"]) for e in ends], [("failed", "node_lost")] * 2)

    def test_a_node_that_was_suspended_while_it_had_the_scheduler_s_lease(self):
        """Whichever node plans: with one of the two suspended the job goes on, and nothing is done twice."""
        for node in self.guest.nodes[1:]:
            ids = [self.guest.api.submit(job({"a": noop(sleep_ms=200), "b": noop(after="a")}, parties=["guest"]))
                   for _ in range(4)]
            node.signal(signal.SIGSTOP)
            try:
                for i in ids:
                    self.guest.api.wait_job(i)
            finally:
                node.signal(signal.SIGCONT)
            quoted = ",".join(f"'{i}'" for i in ids)
            self.assertEqual(self.guest.psql(
                f"SELECT job_id, task_name FROM norn.run_view WHERE job_id IN ({quoted}) AND party_status = 'success' "
                "GROUP BY 1, 2 HAVING count(*) > 1"), [])


class Database(FederationTest):
    sites = ("guest", "host")
    conf = {"cluster.lease_ms": 4000}

    def test_restart_in_the_middle_of_a_job(self):
        for mode in ("fast", "immediate"):
            with self.subTest(mode=mode):
                job_id = self.guest.api.submit(job({"a": noop(sleep_ms=800), "b": noop(after="a", sleep_ms=800),
                                                    "c": noop(after="b")}))
                self.guest.api.wait_started(job_id, "a")
                harness.cluster().restart(mode)
                wait_until("the node is ready again",
                           lambda: self.guest.api.call("GET", "/readyz")[0] == 200)
                self.guest.api.wait_job(job_id)
                self.assert_no_processes(job_id)

    def test_five_seconds_without_a_database(self):
        # One task ends while there is none; the other outlives the leases of its nodes.
        job_id = self.guest.api.submit(job({"a": noop(sleep_ms=1500), "b": noop(after="a"),
                                            "long": noop(sleep_ms=12000)}, cores=2))
        self.guest.api.wait_started(job_id, "long")
        self.guest.api.wait_started(job_id, "a")
        harness.cluster().stop()
        try:
            wait_until("readyz says so", lambda: self.guest.api.call("GET", "/readyz")[0] == 503)
            self.assertEqual(self.guest.api.call("GET", "/livez")[0], 200)
            began = time.monotonic()
            v = self.guest.api.envelope("GET", "/v2/job/progress", query={"job_id": job_id}, timeout_s=40)
            self.assertNotEqual(v["code"], 0)
            self.assertIn("database", v["message"])
            time.sleep(max(0.0, 5 - (time.monotonic() - began)))
            for site in (self.guest, self.host):
                self.assertTrue(site.nodes[0].running)
        finally:
            harness.cluster().start()
        wait_until("ready again", lambda: self.guest.api.call("GET", "/readyz")[0] == 200)
        self.guest.api.wait_job(job_id)
        self.guest.api.wait_job(self.guest.api.submit(job({"a": noop()})))
        self.assert_no_processes(job_id)


class Starting(FederationTest):
    sites = ("guest",)

    def test_a_node_waits_for_its_database(self):
        node = self.guest.nodes[0]
        node.stop()
        harness.cluster().stop()
        try:
            node.start()
            self.guest.wait_log("waiting for the database")
        finally:
            harness.cluster().start()
        node.wait_ready()

    def test_a_schema_that_is_not_there_is_told(self):
        node = self.guest.nodes[0]
        harness.cluster().command("createdb", "norn_empty")
        r = subprocess.run([harness.program("nornd"), "--config", node.conf_file, "--set",
                            "database.url=" + harness.cluster().conninfo("norn_empty"), "--check"],
                           capture_output=True, text=True, check=False, env=harness.child_env())
        self.assertEqual(r.returncode, 1)
        self.assertIn("migrate", r.stderr)

    def test_whoever_starts_it_may_ignore_the_end_of_children(self):
        node = self.guest.nodes[0]
        node.stop()
        before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # kept by what is executed
        try:
            node.start()
        finally:
            signal.signal(signal.SIGCHLD, before)
        node.wait_ready()
        with open(f"/proc/{node.process.pid}/status", encoding="ascii") as f:
            ignored = int(next(line for line in f if line.startswith("SigIgn:")).split()[1], 16)
        self.assertFalse(ignored >> (signal.SIGCHLD - 1) & 1)
        job_id = self.guest.api.submit(job({"a": noop()}, parties=("guest",)))
        self.guest.api.wait_job(job_id)
        self.assertEqual(self.guest.psql("SELECT exit_code FROM norn.party_task WHERE task_name = 'a' "
                                         f"AND job_id = '{job_id}'"), [["0"]])
