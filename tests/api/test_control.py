"""Control over jobs after their submission: rerun, suspend, inheritance, timing, clean-up, retention."""

import json
import os
import re
import time

import harness
from harness import FederationTest, for_party, job, noop, party_list, wait_until

TWO = ("guest", "host")


def attempts(site, job_id):
    """{task: [status at this site's party of each attempt]}"""
    rows = site.psql("SELECT task_name, party_status FROM norn.run_view "
                     f"WHERE job_id = '{job_id}' ORDER BY task_name, attempt")
    found = {}
    for task, status in rows:
        found.setdefault(task, []).append(status)
    return found


def versions(progress):
    return {t["task_name"]: t["attempt"] for t in progress["tasks"]}


def count(site, what):
    return int(site.psql(f"SELECT count(*) FROM norn.{what}")[0][0])


def after(task, key="output_data"):
    return {"task_output_artifact": {"producer_task": task, "output_artifact_key": key}}


def data_job(last=None, parties=TWO, **conf):
    """read -> scale, which leaves a model and a table -> last, a noop that copies the table."""
    both = party_list(*parties)
    d = job({
        "read": {"component_ref": "reader", "parties": both, "stage": "default",
                 "parameters": {"namespace": "test", "name": "rows"}},
        "scale": {"component_ref": "feature_scale", "parties": both, "stage": "train",
                  "parameters": {"method": "standard"}, "inputs": {"data": {"train_data": after("read")}}},
        "last": {"component_ref": "noop", "parties": both, "stage": "default", "parameters": last or {},
                 "inputs": {"data": {"input_data": after("scale", "train_output_data")}}},
    }, parties=parties, stage="train", **conf)
    return d


def upload_rows(*sites):
    for s in sites:
        s.upload("id,y,x1\n" + "".join(f"u{i},{i % 2},{i * 3}\n" for i in range(20)), "rows", id="id", label="y")


