"""Bad input: one clear error, a non-zero exit status, nothing left running, and the next job runs."""

import json
import os

import harness
from harness import FederationTest, for_party, job, noop, party_list

LABEL = ["--label", "y"]


def table(rows, head="id,y,x1,x2"):
    return head + "\n" + "".join(r + "\n" for r in rows)


def numbered(n, first=0, label=lambda i: i % 2):
    return [f"u{i},{label(i)},{i % 7}.5,{i % 5}" for i in range(first, first + n)]


class BadJobs(FederationTest):
    sites = ("guest", "host")

    def setUp(self):
        self.before = self.counts()

    def tearDown(self):
        """Nothing was written, and the next job runs."""
        self.assertEqual(self.counts(), self.before)
        self.guest.api.wait_job(self.guest.api.submit(job({"a": noop()})))

    def counts(self):
        return [site.psql(f"SELECT count(*) FROM norn.{what}") for site in (self.guest, self.host)
                for what in ("job", "party_job", "party_task", "reservation", "outbox")]

    def refused(self, definition, *words, code=None):
        """Submitted by the API and by the command line: both refuse, in the same words."""
        with self.subTest(words[0]):
            v = self.guest.api.submit_raw(definition)
            self.assertNotEqual(v["code"], 0, v)
            self.assertNotIn("job_id", v)
            if code is not None:
                self.assertEqual(v["code"], code, v)
            for w in words:
                self.assertIn(w, v["message"])
            self.refused_file(json.dumps(definition), *words)

    def refused_file(self, text, *words, name="bad.yaml"):
        path = os.path.join(self.guest.dir, name)
        with open(path, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        r = self.guest.norn("run", path)
        self.assertNotEqual(r.returncode, 0, r.stdout)
        self.assertEqual(r.stderr.count("norn: "), 1, r.stderr)
        self.assertEqual(len(r.stderr.strip().splitlines()), 1, r.stderr)
        for w in words:
            self.assertIn(w, r.stderr)

    def test_files_that_are_no_job(self):
        for text, words in ((b"", []), (b"{", []), (b"[1, 2]", ["dag"]), (b"schema_version: '2.2.0'\n", ["dag"]),
                            (b"a: [1, 2\nb: 3\n", ["line"]), (b"a: 1\na: 2\n", ["a"]), (b"a: &x [*x]\n", []),
                            (b"\xff\xfe\x00", []), (b"a: \x00", []), (b"dag: !!python/object:os.system x\n", []),
                            (b"- " * 5000 + b"x", []), (b"{\"a\":" * 5000, []), (b"plain text\n", ["dag"])):
            with self.subTest(text[:30]):
                self.refused_file(text, *words)

    def test_a_file_that_is_too_big_or_not_there(self):
        with self.subTest("big"):
            self.refused_file(b"a: '" + b"x" * (70 << 20) + b"'\n", "larger than the allowed")
        with self.subTest("billion laughs"):
            levels = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10))
            self.refused_file("a0: &a0 x\n" + levels)
        r = self.guest.norn("run", "/no/such/file.yaml")
        self.assertNotEqual(r.returncode, 0)
        self.assertIn("/no/such/file.yaml", r.stderr)

    def test_bodies_that_are_no_job(self):
        for body in (b"{", b"[]", b"{}", b'{"dag_schema": []}', b'{"dag_schema": {}}', b'{"dag_schema": null}',
                     b'{"dag_schema": {"dag": 1, "schema_version": "2.2.0"}}', b'{"dag_schema": ' + b'{"a":' * 3000,
                     b'{"dag_schema": {"schema_version": 7, "dag": {}}}'):
            with self.subTest(body[:40]):
                v = self.guest.api.envelope("POST", "/v2/job/submit", body, headers={"Content-Type": "application/json"})
                self.assertNotEqual(v["code"], 0)
                self.assertTrue(v["message"])

    def test_names_of_fields(self):
        d = job({"a": noop()})
        d["dag"]["tasks"]["a"]["parameter"] = {}
        self.refused(d, "dag.tasks.a.parameter", "parameters")
        d = job({"a": noop()})
        d["dag"]["confg"] = {}
        self.refused(d, "dag.confg", "conf")
        d = job({"a": noop()})
        del d["dag"]["parties"]
        self.refused(d, "parties")
        d = job({"a": noop()})
        d["dag"]["tasks"]["a"] = "noop"
        self.refused(d, "dag.tasks.a")

    def test_components(self):
        self.refused(job({"a": {"component_ref": "nop"}}), "dag.tasks.a", "'nop'", "did you mean 'noop'")
        self.refused(job({"a": {"component_ref": "coordinated_rl"}}), "coordinated_lr")
        self.refused(job({"a": {"component_ref": "quantum_annealing"}}), "quantum_annealing")
        self.refused(job({"a": {"parameters": {}}}), "dag.tasks.a", "component_ref")
        d = job({"a": noop()})
        d["dag"]["conf"]["task"]["provider"] = "fate:9.9.9@local"
        self.refused(d, "fate:9.9.9@local")

    def test_parameters(self):
        self.refused(job({"a": noop(sleeps_ms=1)}), "dag.tasks.a.parameters.sleeps_ms", "sleep_ms")
        self.refused(job({"a": noop()}, party_tasks=for_party("host", a={"fial": 1})), "fial", "fail")
        self.refused(job({"a": noop()}, party_tasks=for_party("host", b={})), "b")

    def test_graphs(self):
        self.refused(job({"a": noop(after="b"), "b": noop(after="c"), "c": noop(after="a")}), "dag.tasks.a.inputs", "circle", "a <- b <- c <- a")
        self.refused(job({"a": noop(after="a")}), "a")
        self.refused(job({"first": noop(), "a": noop(after="frist")}), "dag.tasks.a.inputs", "frist", "first")
        self.refused(job({}), "dag.tasks")
        d = job({"a": noop(), "b": noop(after="a")})
        d["dag"]["tasks"]["b"]["inputs"]["data"]["input_data"]["task_output_artifact"]["output_artifact_key"] = "outptu"
        self.refused(d, "outptu", "output_data")
        d = job({"a": noop(), "b": noop(after="a")})
        d["dag"]["tasks"]["b"]["inputs"]["data"]["inptu"] = d["dag"]["tasks"]["b"]["inputs"]["data"].pop("input_data")
        self.refused(d, "inptu", "input_data")
        self.refused(job({"a b/../c": noop()}), "a b/../c")

    def test_parties(self):
        d = job({"a": noop()})
        d["dag"]["parties"].append({"role": "arbiter", "party_id": ["4711"]})
        self.refused(d, "4711", "norn site add 4711")
        d = job({"a": noop()})
        d["dag"]["parties"][0]["role"] = "gest"
        self.refused(d, "dag.parties[0].role", "gest")
        d = job({"a": noop()})
        d["dag"]["parties"] = []
        self.refused(d, "dag.parties")
        d = job({"a": noop()})
        d["dag"]["parties"] = party_list("guest", "guest", "host")
        self.refused(d, harness.GUEST)
        d = job({"a": noop(parties=["arbiter"])})
        self.refused(d, "dag.tasks.a.parties", "arbiter")
        self.refused(job({"a": {"component_ref": "psi"}, }, parties=["guest"]), "psi")

    def test_numbers(self):
        for key, value in (("cores", -1), ("cores", 1.5), ("cores", "many"), ("cores", 10 ** 15), ("priority", "high"),
                           ("auto_retries", -1), ("timeout", -5)):
            d = job({"a": noop()})
            d["dag"]["conf"][key] = value
            self.refused(d, "dag.conf." + key)
        self.refused(job({"a": noop()}, cores=10 ** 30), "integer")
        self.refused(job({"a": noop(conf={"timeout": 0})}), "timeout")
        self.refused(job({"a": noop()}, cores=100000), "100000", code=1006)

    def test_versions_and_kinds(self):
        d = job({"a": noop()})
        d["schema_version"] = "99.0"
        self.refused(d, "schema_version")
        d = job({"a": noop()})
        d["kind"] = "bfia"
        self.refused(d, "kind")
        d = job({"a": noop()})
        d["dag"]["stage"] = "trian"
        self.refused(d, "dag.stage", "trian")

    def test_too_much(self):
        many = {f"t{i}": noop() for i in range(20001)}
        with self.subTest("tasks"):
            v = self.guest.api.submit_raw(job(many))
            self.assertNotEqual(v["code"], 0)
            self.assertIn("tasks", v["message"])
        self.refused(job({"t" * 200: noop()}), "tttt")

    def test_keys_and_settings_of_the_command_line(self):
        with open(os.path.join(self.guest.dir, "good.yaml"), "w", encoding="utf-8") as f:
            json.dump(job({"a": noop()}), f)
        for args in (["--set", "dag.tasks.a.parameters.sleep_ms"], ["--set", "dag.parties.7.role=guest"],
                     ["--set", "=1"], ["--key", "a b"], ["--key", "x" * 65], ["--no-such-option"], ["--set"]):
            with self.subTest(args):
                r = self.guest.norn("run", "good.yaml", *args)
                self.assertNotEqual(r.returncode, 0)
                self.assertTrue(r.stderr.startswith("norn: "), r.stderr)

    def test_ids_that_are_none(self):
        for bad in ("../../etc/passwd", "x" * 65, "a b", "", "%00", "'; DROP TABLE norn.job; --"):
            with self.subTest(bad):
                for path in ("/v2/job/progress", "/v2/job/why", "/v2/job/events"):
                    self.guest.api.refused("GET", path, job_id=bad)
                self.guest.api.refused("GET", "/v2/log/read", job_id=bad, log="schedule", offset=0)
                self.assertNotEqual(self.guest.norn("job", "show", bad).returncode, 0)


