"""Jobs: order, parallel branches, parameters, failures, retries, limits of time and cores."""

import json
import os
import signal
import time
import uuid

import harness
from harness import FederationTest, for_party, job, noop, wait_until


def interval(site, job_id, task):
    """When the task's run was on, as seconds."""
    rows = site.psql("SELECT extract(epoch FROM start_at), extract(epoch FROM end_at) FROM norn.run_view "
                     f"WHERE job_id = '{job_id}' AND task_name = '{task}' ORDER BY attempt DESC LIMIT 1")
    return float(rows[0][0]), float(rows[0][1])


def tasks_of(progress):
    return {t["task_name"]: t for t in progress["tasks"]}


class Graph(FederationTest):
    sites = ("guest", "host")

    def test_chain_runs_in_order_at_both_parties(self):
        names = ["first", "second", "third", "fourth"]
        tasks = {n: noop(after=names[i - 1] if i else None) for i, n in enumerate(names)}
        job_id = self.guest.api.submit(job(tasks))
        p = self.guest.api.wait_job(job_id)
        self.assertEqual([t["task_name"] for t in p["tasks"]], names)
        self.assertEqual(p["job"]["progress"], 100)
        for site in (self.guest, self.host):
            self.assertEqual([t["status"] for t in tasks_of(site.api.progress(job_id)).values()], ["success"] * 4)
            for before, after in zip(names, names[1:]):
                self.assertLessEqual(interval(site, job_id, before)[1], interval(site, job_id, after)[0])

    def test_diamond_of_the_examples(self):
        r = self.guest.norn("run", os.path.join(harness.SRC, "examples/jobs/diamond.yaml"), "--id-file", "diamond.id")
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        with open(os.path.join(self.guest.dir, "diamond.id"), encoding="utf-8") as f:
            job_id = f.read().strip()
        tasks = tasks_of(self.guest.api.progress(job_id))
        self.assertEqual(sorted(tasks["bottom"]["depends_on"]), ["left", "right"])
        top, left = (interval(self.guest, job_id, t) for t in ("top", "left"))
        right, bottom = (interval(self.host, job_id, t) for t in ("right", "bottom"))
        self.assertLessEqual(top[1], left[0])
        self.assertLessEqual(max(left[1], right[1]), bottom[0])
        self.assertGreaterEqual(right[1] - right[0], 0.4)  # the host's own sleep_ms

    def test_branches_run_side_by_side(self):
        tasks = {"left": noop(sleep_ms=600000), "right": noop(sleep_ms=600000)}
        job_id = self.guest.api.submit(job(tasks, cores=2))
        for site in (self.guest, self.host):
            wait_until("both branches run at " + site.name, lambda s=site: s.psql(
                f"SELECT count(*) FROM norn.run_view WHERE job_id = '{job_id}' AND party_status = 'running'") == [["2"]])
        self.guest.api.stop(job_id)
        self.guest.api.wait_job(job_id, "canceled")

    def test_branches_share_the_cores_of_their_job(self):
        tasks = {"left": noop(sleep_ms=300), "right": noop(sleep_ms=300)}
        job_id = self.guest.api.submit(job(tasks, cores=1))
        self.guest.api.wait_job(job_id)
        left, right = interval(self.guest, job_id, "left"), interval(self.guest, job_id, "right")
        self.assertGreaterEqual(max(left[0], right[0]), min(left[1], right[1]), "two tasks on one core")

    def test_each_party_gets_its_own_parameters(self):
        tasks = {"say": noop(message="for all", stdout_lines=1)}
        party_tasks = {**for_party("host", say={"message": "for the host"})}
        job_id = self.guest.api.submit(job(tasks, party_tasks=party_tasks))
        self.guest.api.wait_job(job_id)
        said = {}
        for name, site in (("guest", self.guest), ("host", self.host)):
            said[name] = site.api.get("/v2/log/read", job_id=job_id, log="stdout", role=name,
                                      party_id=harness.PARTY_OF[name], task_name="say", offset=0)["text"]
        self.assertIn("for all", said["guest"])
        self.assertIn("for the host", said["host"])
        self.assertNotIn("for all", said["host"])
        self.assertIn("line 1 of 1", said["host"])

    def test_a_task_may_be_of_one_party_only(self):
        tasks = {"both": noop(), "mine": noop(after="both", parties=["host"])}
        job_id = self.guest.api.submit(job(tasks))
        p = self.guest.api.wait_job(job_id)
        self.assertEqual([(x["role"], x["party_id"]) for x in tasks_of(p)["mine"]["parties"]], [("host", harness.HOST)])
        self.assertEqual(self.guest.psql("SELECT count(*) FROM norn.run_view "
                                         f"WHERE job_id = '{job_id}' AND task_name = 'mine'"), [["0"]])

    def test_a_job_within_one_site(self):
        job_id = self.host.api.submit(job({"only": noop()}, parties=["host"]))
        self.host.api.wait_job(job_id)
        self.assertEqual(self.guest.api.refused("GET", "/v2/job/progress", job_id=job_id)["code"], 1001)

    def test_many_jobs_at_once(self):
        ids = [self.guest.api.submit(job({"a": noop(), "b": noop(after="a")}, cores=1)) for _ in range(8)]
        for job_id in ids:
            self.guest.api.wait_job(job_id)
        self.assertEqual(self.guest.psql("SELECT count(*) FROM norn.reservation_view"), [["0"]])

    def test_an_idle_site_is_quiet(self):
        self.guest.api.wait_job(self.guest.api.submit(job({"a": noop()})))
        count = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
        time.sleep(1.5)
        before, began = int(self.guest.psql(count)[0][0]), time.monotonic()
        time.sleep(3)
        per_s = (int(self.guest.psql(count)[0][0]) - before) / (time.monotonic() - began)
        self.assertLess(per_s, 50, "transactions per second of a site with nothing to do")

    def test_history_tells_every_step(self):
        job_id = self.guest.api.submit(job({"a": noop()}))
        self.guest.api.wait_job(job_id)
        events = self.guest.api.events(job_id)
        steps = [(e["from"], e["to"]) for e in events if e["object"] == "job" and e["role"] is None]
        self.assertEqual(steps[-3:], [("ready", "waiting"), ("waiting", "running"), ("running", "success")])
        self.assertEqual([(e["from"], e["to"]) for e in events if e["object"] == "task"],
                         [("waiting", "running"), ("running", "success")])
        self.assertTrue(all(e["actor"] and e["reason"] for e in events))
        self.assertEqual([e["id"] for e in events], sorted(e["id"] for e in events))