class Rerun(FederationTest):
    sites = TWO

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        upload_rows(cls.guest, cls.host)

    def outputs(self, site, job_id, task):
        return site.psql("SELECT attempt, output_key, uri FROM norn.output_data "
                         f"WHERE job_id = '{job_id}' AND task_name = '{task}' ORDER BY 1, 2")

    def both_end(self, job_id, status="success"):
        self.guest.api.wait_job(job_id, status)
        wait_until("the host knows the end", lambda: self.host.api.status(job_id) == status)

    def test_the_failed_part_with_another_parameter(self):
        d = data_job({"message": "hello"})
        d["dag"]["party_tasks"] = for_party("host", last={"fail": 1})
        job_id = self.guest.api.submit(d)
        self.both_end(job_id, "failed")
        kept = {s.name: self.outputs(s, job_id, "scale") for s in (self.guest, self.host)}
        self.assertTrue(kept["guest"] and kept["host"])
        r = self.guest.norn("job", "rerun", job_id, "--set", "last.fail=0", "--watch")
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        self.assertIn("1 task runs again", r.stdout)
        self.both_end(job_id)
        p = self.guest.api.progress(job_id)
        self.assertEqual(versions(p), {"read": 0, "scale": 0, "last": 1})
        self.assertEqual(p["job"]["progress"], 100)
        for s in (self.guest, self.host):
            seen = attempts(s, job_id)
            self.assertEqual((seen["read"], seen["scale"]), (["success"], ["success"]))
            self.assertEqual((len(seen["last"]), seen["last"][1]), (2, "success"))
            self.assertEqual(self.outputs(s, job_id, "scale"), kept[s.name])
            self.assertEqual([o[0] for o in self.outputs(s, job_id, "last") if o[0] == "1"], ["1"])
        why = [e for e in self.guest.api.events(job_id) if e["reason"] == "rerun" and e["role"] is None]
        self.assertEqual(len(why), 1)
        self.assertIn("1 tasks with other parameters", why[0]["detail"])

    def test_nothing_to_run_again(self):
        job_id = self.guest.api.submit(job({"a": noop()}))
        self.both_end(job_id)
        self.assertEqual(self.guest.api.post("/v2/job/rerun", job_id=job_id), {"tasks": 0})
        r = self.guest.norn("job", "rerun", job_id, "--watch")
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("nothing runs again", r.stdout)
        self.assertEqual(self.guest.api.status(job_id), "success")

    def test_all(self):
        job_id = self.guest.api.submit(job({"a": noop(), "b": noop(after="a")}))
        self.both_end(job_id)
        r = self.guest.norn("job", "rerun", job_id, "--all", "--watch")
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        self.both_end(job_id)
        self.assertEqual(versions(self.guest.api.progress(job_id)), {"a": 1, "b": 1})
        for s in (self.guest, self.host):
            self.assertEqual(attempts(s, job_id), {"a": ["success"] * 2, "b": ["success"] * 2})

    def test_from_a_task_on_from_the_other_site(self):
        tasks = {"a": noop(), "b": noop(after="a"), "c": noop(after="b"), "side": noop(after="a")}
        job_id = self.guest.api.submit(job(tasks))
        self.both_end(job_id)
        r = self.host.norn("job", "rerun", job_id, "--from", "b", "--watch")
        self.assertNotEqual(r.returncode, 0, "only the initiator's site may")
        self.assertIn("initiator", r.stderr)
        r = self.guest.norn("job", "rerun", job_id, "--from", "b", "--watch")
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        self.both_end(job_id)
        self.assertEqual(versions(self.guest.api.progress(job_id)), {"a": 0, "b": 1, "c": 1, "side": 0})

    def test_where_another_site_schedules(self):
        job_id = self.guest.api.submit(job({"a": noop()}, scheduler_party_id=harness.HOST))
        self.host.api.wait_job(job_id)
        wait_until("the guest knows the end", lambda: self.guest.api.status(job_id) == "success")
        r = self.guest.norn("job", "rerun", job_id, "--all", "--watch")
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        wait_until("the host's second attempt", lambda: attempts(self.host, job_id) == {"a": ["success"] * 2})
        self.assertEqual(attempts(self.guest, job_id), {"a": ["success"] * 2})

    def test_a_running_job_is_refused(self):
        job_id = self.guest.api.submit(job({"a": noop(sleep_ms=60000)}))
        self.guest.api.wait_started(job_id, "a")
        v = self.guest.api.refused("POST", "/v2/job/rerun", {"job_id": job_id})
        self.assertEqual(v["code"], 1003)
        self.assertIn("running", v["message"])
        self.guest.api.stop(job_id)
        self.both_end(job_id, "canceled")
        self.assertEqual(versions(self.guest.api.progress(job_id)), {"a": 0})

    def test_what_is_wrong_is_said(self):
        job_id = self.guest.api.submit(job({"a": noop()}))
        self.both_end(job_id)
        refused = self.guest.api.refused
        self.assertEqual(refused("POST", "/v2/job/rerun", {"job_id": "nothing"})["code"], 1001)
        self.assertEqual(refused("POST", "/v2/job/rerun", {"job_id": job_id, "from": "x"})["code"], 2000)
        v = refused("POST", "/v2/job/rerun", {"job_id": job_id, "all": True, "parameters": {"x": {"fail": 0}}})
        self.assertEqual((v["code"], v["message"]), (1000, "parameters.x: the job has no such task"))
        for args, words in (
                (["--all", "--from", "a"], "--from"),
                (["--set", "fail=0"], "TASK.PARAM=VALUE"),
                (["--set", "a.b.c=0"], "TASK.PARAM=VALUE"),
                (["--from", "../x"], "task")):
            r = self.guest.norn("job", "rerun", job_id, *args)
            self.assertEqual(r.returncode, 2, r.stdout + r.stderr)
            self.assertIn(words, r.stderr)
        self.assertEqual(self.guest.api.status(job_id), "success")


