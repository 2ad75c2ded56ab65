"""Stopping jobs: from any site, in any state, and nothing is left running."""

import os
import signal

import harness
from harness import FederationTest, job, noop, wait_until


class Stopping(FederationTest):
    sites = ("guest", "host")
    conf = {"resources.cores": 4, "exec.grace_ms": 1000}

    def start_long_job(self):
        job_id = self.guest.api.submit(job({"long": noop(sleep_ms=120000), "after": noop(after="long")}))
        self.guest.api.wait_started(job_id, "long")
        for site in (self.guest, self.host):
            wait_until("the component runs at " + site.name, lambda s=site: s.processes_of(job_id))
        return job_id

    def assert_stopped(self, job_id):
        p = self.guest.api.wait_job(job_id, "canceled")
        for site in (self.guest, self.host):
            wait_until("canceled at " + site.name, lambda s=site: s.api.status(job_id) == "canceled")
            wait_until("cores are given back at " + site.name, lambda s=site: s.psql(
                f"SELECT count(*) FROM norn.reservation_view WHERE job_id = '{job_id}'") == [["0"]])
            wait_until("no run is left at " + site.name, lambda s=site: s.psql(
                f"SELECT count(*) FROM norn.run_view WHERE job_id = '{job_id}' AND party_status = 'running'")
                == [["0"]])
        self.assert_no_processes(job_id)
        return p

    def test_stop_from_the_guest(self):
        job_id = self.start_long_job()
        self.assertEqual(self.guest.api.stop(job_id)["code"], 0)
        p = self.assert_stopped(job_id)
        self.assertIn("canceled by", p["job"]["reason"])
        self.assertEqual({t["task_name"]: t["status"] for t in p["tasks"]}["long"], "canceled")

    def test_stop_from_the_host(self):
        job_id = self.start_long_job()
        self.assertEqual(self.host.api.stop(job_id)["code"], 0)
        p = self.assert_stopped(job_id)
        self.assertIn(harness.HOST, p["job"]["reason"])

    def test_stop_by_the_command_line(self):
        job_id = self.start_long_job()
        r = self.guest.norn("job", "stop", job_id)
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        self.assert_stopped(job_id)

    def test_stop_of_a_waiting_job(self):
        holder = self.guest.api.submit(job({"hold": noop(sleep_ms=120000)}, cores=4))
        self.guest.api.wait_started(holder, "hold")
        waits = self.guest.api.submit(job({"a": noop()}, cores=4))
        wait_until("it waits", lambda: self.guest.api.status(waits) == "waiting")
        self.assertEqual(self.guest.api.stop(waits)["code"], 0)
        self.assert_stopped(waits)
        self.assertEqual(self.guest.api.status(holder), "running")
        self.assertEqual(self.guest.api.stop(holder)["code"], 0)
        self.assert_stopped(holder)

    def test_stop_at_once_after_submit(self):
        ids = [self.guest.api.submit(job({"a": noop(sleep_ms=60000)})) for _ in range(4)]
        for i in ids:
            self.assertEqual(self.guest.api.stop(i)["code"], 0)
        for i in ids:
            self.assert_stopped(i)

    def test_stop_twice(self):
        job_id = self.start_long_job()
        self.assertEqual(self.guest.api.stop(job_id)["code"], 0)
        self.assertEqual(self.guest.api.stop(job_id)["code"], 0)
        self.assert_stopped(job_id)
        self.assertEqual(self.guest.api.stop(job_id)["code"], 0)
        self.assertEqual(self.guest.api.status(job_id), "canceled")

    def test_stop_of_a_finished_job_changes_nothing(self):
        job_id = self.guest.api.submit(job({"a": noop()}))
        self.guest.api.wait_job(job_id)
        self.guest.api.stop(job_id)
        self.assertEqual(self.guest.api.status(job_id), "success")

    def test_unknown_job(self):
        self.assertEqual(self.guest.api.stop("202001010000000000000001")["code"], 1001)
        self.assertEqual(self.guest.api.refused("POST", "/v2/job/stop", {})["code"], 5001)
        r = self.guest.norn("job", "stop", "202001010000000000000001")
        self.assertNotEqual(r.returncode, 0)
        self.assertIn("No found job", r.stderr)

    def test_a_stopped_job_says_why(self):
        job_id = self.start_long_job()
        self.guest.api.stop(job_id)
        self.assert_stopped(job_id)
        why = self.guest.api.get("/v2/job/why", job_id=job_id)
        self.assertEqual(why["status"], "canceled")
        self.assertIn("cancel", why["summary"])
        r = self.guest.norn("why", job_id)
        self.assertIn("cancel", r.stdout)


class StubbornComponents(FederationTest):
    """A component that has stopped listening is ended all the same, together with its children."""

    sites = ("guest",)
    conf = {"exec.grace_ms": 500}

    def test_a_suspended_component_is_killed(self):
        job_id = self.guest.api.submit(job({"long": noop(sleep_ms=120000)}, parties=["guest"]))

        def component():
            for pid in self.guest.processes_of(job_id):
                try:
                    if os.readlink(f"/proc/{pid}/exe").endswith("/norn-component"):
                        return pid
                except OSError:
                    pass
            return None

        os.kill(wait_until("the component runs", component), signal.SIGSTOP)
        self.assertEqual(self.guest.api.stop(job_id)["code"], 0)
        self.guest.api.wait_job(job_id, "canceled")
        self.assert_no_processes(job_id)