class Submitting(FederationTest):
    sites = ("guest", "host")

    def count_jobs(self):
        return int(self.guest.psql("SELECT count(*) FROM norn.job_view")[0][0])

    def test_the_same_key_is_the_same_job(self):
        key = "key-" + uuid.uuid4().hex
        before = self.count_jobs()
        first = self.guest.api.submit(job({"a": noop()}), idempotency_key=key)
        again = self.guest.api.submit(job({"a": noop()}), idempotency_key=key)
        self.assertEqual(first, again)
        self.guest.api.wait_job(first)
        self.assertEqual(self.guest.api.submit(job({"a": noop()}), idempotency_key=key), first)
        self.assertEqual(self.count_jobs(), before + 1)

    def test_a_dry_run_changes_nothing(self):
        before = self.count_jobs()
        v = self.guest.api.submit_raw(job({"a": noop(), "b": noop(after="a")}), plan=True)
        self.assertEqual(v["code"], 0, v)
        plan = json.dumps(v["data"])
        for word in ("a", "b", harness.GUEST, harness.HOST):
            self.assertIn(f'"{word}"', plan)
        self.assertEqual({t["task_name"]: t["depends_on"] for t in v["data"]["tasks"]}, {"a": [], "b": ["a"]})
        self.assertEqual(self.count_jobs(), before)
        self.assertEqual(self.host.psql("SELECT count(*) FROM norn.party_job_view"),
                         [[str(before)]])

    def test_large_jobs_again_and_again(self):
        """The plans that PostgreSQL keeps after some executions are as good as the first ones."""
        tasks = {f"t{i}": noop(after=f"t{i - 1}" if i else None) for i in range(600)}
        for _ in range(8):  # with bad plans the time limit of a statement ends it, or that of the call
            job_id = self.guest.api.submit(job(tasks, parties=["guest"]))
            self.guest.api.stop(job_id)
            self.guest.api.wait_job(job_id, "canceled")

    def test_the_scheduler_may_be_another_site(self):
        dag = job({"a": noop()}, scheduler_party_id=harness.HOST)
        job_id = self.guest.api.submit(dag)
        self.host.api.wait_job(job_id)
        wait_until("the guest knows the end", lambda: self.guest.api.status(job_id) == "success")
        self.assertEqual(self.host.psql(f"SELECT scheduler_party_id FROM norn.job_view WHERE job_id = '{job_id}'"),
                         [[harness.HOST]])

    def test_waiting_for_a_change(self):
        job_id = self.guest.api.submit(job({"a": noop(sleep_ms=800)}))
        seen = -1
        statuses = []
        for _ in range(60):
            data = self.guest.api.get("/v2/job/wait", job_id=job_id, known=seen, timeout_ms=5000)
            self.assertNotEqual(data["change"], seen)
            seen = data["change"]
            statuses.append(data["job"]["status"])
            if statuses[-1] in harness.END_STATUSES:
                break
        self.assertEqual(statuses[-1], "success")
        began = time.monotonic()
        data = self.guest.api.get("/v2/job/wait", job_id=job_id, known=seen, timeout_ms=700)
        self.assertEqual(data["change"], seen)
        self.assertGreaterEqual(time.monotonic() - began, 0.5)