class Suspend(FederationTest):
    sites = TWO

    def test_suspend_holds_and_resume_goes_on(self):
        job_id = self.guest.api.submit(job({"first": noop(sleep_ms=1500), "second": noop(after="first")}))
        self.guest.api.wait_started(job_id, "first")
        r = self.guest.norn("job", "suspend", job_id)
        self.assertEqual(r.returncode, 0, r.stderr)

        def statuses():
            return {t["task_name"]: t["status"] for t in self.guest.api.progress(job_id)["tasks"]}

        wait_until("what runs goes on to its end", lambda: statuses()["first"] == "success")
        time.sleep(1.5)
        self.assertEqual(statuses()["second"], "waiting")
        self.assertEqual(self.guest.api.status(job_id), "running")
        self.assertEqual(self.guest.norn("job", "suspend", job_id).returncode, 0, "twice is once")
        self.assertEqual(self.guest.norn("job", "resume", job_id).returncode, 0)
        self.guest.api.wait_job(job_id)
        reasons = [e["reason"] for e in self.guest.api.events(job_id) if e["object"] == "job" and e["role"] is None]
        self.assertEqual([x for x in reasons if x in ("suspended", "resumed")], ["suspended", "resumed"])
        self.assertIn("ended already", self.guest.norn("job", "suspend", job_id).stdout)

    def test_a_suspended_job_can_be_stopped(self):
        job_id = self.guest.api.submit(job({"first": noop(sleep_ms=60000)}))
        self.guest.api.wait_started(job_id, "first")
        self.guest.api.post("/v2/job/suspend", job_id=job_id)
        self.guest.api.stop(job_id)
        self.guest.api.wait_job(job_id, "canceled")
        self.assertEqual(self.guest.api.refused("POST", "/v2/job/suspend", {"job_id": "nothing"})["code"], 1001)