class BadTables(FederationTest):
    sites = ("guest",)

    def upload(self, text, *options, name="bad"):
        path = os.path.join(self.guest.dir, name + ".csv")
        with open(path, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        return self.guest.norn("data", "upload", path, "--namespace", "test", "--name", name, *options)

    def refused(self, text, words, *options):
        with self.subTest(words):
            r = self.upload(text, *options)
            self.assertNotEqual(r.returncode, 0, r.stdout)
            for w in words:
                self.assertIn(w, r.stdout + r.stderr)
            self.assertEqual(self.guest.api.refused("GET", "/v2/table/query", namespace="test", name="bad")["code"], 7001)
            self.assertEqual(self.guest.psql("SELECT count(*) FROM norn.data_table WHERE namespace = 'test' "
                                             "AND name = 'bad'"), [["0"]])

    def tearDown(self):
        r = self.upload(table(numbered(10)), "--id", "id", *LABEL, name="good")
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        r = self.guest.norn("table", "delete", "test", "good")
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)

    def test_duplicate_ids_name_the_line(self):
        rows = numbered(10)
        rows.insert(7, rows[2])
        self.refused(table(rows), ["line 9", "line 4"], "--id", "id", *LABEL)

    def test_ragged_rows_name_the_line(self):
        rows = numbered(10)
        rows[4] = "u4,1,2.5"
        self.refused(table(rows), ["line 6"], "--id", "id", *LABEL)
        rows[4] = "u4,1,2.5,1,9"
        self.refused(table(rows), ["line 6"], "--id", "id", *LABEL)

    def test_values_that_are_no_numbers_name_line_and_column(self):
        rows = numbered(10)
        rows[6] = "u6,0,abc,1"
        self.refused(table(rows), ["line 8", "x1"], "--id", "id", *LABEL)

    def test_quotes_that_do_not_end(self):
        rows = numbered(5)
        rows[2] = 'u2,0,"1.5,2'
        self.refused(table(rows), ["line 4"], "--id", "id", *LABEL)

    def test_columns_that_are_not_there(self):
        self.refused(table(numbered(5)), ["key"], "--id", "key", *LABEL)
        self.refused(table(numbered(5)), ["target"], "--id", "id", "--label", "target")
        self.refused(table(numbered(5), head="id,y,x1,x1"), ["x1"], "--id", "id", *LABEL)

    def test_files_that_are_no_tables(self):
        self.refused(b"", [], "--id", "id")
        self.refused(b"\x00\x01\x02\xff" * 100, [], "--id", "id")
        self.refused(b"id,x\n", [], "--id", "id")
        r = self.guest.norn("data", "upload", "/no/such/file.csv", "--namespace", "test", "--name", "bad")
        self.assertNotEqual(r.returncode, 0)
        self.assertIn("/no/such/file.csv", r.stdout + r.stderr)

    def test_strange_names(self):
        path = os.path.join(self.guest.dir, "ok.csv")
        with open(path, "w", encoding="utf-8") as f:
            f.write(table(numbered(5)))
        for namespace, name in (("test", "x" * 500), ("", "bad"), ("test", ""), ("a\nb", "bad")):
            with self.subTest((namespace, name[:20])):
                r = self.guest.norn("data", "upload", path, "--namespace", namespace, "--name", name, "--id", "id")
                self.assertNotEqual(r.returncode, 0, r.stdout)
        # A name is no path: whatever it is, the table stays below the data directory.
        for namespace, name in (("../../x", "bad"), ("test", "../bad"), ("/etc", "passwd")):
            with self.subTest((namespace, name)):
                self.guest.norn("data", "upload", path, "--namespace", namespace, "--name", name, "--id", "id")
        for (uri,) in self.guest.psql("SELECT uri FROM norn.data_table"):
            self.assertTrue(uri.startswith("file://" + self.guest.dir + "/data/"), uri)
            self.assertNotIn("..", uri)


