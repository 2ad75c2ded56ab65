"""Components that misbehave: each has a clear end, leaves nothing behind, and `norn why` says what it did."""

import json
import os
import shutil

import harness
from harness import FederationTest, job, wait_until

PROVIDER = "odd:1.0@local"
LOG_NOTE = "norn-run: the log limit of 1048576 bytes is reached, the rest is not kept\n"


def odd(deed, **conf):
    return {"component_ref": "odd", "parameters": {"deed": deed}, "conf": {"provider": PROVIDER, **conf}}


class OddComponents(FederationTest):
    sites = ("guest",)
    conf = {"exec.grace_ms": 500, "exec.log_mb": 1, "resources.cores": 8}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        program = os.path.join(cls.fed.dir, "odd_component.sh")
        shutil.copy(os.path.join(harness.SRC, "tests/api/odd_component.sh"), program)
        os.chmod(program, 0o755)
        artifacts = {"data": {}, "model": {}}
        description = {"component": {
            "name": "odd", "provider": "odd", "version": "1.0", "description": "misbehaves", "labels": [],
            "roles": ["guest"], "input_artifacts": artifacts, "output_artifacts": {**artifacts, "metric": {}},
            "parameters": {"deed": {"type": "str", "default": "fine", "optional": True, "description": "what to do"}}}}
        cls.guest.psql("INSERT INTO norn.provider (provider_name, name, version, device, metadata, components) "
                       f"VALUES ('{PROVIDER}', 'odd', '1.0', 'local', '{json.dumps({'program': program})}', "
                       f"'{json.dumps({'odd': description})}')")

        def known():
            v = cls.guest.api.submit_raw(job({"a": odd("fine")}, parties=["guest"]), plan=True)
            return v["code"] == 0

        wait_until("the nodes know the provider", known)

    def submit(self, deed, **conf):
        return self.guest.api.submit(job({"a": odd(deed, **conf), "other": odd("fine")}, parties=["guest"], cores=2))

    def log_of(self, job_id, name):
        path = os.path.join(self.guest.dir, "logs", job_id, "guest", harness.GUEST, "a/0", name)
        try:
            with open(path, encoding="utf-8") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def failure(self, deed, **conf):
        """(first failure, what `norn why` prints) of a job whose task a does this deed and must fail."""
        job_id = self.submit(deed, **conf)
        self.guest.api.wait_job(job_id, "failed", timeout_s=60)
        self.assert_no_processes(job_id)
        why = self.guest.api.get("/v2/job/why", job_id=job_id)
        self.assertEqual(why["first_failure"]["task_name"], "a")
        self.assertEqual(why["first_failure"]["party_id"], harness.GUEST)
        self.assertIn("task a failed at guest 9999", why["summary"])
        r = self.guest.norn("why", job_id)
        self.assertIn(why["first_failure"]["error"], r.stdout)
        self.assertIn(why["hint"], r.stdout.replace("\n", " "))
        return why["first_failure"], r.stdout

    def success(self, deed):
        job_id = self.submit(deed)
        self.guest.api.wait_job(job_id, "success", timeout_s=60)
        self.assert_no_processes(job_id)
        return job_id

    def wait_component(self, job_id):
        wait_until("the component ignores signals", lambda: self.log_of(job_id, "stderr") == "not listening\n")

    def test_one_that_behaves(self):
        self.success("fine")

    def test_deaf_to_a_stop(self):
        job_id = self.submit("deaf")
        self.guest.api.wait_started(job_id, "a")
        self.wait_component(job_id)
        self.assertEqual(self.guest.api.stop(job_id)["code"], 0)
        self.guest.api.wait_job(job_id, "canceled", timeout_s=60)
        self.assert_no_processes(job_id)
        self.assertEqual(self.guest.psql("SELECT signal FROM norn.party_task WHERE task_name = 'a' "
                                         f"AND job_id = '{job_id}'"), [["9"]])

    def test_deaf_to_its_time_limit(self):
        failure, text = self.failure("deaf", timeout=1)
        self.assertEqual(failure["status"], "timeout")
        self.assertEqual(failure["signal"], 9)
        self.assertIn("ran longer than 1 s (conf.timeout)", failure["error"])
        self.assertIn("raise the task's conf.timeout", text)

    def test_suspended_until_its_time_limit(self):
        failure, _ = self.failure("suspends", timeout=1)
        self.assertEqual(failure["status"], "timeout")

    def test_deaf_at_the_end_of_the_node(self):
        job_id = self.submit("deaf")
        self.guest.api.wait_started(job_id, "a")
        self.wait_component(job_id)
        node = self.guest.nodes[0]
        node.stop()
        self.assertEqual(self.guest.processes_of(job_id), [])
        node.start().wait_ready()
        self.guest.api.stop(job_id)
        self.guest.api.wait_job(job_id, "canceled", timeout_s=60)
        self.assert_no_processes(job_id)

    def test_children_that_outlive_it(self):
        for deed in ("forks", "holds_log"):
            with self.subTest(deed):
                job_id = self.success(deed)
                with open(os.path.join(self.guest.dir, "logs", job_id, "fate_flow_schedule.log"), encoding="utf-8") as f:
                    self.assertIn("left processes behind that were killed", f.read())

    def test_a_log_without_end(self):
        job_id = self.success("fills_log")
        for name in ("stdout", "stderr"):
            text = self.log_of(job_id, name)
            self.assertTrue(text.endswith("\n" + LOG_NOTE), text[-200:])
            self.assertLess(len(text), (1 << 20) + 200)
        failure, _ = self.failure("fills_log_and_fails")
        self.assertTrue(failure["stderr_tail"].endswith("the last words\n"), "the end counts, kept or not")
        self.assertEqual(failure["exit_code"], 3)

    def test_no_usable_result(self):
        expected = {
            "no_result": "exit code 0, but no result file",
            "bad_result": "its result file cannot be read: ",
            "pipe_as_result": "not a regular file",
            "huge_result": "is larger than the allowed",
            "bad_outputs": "output key '../up' is not a name",
            "success_but_status": "exit code 9",
        }
        for deed, words in expected.items():
            with self.subTest(deed):
                failure, text = self.failure(deed)
                self.assertIn(words, failure["error"])
                if deed in ("no_result", "bad_result", "pipe_as_result", "huge_result"):
                    self.assertIn("--execution-final-meta-path", text)

    def test_ended_by_a_signal(self):
        failure, text = self.failure("signal")
        self.assertEqual((failure["signal"], failure["exit_code"]), (11, None))
        self.assertIn("ended by signal 11 (Segmentation fault)", failure["error"])
        self.assertIn("the component crashed", text)
        failure, text = self.failure("killed")
        self.assertEqual(failure["signal"], 9)
        self.assertIn("killed from outside", text)