class Inheritance(FederationTest):
    sites = TWO

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        upload_rows(cls.guest, cls.host)
        cls.old = cls.guest.api.submit(data_job())
        cls.guest.api.wait_job(cls.old)
        wait_until("the host knows the end", lambda: cls.host.api.status(cls.old) == "success")

    def test_tasks_are_taken_over_at_both_sites(self):
        job_id = self.guest.api.submit(data_job({"message": "new"}, inheritance={
            "job_id": self.old, "task_list": ["read", "scale"]}))
        p = self.guest.api.wait_job(job_id)
        self.assertEqual(p["job"]["progress"], 100)
        self.assertEqual({t["task_name"]: t["status"] for t in p["tasks"]},
                         {"read": "success", "scale": "success", "last": "success"})
        wait_until("the host knows the end", lambda: self.host.api.status(job_id) == "success")
        for name in TWO:
            s = self.fed.sites[name]
            self.assertEqual(s.psql(f"SELECT task_name FROM norn.event_view WHERE job_id = '{job_id}' "
                                    "AND object = 'run' AND reason = 'claimed'"), [["last"]])
            q = ("SELECT task_name, output_key, uri FROM norn.output_data WHERE job_id = '{}' "
                 "AND task_name IN ('read', 'scale') ORDER BY 1, 2")
            self.assertEqual(s.psql(q.format(job_id)), s.psql(q.format(self.old)))
            self.assertEqual(s.psql(f"SELECT model_id, task_name, output_key FROM norn.model WHERE job_id = '{job_id}'"),
                             [[job_id, "scale", "output_model"]])
            made = s.psql("SELECT d.row_count FROM norn.output_data o JOIN norn.data_table d USING (namespace, name) "
                          f"WHERE o.job_id = '{job_id}' AND o.task_name = 'last'")
            self.assertEqual(made, [["20"]])
            who = {"job_id": job_id, "role": name, "party_id": harness.PARTY_OF[name], "task_name": "scale"}
            m = s.api.get("/v2/output/model/query", **who)
            self.assertEqual(m, s.api.get("/v2/output/model/query", **{**who, "job_id": self.old}))
        again = self.guest.api.post("/v2/job/rerun", job_id=job_id, **{"from": "scale"})
        self.assertEqual(again, {"tasks": 2})
        self.assertEqual(versions(self.guest.api.wait_job(job_id)), {"read": 0, "scale": 1, "last": 1})

    def test_every_task_taken_over(self):
        job_id = self.guest.api.submit(data_job(inheritance={
            "job_id": self.old, "task_list": ["read", "scale", "last"]}))
        p = self.guest.api.wait_job(job_id)
        self.assertEqual(p["job"]["progress"], 100)
        self.assertEqual(self.guest.psql(f"SELECT count(*) FROM norn.event_view WHERE job_id = '{job_id}' "
                                         "AND reason = 'claimed'"), [["0"]])

    def test_the_same_key_takes_nothing_over_again(self):
        dag = data_job(inheritance={"job_id": self.old, "task_list": ["read"]})
        job_id = self.guest.api.submit(dag, idempotency_key="taken-over")
        self.guest.api.wait_job(job_id)
        q = f"SELECT count(*) FROM norn.event_view WHERE job_id = '{job_id}' AND reason = 'inherited'"
        self.assertEqual(self.guest.psql(q), [["2"]])  # the task, and the run of the guest
        self.assertEqual(self.guest.api.submit(dag, idempotency_key="taken-over"), job_id)
        self.assertEqual(self.guest.psql(q), [["2"]])

    def test_a_plan_says_it(self):
        path = os.path.join(self.guest.dir, "inherit.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(data_job(inheritance={"job_id": self.old, "task_list": ["read"]}), f)
        r = self.guest.norn("job", "submit", path, "--plan")
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("taken over from job " + self.old, r.stdout)
        self.assertIn(f"the consent of host {harness.HOST}", r.stdout)

    def test_what_cannot_be_taken_over_is_refused(self):
        jobs = count(self.guest, "job_view")
        for inheritance, words in (
                ({"job_id": "20200101000000000000", "task_list": ["read"]}, "no found job 20200101000000000000"),
                ({"job_id": self.old, "task_list": []}, "task_list")):
            v = self.guest.api.submit_raw(data_job(inheritance=inheritance))
            self.assertEqual(v["code"], 1007, v)
            self.assertIn(words, v["message"])
        d = data_job(inheritance={"job_id": self.old, "task_list": ["extra"]})
        d["dag"]["tasks"]["extra"] = {**noop(), "stage": "default"}
        v = self.guest.api.submit_raw(d)
        self.assertEqual((v["code"], "no found task name" in v["message"]), (1007, True), v)
        d = data_job(inheritance={"job_id": self.old, "task_list": ["read"]})
        d["dag"]["tasks"]["read"] = {**noop(), "stage": "default"}
        v = self.guest.api.submit_raw(d)
        self.assertEqual((v["code"], "component reader there, not noop" in v["message"]), (1007, True), v)
        bad = self.guest.api.submit(data_job({"fail": 1}))
        self.guest.api.wait_job(bad, "failed")
        v = self.guest.api.submit_raw(data_job(inheritance={"job_id": bad, "task_list": ["read", "last"]}))
        self.assertEqual((v["code"], "task_status[failed]" in v["message"]), (1007, True), v)
        self.assertEqual(count(self.guest, "job_view"), jobs + 1)

    def test_a_party_that_lacks_them_refuses(self):
        alone = self.guest.api.submit(data_job(parties=["guest"]))
        self.guest.api.wait_job(alone)
        v = self.guest.api.submit_raw(data_job(inheritance={"job_id": alone, "task_list": ["scale"]}))
        self.assertEqual(v["code"], 1002, v)
        self.assertIn(f"no found job {alone}", v["message"])
        self.assertIn(harness.HOST, v["message"])
        self.guest.api.wait_job(v["job_id"], "failed")


class CleanUp(FederationTest):
    sites = TWO

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        upload_rows(cls.guest, cls.host)

    def dirs(self, site, job_id):
        """Which of the directories of a job are there."""
        places = {"work": "data/work", "logs": "logs", "tables": "data/tables"}
        return {k for k, v in places.items() if os.path.exists(os.path.join(site.dir, v, job_id))}

    def finished(self, **conf):
        job_id = self.guest.api.submit(data_job(**conf))
        self.guest.api.wait_job(job_id)
        wait_until("the host knows the end", lambda: self.host.api.status(job_id) == "success")
        for s in (self.guest, self.host):
            wait_until("no message is left", lambda s=s: count(s, "outbox_view") == 0)
        return job_id

    def age(self, site, job_id, days):
        """As if it had all happened so many days ago."""
        site.psql(f"UPDATE norn.party_job SET create_at = create_at - interval '{days} days', "
                  f"end_at = end_at - interval '{days} days' WHERE job_id = '{job_id}'; "
                  f"UPDATE norn.job SET submitted_at = submitted_at - interval '{days} days', "
                  f"end_at = end_at - interval '{days} days' WHERE job_id = '{job_id}'")

    def model_files(self, site, job_id):
        return site.psql(f"SELECT path FROM norn.model WHERE job_id = '{job_id}'")

    def assert_gone(self, site, job_id):
        for t in ("job", "party_job", "party_task", "output_data", "job_dag"):
            self.assertEqual(site.psql(f"SELECT count(*) FROM norn.{t} WHERE job_id = '{job_id}'"), [["0"]], t)
        wait_until("its files are gone", lambda: not self.dirs(site, job_id))

    def test_gc_dry_and_real(self):
        old, young = self.finished(), self.finished()
        self.age(self.guest, old, 40)
        self.assertEqual(self.dirs(self.guest, old), {"work", "logs", "tables"})
        (model,) = self.model_files(self.guest, old)
        for _ in range(2):
            r = self.guest.norn("gc", "--keep-days", "30", "--dry-run")
            self.assertEqual(r.returncode, 0, r.stderr)
            self.assertIn(old, r.stdout)
            self.assertNotIn(young, r.stdout)
            self.assertRegex(r.stdout, r"would delete: 1 job, [0-9.]+ KiB of files, 0 days of the history")
        self.assertEqual(self.dirs(self.guest, old), {"work", "logs", "tables"})
        size = sum(os.path.getsize(os.path.join(base, f)) for place in ("data/work", "logs", "data/tables")
                   for base, _, files in os.walk(os.path.join(self.guest.dir, place, old)) for f in files)
        v = self.guest.api.post("/v2/server/gc", keep_days=30, dry_run=True)
        self.assertEqual((v["n_jobs"], v["bytes"], [j["job_id"] for j in v["jobs"]]), (1, size, [old]))
        r = self.guest.norn("gc", "--keep-days", "30")
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertRegex(r.stdout, r"deleted: 1 job, [0-9.]+ KiB of files")
        self.assert_gone(self.guest, old)
        self.assertEqual(count(self.guest, "gc_dir"), 0)
        self.assertEqual(self.guest.api.refused("GET", "/v2/job/progress", job_id=old)["code"], 1001)
        # Models and named tables stay, and so does the other job.
        self.assertEqual(self.model_files(self.guest, old), [model])
        self.assertTrue(os.path.exists(os.path.join(self.guest.dir, "data", model[0])))
        self.assertEqual(self.dirs(self.guest, young), {"work", "logs", "tables"})
        self.assertEqual(self.host.api.status(old), "success", "another site decides for itself")
        self.finished()  # reads the uploaded table

    def test_uploaded_tables_stay_when_their_job_goes(self):
        upload_job = self.guest.psql("SELECT job_id FROM norn.party_job WHERE role = 'local' ORDER BY create_at LIMIT 1")[0][0]
        self.age(self.guest, upload_job, 100)
        self.assertEqual(self.guest.norn("gc", "--keep-days", "90").returncode, 0)
        self.assertEqual(self.guest.psql(f"SELECT count(*) FROM norn.party_job WHERE job_id = '{upload_job}'"), [["0"]])
        self.assertEqual(self.dirs(self.guest, upload_job), {"tables"})
        self.assertEqual(self.guest.norn("table", "show", "test", "rows", "--rows").returncode, 0)
        self.finished()

    def test_what_a_later_job_has_taken_over_stays(self):
        old = self.finished()
        new = self.finished(inheritance={"job_id": old, "task_list": ["read", "scale"]})
        self.age(self.guest, old, 40)
        self.assertEqual(self.guest.norn("gc", "--keep-days", "30").returncode, 0)
        self.assertEqual(self.dirs(self.guest, old), {"tables"})
        self.assertEqual(self.guest.api.post("/v2/job/rerun", job_id=new, **{"from": "last"}), {"tasks": 1})
        self.guest.api.wait_job(new)
        wait_until("the host knows the end", lambda: self.host.api.status(new) == "success")
        wait_until("no message is left", lambda: count(self.guest, "outbox_view") == 0)
        self.age(self.guest, new, 40)
        self.assertEqual(self.guest.norn("gc", "--keep-days", "30").returncode, 0)
        for job_id in (old, new):
            self.assert_gone(self.guest, job_id)

    def test_gc_spares_what_runs_and_takes_the_oldest_first(self):
        ids = [self.finished() for _ in range(3)]
        running = self.guest.api.submit(job({"a": noop(sleep_ms=60000)}))
        self.guest.api.wait_started(running, "a")
        for n, job_id in enumerate(ids):
            self.age(self.guest, job_id, 200 - n)
        self.age(self.guest, running, 300)
        v = self.guest.api.post("/v2/server/gc", keep_days=150, limit=2)
        self.assertEqual(([j["job_id"] for j in v["jobs"]], v["more"]), (ids[:2], True))
        v = self.guest.api.post("/v2/server/gc", keep_days=150, limit=2)
        self.assertEqual(([j["job_id"] for j in v["jobs"]], v["more"]), (ids[2:], False))
        self.assertEqual(self.guest.api.status(running), "running")
        self.guest.api.stop(running)
        self.guest.api.wait_job(running, "canceled")

    def test_gc_goes_on_where_a_dead_node_stopped(self):
        stray = os.path.join(self.guest.dir, "data/work/20200101000000000000")
        os.makedirs(os.path.join(stray, "deep/" * 40))
        with open(os.path.join(stray, "file"), "w", encoding="utf-8") as f:
            f.write("x" * 1000)
        os.chmod(os.path.join(stray, "deep"), 0)
        server_log = os.path.join(self.guest.dir, "logs/norn")
        self.guest.psql("INSERT INTO norn.gc_dir (root, name) VALUES ('work', '20200101000000000000'), "
                        "('logs', 'norn'), ('work', '..'), ('model', '../../secret')")
        v = self.guest.api.post("/v2/server/gc", keep_days=30000)
        self.assertEqual((v["n_jobs"], v["bytes"]), (0, 1000))
        self.assertFalse(os.path.exists(stray))
        self.assertTrue(os.path.exists(server_log))
        self.assertTrue(os.path.exists(os.path.join(self.guest.dir, "data/work")))
        self.assertEqual(count(self.guest, "gc_dir"), 0)

    def test_gc_wants_to_know_how_many_days(self):
        for body in ({}, {"keep_days": -1}, {"keep_days": 40000}, {"keep_days": 1, "limit": 0},
                     {"keep_days": 1, "limit": 10001}, {"keep_days": "x"}):
            self.assertEqual(self.guest.api.refused("POST", "/v2/server/gc", body)["code"], 5001, body)
        r = self.guest.norn("gc")
        self.assertEqual(r.returncode, 1)
        self.assertIn("retention.jobs_days", r.stderr)
        self.assertEqual(self.guest.norn("gc", "--keep-days", "-1").returncode, 2)

    def test_old_history_goes_by_days(self):
        for days in (100, 95, 40):
            self.guest.psql(f"""DO $$ BEGIN EXECUTE format(
                'CREATE TABLE norn.%I PARTITION OF norn.event FOR VALUES FROM (%L) TO (%L)',
                'event_' || to_char(current_date - {days}, 'YYYYMMDD'), (current_date - {days})::timestamptz,
                (current_date - {days} + 1)::timestamptz); END $$""")
        v = self.guest.api.post("/v2/server/gc", keep_days=36500, dry_run=True)
        self.assertEqual(len(v["partitions"]), 2)
        self.assertEqual(self.guest.api.post("/v2/server/gc", keep_days=36500)["partitions"], v["partitions"])
        left = {r[0] for r in self.guest.psql("SELECT relname FROM pg_class WHERE relname ~ '^event_[0-9]{8}$' "
                                              "AND relkind = 'r'")}
        self.assertFalse(left & set(v["partitions"]))
        self.assertGreater(len(left), 2)

    def test_clean(self):
        job_id = self.finished()
        (model,) = self.model_files(self.guest, job_id)
        tables = f"data_table WHERE namespace LIKE '{job_id}%'"
        self.assertGreater(count(self.guest, tables), 0)
        r = self.guest.norn("job", "clean", job_id)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assert_gone(self.guest, job_id)
        self.assertEqual(count(self.guest, tables), 0)
        self.assertEqual(self.model_files(self.guest, job_id), [])
        wait_until("the model's file is gone", lambda: not os.path.exists(os.path.join(self.guest.dir, "data", model[0])))
        self.assertEqual(self.host.api.status(job_id), "success", "another site decides for itself")
        self.assertTrue(self.model_files(self.host, job_id))
        self.assertEqual(self.guest.api.refused("POST", "/v2/job/clean", {"job_id": job_id})["code"], 1001)

    def test_clean_stops_what_runs(self):
        job_id = self.guest.api.submit(job({"a": noop(sleep_ms=60000)}))
        self.guest.api.wait_started(job_id, "a")
        self.assertIsNone(self.guest.api.post("/v2/job/clean", job_id=job_id))
        self.assert_gone(self.guest, job_id)
        wait_until("canceled at the host", lambda: self.host.api.status(job_id) == "canceled")
        self.assertEqual(self.host.norn("job", "clean", job_id).returncode, 0)
        self.assert_gone(self.host, job_id)
        self.assert_no_processes(job_id)

    def test_clean_keeps_the_model_that_another_job_has_taken_over(self):
        old = self.finished()
        new = self.finished(inheritance={"job_id": old, "task_list": ["read", "scale"]})
        (model,) = self.model_files(self.guest, new)
        path = os.path.join(self.guest.dir, "data", model[0])
        self.assertEqual(self.guest.norn("job", "clean", old).returncode, 0)
        wait_until("the old job's directories are gone", lambda: self.dirs(self.guest, old) == {"tables"})
        self.assertTrue(os.path.exists(path))
        self.assertEqual(self.guest.norn("job", "clean", new).returncode, 0)
        wait_until("the model's file is gone", lambda: not os.path.exists(path))
        wait_until("the tables are gone", lambda: self.dirs(self.guest, old) == set())


class Retention(FederationTest):
    sites = ("guest",)
    nodes = 2
    conf = {"retention.jobs_days": 10}

    def test_one_node_does_it_when_it_is_time(self):
        old, young = (self.guest.api.submit(job({"a": noop()}, parties=["guest"])) for _ in range(2))
        for job_id in (old, young):
            self.guest.api.wait_job(job_id)
        self.guest.psql("UPDATE norn.party_job SET create_at = create_at - interval '20 days', "
                        f"end_at = end_at - interval '20 days' WHERE job_id = '{old}'; "
                        "UPDATE norn.job SET submitted_at = submitted_at - interval '20 days', "
                        f"end_at = end_at - interval '20 days' WHERE job_id = '{old}'; "
                        "UPDATE norn.chore SET due_at = now() WHERE name = 'retention'")
        since = len(self.guest.log_text())
        for n in self.guest.nodes:  # a node looks when it starts, then once a minute
            n.stop()
            n.start().wait_ready()
        self.guest.wait_log(r"retention: deleted 1 jobs", since)
        self.assertEqual(self.guest.psql("SELECT job_id FROM norn.job"), [[young]])
        self.assertFalse(os.path.exists(os.path.join(self.guest.dir, "data/work", old)))
        self.assertTrue(os.path.exists(os.path.join(self.guest.dir, "data/work", young)))
        self.assertEqual(len(re.findall("retention: deleted", self.guest.log_text()[since:])), 1)
        due = self.guest.psql("SELECT due_at > now() + interval '50 minutes' FROM norn.chore WHERE name = 'retention'")
        self.assertEqual(due, [["t"]])


class Timing(FederationTest):
    sites = TWO

    def test_the_numbers_are_sane(self):
        began = time.monotonic()
        job_id = self.guest.api.submit(job({"a": noop(sleep_ms=1000), "b": noop(after="a")}))
        self.guest.api.wait_job(job_id)
        took_ms = (time.monotonic() - began) * 1000
        v = self.guest.api.get("/v2/job/timing", job_id=job_id)
        runs = {(r["task_name"], r["role"]): r for r in v["runs"]}
        self.assertEqual(set(runs), {(t, r) for t in "ab" for r in TWO})
        for r in v["runs"]:
            for phase in ("queued_ms", "sent_ms", "ran_ms", "reported_ms"):
                self.assertIsInstance(r[phase], int, r)
                self.assertGreaterEqual(r[phase], 0)
                self.assertLess(r[phase], 10 * took_ms, "milliseconds, and of this job")
        for role in TWO:
            self.assertGreaterEqual(runs["a", role]["ran_ms"], 1000)
        self.assertLessEqual(runs["a", "guest"]["ran_ms"] + runs["b", "guest"]["queued_ms"], v["job"]["elapsed_ms"] + 5,
                             "b was not queued before a had ended")
        self.assertIsInstance(v["job"]["reserved_ms"], int)
        self.assertLessEqual(v["job"]["reserved_ms"], v["job"]["waited_ms"])
        self.assertEqual(v["totals"]["ran_ms"], sum(r["ran_ms"] for r in v["runs"]))
        self.assertGreaterEqual(v["job"]["elapsed_ms"], 1000)
        self.assertLess(v["job"]["elapsed_ms"], 10 * took_ms)
        r = self.guest.norn("job", "timing", job_id)
        self.assertEqual(r.returncode, 0, r.stderr)
        for word in ("queued", "reported", f"host {harness.HOST}", "success after"):
            self.assertIn(word, r.stdout)
        here = self.host.api.get("/v2/job/timing", job_id=job_id)["runs"]
        self.assertEqual([(r["task_name"], r["role"], r["queued_ms"]) for r in here],
                         [("a", "host", None), ("b", "host", None)])
        self.assertGreaterEqual(here[0]["ran_ms"], 1000)
        rows = self.guest.psql(f"SELECT task_name, role FROM norn.timing_view WHERE job_id = '{job_id}' ORDER BY 1, 2")
        self.assertEqual(rows, [["a", "guest"], ["a", "host"], ["b", "guest"], ["b", "host"]])
        self.assertEqual(self.guest.api.refused("GET", "/v2/job/timing", job_id="nothing")["code"], 1001)

    def test_histograms(self):
        def read():
            _, _, text = self.guest.api.call("GET", "/metrics")
            found = {}
            for name, phase, le, n in re.findall(
                    r'^norn_phase_seconds_(bucket|count|sum)\{phase="(\w+)"(?:,le="([^"]+)")?\} ([0-9.]+)$',
                    text.decode(), re.M):
                found.setdefault(phase, []).append((name, le, float(n)))
            return found

        def number(phases, phase):
            return next(n for name, _, n in phases[phase] if name == "count")

        before = read()
        job_id = self.guest.api.submit(job({"a": noop(sleep_ms=200)}, parties=["guest"]))
        self.guest.api.wait_job(job_id)
        phases = read()
        self.assertEqual(set(phases), {"queued", "reserved", "planned", "sent", "started", "ran", "reported"})
        for phase, rows in phases.items():
            buckets = [n for name, _, n in rows if name == "bucket"]
            self.assertEqual(buckets, sorted(buckets))
            self.assertEqual(buckets[-1], number(phases, phase))
            self.assertGreater(number(phases, phase), number(before, phase), phase)
        self.assertGreaterEqual(next(n for name, _, n in phases["ran"] if name == "sum")
                                - next(n for name, _, n in before["ran"] if name == "sum"), 0.2)


class ExitCodes(FederationTest):
    sites = ("guest",)
    conf = {"jobs.no_retry_exit_codes": ["7", "65"]}

    def tries(self, code):
        job_id = self.guest.api.submit(job({"bad": noop(fail=code)}, parties=["guest"], auto_retries=1))
        self.guest.api.wait_job(job_id, "failed")
        return count(self.guest, f"run_view WHERE job_id = '{job_id}'")

    def test_some_codes_are_never_tried_again(self):
        self.assertEqual([self.tries(c) for c in (7, 65, 64, 8)], [1, 1, 2, 2])


class Plan(FederationTest):
    sites = ("guest",)
    conf = {"resources.cores": 4}

    def plan(self, **conf):
        v = self.guest.api.submit_raw(job({"a": noop()}, parties=["guest"], **conf), plan=True)
        return harness.good(v, "plan")

    def test_it_says_what_it_would_wait_for(self):
        self.assertEqual(self.plan(cores=4)["waits_for"], [])
        holder = self.guest.api.submit(job({"hold": noop(sleep_ms=60000)}, parties=["guest"], cores=3))
        self.guest.api.wait_started(holder, "hold")
        self.assertEqual(self.plan(cores=1)["waits_for"], [])
        self.assertEqual(self.plan(cores=4)["waits_for"],
                         [f"4 cores at this site, where 1 of 4 are free; held by jobs {holder}"])
        blocked = self.guest.api.submit(job({"a": noop()}, parties=["guest"], cores=4))
        wait_until("it is blocked", lambda: self.guest.psql(
            f"SELECT count(*) FROM norn.waiting_view WHERE job_id = '{blocked}' AND blocked") == [["1"]])
        self.assertEqual(self.plan(cores=4)["waits_for"][1:], ["1 job that waits for resources already"])
        for job_id in (blocked, holder):  # else the blocked one may run to its end first
            self.guest.api.stop(job_id)
            self.guest.api.wait_job(job_id, "canceled")