class BadData(FederationTest):
    """What can only be seen while the job runs: the job fails, says why, and leaves nothing."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.guest.upload(table(numbered(40)), "good", id="id", label="y")
        cls.guest.upload(table(numbered(40, label=lambda i: i % 3)), "three_labels", id="id", label="y")
        cls.guest.upload(table(numbered(40)), "no_label", id="id")
        cls.host.upload(table([f"u{i},{i % 3},{i % 4}" for i in range(40)], "id,x3,x4"), "good", id="id")
        cls.host.upload(table([f"v{i},{i % 3},{i % 4}" for i in range(40)], "id,x3,x4"), "strangers", id="id")

    @staticmethod
    def training(guest_table, host_table):
        two = ["guest", "host"]

        def reads(task, key="output_data", parties=two):
            return {"task_output_artifact": {"producer_task": task, "output_artifact_key": key,
                                             "parties": party_list(*parties)}}

        d = job({
            "read": {"component_ref": "reader", "parties": party_list(*two), "stage": "default"},
            "match": {"component_ref": "psi", "parties": party_list(*two), "stage": "default",
                      "inputs": {"data": {"input_data": reads("read")}}},
            "fit": {"component_ref": "coordinated_lr",
                    "parameters": {"epochs": 1, "batch_size": None, "init_param": {"method": "zeros", "fit_intercept": True}},
                    "inputs": {"data": {"train_data": reads("match")}}},
        }, parties=("guest", "host", "arbiter"), stage="train")
        d["dag"]["party_tasks"] = {
            **for_party("guest", read={"namespace": "test", "name": guest_table}),
            **for_party("host", read={"namespace": "test", "name": host_table})}
        return d

    def failing(self, definition, task, *words):
        path = os.path.join(self.guest.dir, "job.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(definition, f)
        r = self.guest.norn("run", path, "--id-file", "job.id")
        self.assertNotEqual(r.returncode, 0, r.stdout)
        text = r.stdout + r.stderr
        self.assertIn(task, text)
        for w in words:
            self.assertIn(w, text)
        with open(os.path.join(self.guest.dir, "job.id"), encoding="utf-8") as f:
            job_id = f.read().strip()
        parties = [p["role"] for p in definition["dag"]["parties"]]
        for name in parties:
            self.fed.sites[name].api.wait_job(job_id, "failed")
        self.assert_no_processes(job_id)
        for site in self.fed.sites.values():
            self.assertEqual(site.psql("SELECT count(*) FROM norn.reservation_view"), [["0"]])
        return job_id

    def test_a_table_that_is_not_there(self):
        self.failing(self.training("missing", "good"), "read", "test/missing", harness.GUEST)
        self.failing(self.training("good", "missing"), "read", "test/missing", harness.HOST)

    def test_a_label_that_is_not_binary(self):
        self.failing(self.training("three_labels", "good"), "fit", "label 2", "only binary labels")

    def test_no_label_at_all(self):
        self.failing(self.training("no_label", "good"), "fit", "label")

    def test_no_common_ids(self):
        self.failing(self.training("good", "strangers"), "match", "common")

    def test_parameters_of_the_wrong_kind(self):
        self.failing(job({"a": noop(sleep_ms="long")}), "a", "sleep_ms")
        self.failing(job({"a": noop(sleep_ms=-1)}), "a", "sleep_ms")
        self.failing(job({"a": noop(fail=500)}), "a", "fail")

    def test_good_data(self):
        self.guest.api.wait_job(self.guest.api.submit(self.training("good", "good")))