class Failing(FederationTest):
    sites = ("guest", "host")

    def assert_failure_is_told(self, job_id, task, role, words):
        """At the guest's and the host's site, by API and SQL."""
        party = harness.PARTY_OF[role]
        for site in (self.guest, self.host):
            wait_until("the job has failed at " + site.name,
                       lambda s=site: s.psql("SELECT count(*) FROM norn.party_job_view "
                                             f"WHERE job_id = '{job_id}' AND status = 'failed'") == [["1"]])
            why = site.api.get("/v2/job/why", job_id=job_id)
            f = why["first_failure"]
            self.assertEqual((f["task_name"], f["role"], f["party_id"]), (task, role, party), why)
            reason = site.psql(f"SELECT reason FROM norn.party_job_view WHERE job_id = '{job_id}'")[0][0]
            for word in (task, party, *words):
                self.assertIn(word, why["summary"] + "\n".join(why["lines"]) + json.dumps(f))
            self.assertIn(task, reason)
            self.assertIn(party, reason)
            self.assertTrue(why["hint"])
        return why

    def test_failure_at_the_host_is_told_everywhere(self):
        tasks = {"good": noop(), "bad": noop(after="good"), "never": noop(after="bad")}
        job_id = self.guest.api.submit(job(tasks, party_tasks=for_party("host", bad={"fail": 1, "message": "my last words"})))
        p = self.guest.api.wait_job(job_id, "failed")
        self.assertEqual({n: t["status"] for n, t in tasks_of(p).items() if n != "never"},
                         {"good": "success", "bad": "failed"})
        self.assertNotIn(tasks_of(p)["never"]["status"], ("success", "running"))
        self.assert_failure_is_told(job_id, "bad", "host", ["failed as asked"])
        self.assertEqual(self.host.psql("SELECT count(*) FROM norn.run_view "
                                        f"WHERE job_id = '{job_id}' AND task_name = 'never' AND start_at IS NOT NULL"), [["0"]])
        self.assert_no_processes(job_id)

    def test_failure_at_the_guest_is_told_everywhere(self):
        job_id = self.guest.api.submit(job({"bad": noop()}, party_tasks=for_party("guest", bad={"fail": 1})))
        self.guest.api.wait_job(job_id, "failed")
        self.assert_failure_is_told(job_id, "bad", "guest", ["failed as asked"])

    def test_a_crash_tells_its_exit_code_and_last_words(self):
        job_id = self.guest.api.submit(job({"bad": noop(message="so it ends")}, party_tasks=for_party("host", bad={"fail": 42})))
        self.guest.api.wait_job(job_id, "failed")
        why = self.assert_failure_is_told(job_id, "bad", "host", ["42"])
        self.assertEqual(why["first_failure"]["exit_code"], 42)
        rows = self.host.psql(f"SELECT exit_code, signal FROM norn.run_view WHERE job_id = '{job_id}'")
        self.assertEqual(rows, [["42", ""]])

    def test_the_end_of_stderr_is_kept(self):
        job_id = self.guest.api.submit(job({"bad": noop()}, party_tasks=for_party("host", bad={"fail": 1})))
        self.guest.api.wait_job(job_id, "failed")
        for site in (self.guest, self.host):
            f = site.api.get("/v2/job/why", job_id=job_id)["first_failure"]
            self.assertIn("failed as asked", f["stderr_tail"])
        self.assertIn("failed as asked", self.host.psql(
            f"SELECT stderr_tail FROM norn.run_view WHERE job_id = '{job_id}'")[0][0])
        log = self.host.api.get("/v2/log/read", job_id=job_id, log="stderr", role="host", party_id=harness.HOST,
                                task_name="bad", offset=0)
        self.assertIn("failed as asked", log["text"])

    def test_a_table_that_is_not_there(self):
        job_id = self.guest.api.submit(job({"read": {"component_ref": "reader", "parameters": {
            "namespace": "nowhere", "name": "nothing"}}}, parties=["guest"]))
        self.guest.api.wait_job(job_id, "failed")
        why = self.guest.api.get("/v2/job/why", job_id=job_id)
        self.assertIn("nowhere", why["first_failure"]["error"])
        self.assertIn("nothing", why["first_failure"]["error"])
        self.assertIn("norn data upload", why["first_failure"]["error"])

    def test_a_killed_component_names_the_signal(self):
        job_id = self.guest.api.submit(job({"bad": noop(sleep_ms=60000)}))
        pid = self.component_of(self.guest, job_id)
        os.kill(pid, signal.SIGKILL)
        self.guest.api.wait_job(job_id, "failed")
        f = self.guest.api.get("/v2/job/why", job_id=job_id)["first_failure"]
        self.assertEqual((f["signal"], f["role"]), (9, "guest"))
        self.assert_no_processes(job_id)

    def component_of(self, site, job_id, not_this=0):
        """The process id of the running component, not of its supervisor."""

        def find():
            for pid in site.processes_of(job_id):
                try:
                    name = os.readlink(f"/proc/{pid}/exe")
                except OSError:
                    continue
                if name.endswith("/norn-component") and pid != not_this:
                    return pid
            return None

        return wait_until("the component runs", find)

    def test_a_failed_attempt_is_tried_again(self):
        job_id = self.guest.api.submit(job({"flaky": noop(sleep_ms=3000)}, auto_retries=2))
        os.kill(self.component_of(self.guest, job_id), signal.SIGKILL)
        p = self.guest.api.wait_job(job_id)
        self.assertEqual(tasks_of(p)["flaky"]["attempt"], 1)
        rows = self.guest.psql("SELECT attempt, party_status FROM norn.run_view "
                               f"WHERE job_id = '{job_id}' ORDER BY attempt")
        self.assertEqual(rows, [["0", "failed"], ["1", "success"]])
        wait_until("the host's second attempt", lambda: self.host.psql(
            f"SELECT attempt, party_status FROM norn.run_view WHERE job_id = '{job_id}' AND attempt = 1")
            == [["1", "success"]])

    def test_retries_come_to_an_end(self):
        job_id = self.guest.api.submit(job({"bad": noop(fail=1)}, parties=["guest"], auto_retries=1))
        p = self.guest.api.wait_job(job_id, "failed")
        self.assertEqual(tasks_of(p)["bad"]["attempt"], 1)
        self.assertEqual(self.guest.psql(f"SELECT count(*) FROM norn.run_view WHERE job_id = '{job_id}'"), [["2"]])

    def test_a_task_has_a_timeout(self):
        job_id = self.guest.api.submit(job({"slow": noop(sleep_ms=60000, conf={"timeout": 1})}, parties=["guest", "host"]))
        p = self.guest.api.wait_job(job_id, None)
        self.assertIn(p["job"]["status"], ("failed", "timeout"))
        self.assertEqual(tasks_of(p)["slow"]["status"], "timeout")
        why = self.guest.api.get("/v2/job/why", job_id=job_id)
        self.assertIn("timeout", json.dumps(why))
        self.assertIn("1 s", json.dumps(why))
        self.assert_no_processes(job_id)

    def test_a_job_has_a_deadline(self):
        job_id = self.guest.api.submit(job({"slow": noop(sleep_ms=600000, conf={"timeout": 600})}, timeout=2))
        p = self.guest.api.wait_job(job_id, None)
        self.assertIn(p["job"]["status"], ("failed", "timeout"))
        self.assertIn("dag.conf.timeout", p["job"]["reason"])
        self.assertLess(p["job"]["elapsed_ms"], 600000)
        wait_until("the host has ended it too", lambda: self.host.api.status(job_id) == p["job"]["status"])
        self.assert_no_processes(job_id)

    def test_a_full_log_does_not_hold_the_task(self):
        job_id = self.guest.api.submit(job({"loud": noop(stdout_lines=200000)}, parties=["guest"]))
        self.guest.api.wait_job(job_id)
        offset, text = 0, ""
        for _ in range(200):
            d = self.guest.api.get("/v2/log/read", job_id=job_id, log="stdout", role="guest",
                                   party_id=harness.GUEST, task_name="loud", offset=offset)
            self.assertLessEqual(len(d["text"]), 65536)
            text += d["text"]
            if d["end"]:
                break
            self.assertGreater(d["offset"], offset)
            offset = d["offset"]
        self.assertIn("line 1 of 200000", text)
        self.assertIn("line 200000 of 200000", text)


