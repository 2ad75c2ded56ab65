"""What people inspect by SQL: every view as the read-only role, nothing else; and the CLI says the same."""

import json

import harness
from harness import FederationTest, for_party, job, noop


class Views(FederationTest):
    sites = ("guest", "host")
    conf = {"resources.cores": 4}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        api = cls.guest.api
        cls.good = api.submit(job({"a": noop(), "b": noop(after="a")}))
        cls.bad = api.submit(job({"a": noop()}, party_tasks=for_party("host", a={"fail": 1})))
        api.wait_job(cls.good)
        api.wait_job(cls.bad, "failed")
        cls.holds = api.submit(job({"hold": noop(sleep_ms=120000)}, cores=4))
        api.wait_started(cls.holds, "hold")
        cls.waits = api.submit(job({"a": noop()}, cores=4))

    @classmethod
    def tearDownClass(cls):
        for j in (cls.waits, cls.holds):
            cls.guest.api.stop(j)
            cls.guest.api.wait_job(j, "canceled")
        super().tearDownClass()

    def as_reader(self, site, sql):
        """(rows, error) of a statement with the rights of norn_read."""
        return harness.cluster().try_psql(site.database, "SET ROLE norn_read; " + sql)

    def names(self, kind):
        return [r[0] for r in self.guest.psql(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            f"WHERE n.nspname = 'norn' AND c.relkind IN ({kind}) ORDER BY 1")]

    def test_every_view_can_be_read(self):
        views = self.names("'v'")
        for name in ("job_view", "task_view", "task_party_view", "party_job_view", "run_view", "waiting_view",
                     "resource_view", "reservation_view", "event_view", "node_view", "outbox_view", "metric_view"):
            self.assertIn(name, views)
        for site in (self.guest, self.host):
            for name in views:
                with self.subTest(view=name, site=site.name):
                    rows, error = self.as_reader(site, f"SELECT * FROM norn.{name}")
                    self.assertIsNone(error)
                    self.assertIsNotNone(rows)

    def test_nothing_else_can_be_read_or_written(self):
        tables = self.names("'r', 'p', 'S'")
        self.assertGreater(len(tables), 20)
        for name in tables:
            with self.subTest(table=name):
                _, error = self.as_reader(self.guest, f"SELECT * FROM norn.{name}")
                self.assertIn("permission denied", error or "readable")
        for sql in ("UPDATE norn.job_view SET status = 'success'", "DELETE FROM norn.event_view",
                    "CREATE TABLE norn.x (i int)"):
            with self.subTest(sql=sql):
                _, error = self.as_reader(self.guest, sql)
                self.assertTrue(error)

    def test_functions_that_change_something_are_not_for_readers(self):
        _, error = self.as_reader(self.guest, f"SELECT norn.job_stop('{self.holds}', 'canceled', 'x', NULL)")
        self.assertTrue(error)
        self.assertEqual(self.guest.api.status(self.holds), "running")

    def test_the_job_list_agrees_with_the_view(self):
        r = self.guest.norn("job", "list", "--json")
        self.assertEqual(r.returncode, 0, r.stderr)
        listed = {j["job_id"]: (j["status"], j["progress"]) for j in json.loads(r.stdout)["data"]}
        viewed = {i: (s, int(p)) for i, s, p in self.guest.psql("SELECT job_id, status, progress FROM norn.job_view")}
        self.assertEqual(listed, viewed)
        self.assertEqual(viewed[self.good], ("success", 100))
        self.assertEqual(viewed[self.bad][0], "failed")
        self.assertEqual(viewed[self.waits][0], "waiting")
        r = self.host.norn("job", "list", "--json")
        listed = {j["job_id"]: j["status"] for j in json.loads(r.stdout)["data"]}
        self.assertEqual(listed, dict(self.host.psql("SELECT job_id, status FROM norn.party_job_view")))

    def test_job_show_agrees_with_the_task_view(self):
        r = self.guest.norn("job", "show", self.good, "--json")
        self.assertEqual(r.returncode, 0, r.stderr)
        shown = {t["task_name"]: t["status"] for t in json.loads(r.stdout)["tasks"]}
        self.assertEqual(shown, dict(self.guest.psql(
            f"SELECT task_name, status FROM norn.task_view WHERE job_id = '{self.good}'")))
        self.assertEqual(shown, {"a": "success", "b": "success"})

    def test_the_waiting_view_says_why(self):
        rows = self.guest.psql("SELECT waits_for, queue_position, detail FROM norn.waiting_view "
                               f"WHERE job_id = '{self.waits}'")
        self.assertEqual(rows[0][:2], ["resources", "1"])
        self.assertIn(self.holds, rows[0][2])
        self.assertIn("needs 4 cores", rows[0][2])

    def test_the_resource_views_say_who_holds_what(self):
        self.assertEqual(self.guest.psql("SELECT cores, cores_used, cores_free FROM norn.resource_view "
                                         "WHERE engine = 'standalone'"), [["4", "4", "0"]])
        self.assertEqual(self.guest.psql("SELECT job_id, role, party_id, cores FROM norn.reservation_view"),
                         [[self.holds, "guest", harness.GUEST, "4"]])
        r = self.guest.norn("server", "resources", "--json")
        v = [e for e in json.loads(r.stdout) if e["engine"] == "standalone"][0]
        self.assertEqual((v["cores"], v["cores_used"]), (4, 4))

    def test_the_run_view_of_a_failure(self):
        rows = self.host.psql("SELECT task_name, party_status, exit_code, error, node FROM norn.run_view "
                              f"WHERE job_id = '{self.bad}'")
        self.assertEqual(rows, [["a", "failed", "1", "failed as asked", "host-1"]])

    def test_the_command_line_without_json(self):
        for args, words in ((["job", "list"], [self.good, self.bad, "success", "failed"]),
                            (["job", "show", self.good], ["a", "b", "success"]),
                            (["why", self.bad], ["failed as asked", harness.HOST]),
                            (["why", self.waits], ["resources"]),
                            (["log", self.bad], [self.bad]),
                            (["server", "nodes"], ["guest-1"]),
                            (["site", "list"], [harness.HOST])):
            with self.subTest(args[:2]):
                r = self.guest.norn(*args)
                self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
                for w in words:
                    self.assertIn(w, r.stdout)