class Resources(FederationTest):
    sites = ("guest", "host")
    conf = {"resources.cores": 4}

    def test_a_job_that_waits_does_not_stop_a_smaller_one(self):
        holder = self.guest.api.submit(job({"hold": noop(sleep_ms=600000)}, cores=3))
        self.guest.api.wait_started(holder, "hold")
        big = self.guest.api.submit(job({"big": noop()}, cores=4))
        wait_until("the big job waits for resources", lambda: self.guest.psql(
            f"SELECT waits_for FROM norn.waiting_view WHERE job_id = '{big}' AND blocked") == [["resources"]])
        why = self.guest.api.get("/v2/job/why", job_id=big)
        self.assertEqual(why["status"], "waiting")
        text = why["summary"] + "\n".join(why["lines"])
        self.assertIn("resources", text)
        self.assertIn("needs 4 cores", text)
        self.assertIn(holder, text)
        small = self.guest.api.submit(job({"small": noop()}, cores=1))
        self.guest.api.wait_job(small)
        self.assertEqual(self.guest.api.status(holder), "running")
        self.assertEqual(self.guest.api.status(big), "waiting")
        self.guest.api.stop(holder)
        self.guest.api.wait_job(holder, "canceled")
        self.guest.api.wait_job(big)
        for site in (self.guest, self.host):
            wait_until("all is given back at " + site.name, lambda s=site: s.psql(
                "SELECT cores_free, reservations FROM norn.resource_view WHERE engine = 'standalone'") == [["4", "0"]])

    def test_never_more_cores_than_there_are(self):
        ids = [self.guest.api.submit(job({"a": noop(sleep_ms=300)}, cores=2)) for _ in range(5)]
        most = 0
        while any(self.guest.api.status(i) not in harness.END_STATUSES for i in ids):
            used = int(self.guest.psql("SELECT cores_used FROM norn.resource_view WHERE engine = 'standalone'")[0][0])
            self.assertLessEqual(used, 4)
            most = max(most, used)
        self.assertGreater(most, 0)
        for i in ids:
            self.guest.api.wait_job(i)

    def test_a_job_that_can_never_run_is_refused_with_numbers(self):
        before = self.guest.psql("SELECT count(*) FROM norn.job_view")
        v = self.guest.api.submit_raw(job({"a": noop()}, cores=5))
        self.assertEqual(v["code"], 1006, v)
        self.assertIn("5 cores", v["message"])
        self.assertIn("4", v["message"])
        self.assertEqual(self.guest.psql("SELECT count(*) FROM norn.job_view"), before)

    def test_priority_goes_first(self):
        holder = self.guest.api.submit(job({"hold": noop(sleep_ms=600000)}, parties=["guest"], cores=4))
        self.guest.api.wait_started(holder, "hold")
        low = self.guest.api.submit(job({"a": noop()}, parties=["guest"], cores=4))
        high = self.guest.api.submit(job({"a": noop()}, parties=["guest"], cores=4, priority=5))
        wait_until("both wait for it", lambda: self.guest.psql(
            f"SELECT count(*) FROM norn.waiting_view WHERE job_id IN ('{low}', '{high}') AND blocked") == [["2"]])
        self.guest.api.stop(holder)
        for i in (low, high):
            self.guest.api.wait_job(i)
        self.assertLess(interval(self.guest, high, "a")[0], interval(self.guest, low, "a")[0])


class ResourcesElsewhere(FederationTest):
    sites = ("guest", "host")
    site_conf = {"host": {"resources.cores": 2}}

    def test_a_job_too_big_for_another_site_ends_with_its_numbers(self):
        v = self.guest.api.submit_raw(job({"a": noop()}, cores=3))
        if v["code"] == 0:
            p = self.guest.api.wait_job(v["job_id"], "failed")
            text = p["job"]["reason"]
        else:
            text = v["message"]
        self.assertIn(harness.HOST, text)
        self.assertIn("3 cores", text)
        self.assertIn("2 cores", text)

    def test_what_one_site_grants_is_given_back_while_another_refuses(self):
        holder = self.host.api.submit(job({"hold": noop(sleep_ms=4000)}, parties=["host"], cores=2))
        self.host.api.wait_started(holder, "hold")
        waits = self.guest.api.submit(job({"a": noop()}, cores=2))
        detail = wait_until("it waits", lambda: self.guest.psql(
            f"SELECT detail FROM norn.waiting_view WHERE job_id = '{waits}' AND blocked"))[0][0]
        self.assertIn("needs 2 cores", detail)
        self.assertIn(holder, detail)
        wait_until("the guest's cores are free meanwhile", lambda: self.guest.psql(
            "SELECT cores_used FROM norn.resource_view") == [["0"]])
        self.host.api.wait_job(holder)
        self.guest.api.wait_job(waits)
