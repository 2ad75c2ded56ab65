"""The official FATE client, unmodified, against three sites: the pipeline, each `flow` command, each method of the SDK."""

import json
import os
import random
import re
import sys
import tarfile
import zipfile

import harness
from harness import ARBITER, GUEST, HOST, FederationTest, wait_until

sys.path.insert(0, os.path.join(harness.SRC, "tests/fate_client"))
import client  # noqa: E402
import records  # noqa: E402

ROWS = 120
COMMON = 100  # of the ids
TABLE = """id,y,x
""" + "".join(f"{i},{i % 2},{i / 8}\n" for i in range(30))
META = {"delimiter": ",", "dtype": "float64", "label_name": "y", "label_type": "int32", "match_id_name": "id"}
RESTRICTED = 6001  # what is about authentication while that is off


def write_tables(directory):
    """Two files whose ids overlap; the label depends on columns of both."""
    r = random.Random(11)
    guest = ["id,y,x0,x1"]
    host = ["id,x2,x3,x4"]
    for i in range(ROWS):
        x = [r.gauss(0, 1) for _ in range(5)]
        y = int(x[0] - 0.5 * x[1] + 0.7 * x[2] > 0)
        guest.append(f"u{i},{y},{x[0]:.6f},{x[1]:.6f}")
        if i % 6 != 0:
            host.append(f"u{i},{x[2]:.6f},{x[3]:.6f},{x[4]:.6f}")
    paths = []
    for name, lines in (("guest", guest), ("host", host)):
        paths.append(os.path.join(directory, name + ".csv"))
        with open(paths[-1], "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
    return paths


class FateClient(FederationTest):
    """One trained model serves all tests; each makes what it changes itself."""

    commands_run = set()

    @classmethod
    def setUpClass(cls):
        env = client.install()
        cls.conf = {"components.allow_register": True, "dirs.export": [harness.root_dir()]}
        super().setUpClass()
        try:
            cls.clients = {role: client.Client(env, site, role) for role, site in cls.fed.sites.items()}
            cls.c = cls.clients["guest"]
            cls.guest_csv, cls.host_csv = write_tables(cls.fed.dir)
            with open(cls.host_csv, encoding="utf-8") as f:
                cls.host.upload(f.read(), "host_table", "pipeline", id="id")
            out = os.path.join(cls.fed.dir, "found.json")
            cls.said = cls.c.script("train_and_predict.py", GUEST, HOST, ARBITER, cls.guest_csv, out)
            with open(out, encoding="utf-8") as f:
                cls.found = json.load(f)
            cls.job_id = cls.found["fit"]["_job_id"]
        except BaseException:
            print(harness.log_tails())
            cls.tearDownClass()
            raise

    # ---- helpers

    def flow(self, *words, code=0):
        """The answer of a command, which must have this code; the words before the first option name the command."""
        v = self.c.flow(*words)
        self.remember(words)
        self.assertEqual(v.get("code"), code, v)
        if code != 0:
            self.assertTrue(v["message"])
            self.assertTrue(v["request_id"])
        return v

    def remember(self, words):
        name = [w for w in words[:2] if not w.startswith("-")]
        FateClient.commands_run.add(" ".join(name))

    def bare(self, *words):
        self.remember(words)
        return self.c.flow(*words)

    def of_task(self, task, role="guest", party=GUEST):
        return ["-j", self.job_id, "-r", role, "-p", party, "-tn", task]

    def of_job(self):
        return ["-j", self.job_id, "-r", "guest", "-p", GUEST]

    def file(self, name, content):
        path = os.path.join(self.guest.dir, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(content if isinstance(content, str) else json.dumps(content))
        return path

    def upload(self, title, **where):
        """The conf file of an upload of a small table."""
        return self.file(title + ".json", {"file": self.file(title + ".csv", TABLE), "head": True, "partitions": 2,
                                           "meta": META, "extend_sid": True,
                                           **(where or {"namespace": "flow", "name": title})})

    def wait(self, answer):
        self.guest.api.wait_job(answer["job_id"])

    def submit(self, **parameters):
        dag = {"schema_version": "2.2.0", "dag": {
            "stage": "default", "parties": [{"role": "guest", "party_id": [GUEST]}],
            "conf": {"cores": 1, "task": {"engine_run": {"cores": 1}}},
            "tasks": {"task_0": {"component_ref": "noop", "parameters": parameters}}}}
        v = self.flow("job", "submit", "-c", self.file("job.yaml", dag))
        self.assertEqual(set(v["data"]), {"model_id", "model_version"})
        return v["job_id"]

    # ---- the package

    def test_nothing_of_the_client_was_changed(self):
        for c in self.clients.values():
            self.assertGreater(c.check_unmodified(), 100)

    def test_init_and_version(self):
        self.assertEqual(self.c.init_answer["code"], 0)
        self.remember(("init",))
        self.remember(("version",))
        self.assertRegex(self.c.flow_text("version"), r"^[0-9]+\.[0-9]+")
        self.assertIn(str(self.guest.api.port), self.c.pipeline("show"))

    # ---- the pipeline

    def test_pipeline_trains(self):
        data = self.found["data"]
        self.assertEqual(data["psi_0"]["output_data"]["rows"], COMMON)
        self.assertEqual([data["data_split_0"][k]["rows"] for k in ("train_output_data", "test_output_data")], [80, 20])
        self.assertEqual(data["feature_scale_0"]["train_output_data"]["rows"], 80)
        scores = data["lr_0"]["train_output_data"]
        self.assertEqual(scores["rows"], 80)
        self.assertLessEqual({"label", "predict_score", "predict_result", "predict_detail", "type"},
                             set(scores["columns"]))
        estimator = self.found["model"]["output_model"]["data"]["estimator"]
        self.assertEqual(estimator["header"], ["x0", "x1"])
        self.assertEqual(estimator["end_epoch"], 3)
        self.assertIn("output_model", self.found["scale_model"])
        self.assertGreater(len(self.found["metrics"]), 0)
        for m in self.found["metrics"]:
            self.assertEqual(set(m), records.METRIC)
        text = json.dumps(self.found["metrics"])
        self.assertIn("auc", text)
        self.assertIn("is success", self.said)

    def test_pipeline_deploys_and_predicts(self):
        self.assertNotEqual(self.found["predict"]["_job_id"], self.job_id)
        (scores,) = self.found["scores"].values()
        self.assertEqual(scores["rows"], COMMON)
        for detail in self.found["details"]:
            self.assertAlmostEqual(sum(detail.values()), 1.0)
        dag = self.guest.api.get("/v2/job/query", job_id=self.found["predict"]["_job_id"])[0]["dag"]["dag"]
        self.assertEqual(dag["stage"], "predict")
        self.assertEqual(dag["conf"]["model_warehouse"], {"model_id": self.job_id, "model_version": "0"})

    # ---- the SDK

    def test_every_method_of_the_sdk(self):
        out = os.path.join(self.fed.dir, "sdk.json")
        directory = os.path.join(self.guest.dir, "sdk")
        os.mkdir(directory)
        self.c.script("sdk.py", str(self.guest.api.port), GUEST, HOST, self.job_id, directory, out)
        with open(out, encoding="utf-8") as f:
            said = json.load(f)
        self.assertEqual([m for m in said["all methods"] if m not in said], [])
        bare = {"output.data_table", "output.data_display"}
        off = {m for m in said["all methods"] if m.startswith("client_.")} | {"permission.grant", "permission.delete",
                                                                             "permission.query"}
        for name in said["all methods"]:
            if name in bare:
                self.assertNotIn("code", said[name], name)
                continue
            want = RESTRICTED if name in off else 0
            self.assertEqual(said[name].get("code"), want, (name, said[name]))
        self.assertEqual(said["status of the job that fails"], "failed")
        self.assertEqual(said["query after clean"]["code"], 1001)
        self.assertEqual(said["notes"], "by the library")
        self.assertEqual(said["query after delete"]["code"], 7001)
        self.assertEqual(said["bound"]["data"]["data_type"], "data_directory")
        self.assertEqual(said["bound"]["data"]["engine"], "path")
        self.assertEqual(said["model after delete"]["code"], 2005)
        self.assertEqual(said["status of the toy"], "success")
        self.assertEqual(said["model.delete_model"]["data"], {"count": True})
        self.assertEqual(said["output.delete_metric"]["data"], True)
        self.assertEqual(len(said["task.query_task_list"]["data"]["data"]), 3)
        self.assertEqual(said["site.info"]["data"], {"party_id": GUEST})
        self.assertEqual([x["line_num"] for x in said["log.query"]["data"]][:1], [1])
        (metric,) = said["metrics of an upload"]["data"]
        self.assertEqual((metric["name"], metric["data"]["count"]), ("upload", 20))
        for path in ("table/data/0.csv", "written.csv", "migrated", f"logs/{self.job_id}_logs/fate_flow_schedule.log",
                     f"output_data_{self.job_id}_guest_{GUEST}_lr_0/train_output_data/0.csv",
                     f"output_model_{self.job_id}_guest_{GUEST}_lr_0"):
            self.assertTrue(os.path.exists(os.path.join(directory, path)), path)

    # ---- flow, group by group

    def test_flow_job_queries(self):
        (job,) = self.flow("job", "query", *self.of_job())["data"]
        self.assertLessEqual(records.JOB, set(job))
        self.assertEqual((job["status"], job["progress"], job["tag"], job["role"]), ("success", 100, "job_end", "guest"))
        self.assertEqual(job["elapsed"], job["end_time"] - job["start_time"])
        v = self.flow("job", "list", "-l", "1", "-r", "guest", "-p", GUEST)["data"]
        self.assertGreaterEqual(v["count"], 2)
        self.assertEqual(len(v["data"]), 1)
        (row,) = self.flow("job", "list", "-j", self.job_id)["data"]["data"]
        self.assertEqual(set(row) - set(job), {"partners"})
        self.assertEqual(row["partners"], sorted([HOST, ARBITER]))
        self.flow("job", "add-notes", *self.of_job(), "--notes", "a note")
        self.assertEqual(self.flow("job", "query", *self.of_job())["data"][0]["description"], "a note")
        d = self.flow("job", "dependency", *self.of_job())["data"]
        self.assertEqual(d["component_list"][0], "reader_0")
        self.assertEqual(d["component_module"]["lr_0"], "coordinated_lr")
        self.assertEqual(d["component_stage"]["lr_0"], "train")
        (edge,) = d["dependencies"]["psi_0"]
        self.assertEqual(edge, {"type": "input_data", "model_type": "data", "component_name": "reader_0",
                                "up_output_info": ["output_data"]})
        self.flow("job", "query", "-j", "0", code=1001)

    def test_flow_job_log(self):
        out = os.path.join(self.guest.dir, "logs-here")
        self.flow("job", "download-log", "-j", self.job_id, "-o", out)
        found = {os.path.relpath(os.path.join(d, f), out) for d, _, files in os.walk(out) for f in files}
        for name in ("fate_flow_schedule.log", f"guest/{GUEST}/lr_0/0/stdout", f"guest/{GUEST}/lr_0/root/INFO"):
            self.assertIn(f"{self.job_id}_logs/{name}", found)
        self.flow("job", "download-log", "-j", "20240101", "-o", out, code=8001)
        self.flow("job", "download-log", "-j", "../norn", "-o", out, code=8001)
        where = ["-j", self.job_id, "-r", "guest", "-p", GUEST]
        self.assertGreater(self.flow("log", "count", "--log-type", "schedule_info", *where)["data"], 0)
        lines = self.flow("log", "query", "--log-type", "task_info", *where, "-tn", "lr_0")["data"]
        self.assertEqual([x["line_num"] for x in lines], list(range(1, len(lines) + 1)))
        self.assertIn("content", lines[0])
        self.flow("log", "query", "--log-type", "nothing", *where, code=6000)

    def test_flow_job_changes(self):
        job_id = self.submit(fail=1)
        self.guest.api.wait_job(job_id, "failed")
        self.flow("job", "rerun", "-j", job_id)
        wait_until("the second attempt has failed", lambda: any(
            t["task_version"] == 1 and t["party_status"] == "failed"
            for t in self.guest.api.get("/v2/job/task/query", job_id=job_id)))
        self.guest.api.wait_job(job_id, "failed")
        job_id = self.submit(sleep_ms=600000)
        self.guest.api.wait_started(job_id, "task_0")
        self.flow("job", "stop", "-j", job_id)
        self.guest.api.wait_job(job_id, "canceled")
        self.assertEqual(self.guest.api.get("/v2/job/query", job_id=job_id)[0]["status"], "canceled")
        self.flow("job", "clean", "-j", job_id)
        self.flow("job", "query", "-j", job_id, code=1001)
        self.flow("job", "clean", "-j", job_id, code=1001)
        self.flow("job", "rerun", "-j", job_id, code=1001)
        self.flow("job", "stop", "-j", job_id, code=1001)

    def test_flow_job_queue(self):
        """Jobs that hold all cores keep another waiting, which goes with the queue."""
        dag = {"schema_version": "2.2.0", "dag": {
            "stage": "default", "parties": [{"role": "guest", "party_id": [GUEST]}],
            "conf": {"cores": 32, "task": {"engine_run": {"cores": 1}}},
            "tasks": {"task_0": {"component_ref": "noop", "parameters": {"sleep_ms": 600000}}}}}
        path = self.file("big.yaml", dag)
        first = self.flow("job", "submit", "-c", path)["job_id"]
        self.guest.api.wait_started(first, "task_0")
        second = self.flow("job", "submit", "-c", path)["job_id"]
        wait_until("the second job waits",
                   lambda: self.guest.api.get("/v2/job/query", job_id=second)[0]["status"] == "waiting")
        v = self.flow("job", "clean-queue")["data"]
        self.assertEqual(v, {second: {"code": 0, "message": "success"}})
        self.guest.api.wait_job(second, "canceled")
        self.assertEqual(self.guest.api.status(first), "running")
        self.flow("job", "stop", "-j", first)
        self.guest.api.wait_job(first, "canceled")

    def test_flow_task(self):
        (task,) = self.flow("task", "query", *self.of_task("lr_0"))["data"]
        self.assertLessEqual(records.TASK, set(task))
        self.assertEqual(task["execution_id"], f"{self.job_id}_lr_0_0_guest_{GUEST}")
        self.assertEqual((task["task_id"], task["task_version"]), (self.job_id + "_lr_0", 0))
        self.assertEqual((task["status"], task["party_status"]), ("success", "success"))
        self.flow("task", "query", "-tid", self.job_id + "_lr_0", "-tv", "0")
        self.flow("task", "query", "-j", self.job_id, "-tn", "none", code=2000)
        v = self.flow("task", "list", "-j", self.job_id, "-l", "2")["data"]
        self.assertEqual((v["count"], len(v["data"])), (6, 2))
        self.assertLessEqual(records.TASK, set(v["data"][0]))

    def test_flow_data_and_table(self):
        v = self.flow("data", "upload", "-c", self.upload("one"))
        self.assertEqual(v["data"], {"name": "one", "namespace": "flow"})
        self.wait(v)
        self.wait(self.flow("data", "upload-file", "-c", self.upload("two")))
        raw = self.flow("data", "upload", "-c", self.upload("raw", namespace=None))
        self.assertEqual(raw["data"]["namespace"], "upload")
        self.wait(raw)
        conf = {"data_warehouse": raw["data"], "namespace": "flow", "name": "three"}
        self.wait(self.flow("data", "transformer", "-c", self.file("transform.json", conf)))
        self.flow("data", "transformer", "-c", self.file("transform.json", {**conf, "drop": False}), code=7002)
        for name in ("one", "two", "three"):
            t = self.flow("table", "query", "-ns", "flow", "-n", name, "-d", "True")["data"]
            self.assertEqual(set(t), records.TABLE | {"display"})
            self.assertEqual((t["count"], t["data_type"]), (30, "dataframe"))
            self.assertEqual(len(t["display"]), 30)
        out = os.path.join(self.guest.dir, "down")
        self.flow("data", "download", "-ns", "flow", "-n", "one", "-o", out)
        with open(out + "/data/0.csv", encoding="utf-8") as f:
            self.assertEqual(len(f.read().splitlines()), 31)
        with open(out + "/data/0.meta", encoding="utf-8") as f:
            self.assertEqual(json.load(f)["header"], ["extend_sid", "id", "y", "x"])
        v = self.flow("data", "download-component", "-ns", "flow", "-n", "one", "-o", self.guest.dir + "/one.csv")
        self.assertEqual(v["data"]["path"], self.guest.dir + "/one.csv")
        self.wait(v)
        self.assertTrue(os.path.exists(self.guest.dir + "/one.csv"))
        self.flow("data", "download", "-ns", "flow", "-n", "none", "-o", out, code=7001)
        self.flow("table", "bind", "-ns", "flow", "-n", "bound", "-o", self.guest.dir)
        t = self.flow("table", "query", "-ns", "flow", "-n", "bound")["data"]
        self.assertEqual((t["engine"], t["data_type"], t["path"], t["count"], t["meta"], t["source"]),
                         ("path", "data_directory", "file://" + self.guest.dir, None, {}, {}))
        for name in ("two", "bound"):
            self.flow("table", "delete", "-ns", "flow", "-n", name)
            self.flow("table", "query", "-ns", "flow", "-n", name, code=7001)
        self.assertTrue(os.path.exists(self.guest.dir + "/one.csv"))

    def test_flow_output(self):
        keys = self.flow("output", "query-metric-key", *self.of_task("evaluation_0"))["data"]
        for k in keys:
            self.assertEqual(set(k), {"name", "type", "groups", "step_axis"})
        metrics = self.flow("output", "query-metric", *self.of_task("evaluation_0"))["data"]
        self.assertEqual({k["name"] for k in keys}, {m["name"] for m in metrics})
        model = self.flow("output", "query-model", *self.of_task("lr_0"))["data"]
        self.assertEqual(model, self.found["model"])
        out = os.path.join(self.guest.dir, "outputs")
        self.flow("output", "download-model", *self.of_task("lr_0"), "-o", out)
        found = sorted(os.listdir(f"{out}/output_model_{self.job_id}_guest_{GUEST}_lr_0"))
        self.assertEqual(len(found), 2)
        self.assertEqual(found[1], found[0] + ".meta.yaml")
        self.flow("output", "download-data", *self.of_task("psi_0"), "-o", out)
        with open(f"{out}/output_data_{self.job_id}_guest_{GUEST}_psi_0/output_data/0.meta", encoding="utf-8") as f:
            self.assertEqual(json.load(f)["header"], ["extend_sid", "id", "y", "x0", "x1"])
        tables = self.bare("output", "query-data-table", *self.of_task("psi_0"))
        self.assertEqual(set(tables["output_data"][0]), {"namespace", "name"})
        (shown,) = self.bare("output", "display-data", *self.of_task("psi_0"))["output_data"]
        self.assertEqual(shown["total"], COMMON)
        self.assertEqual(set(shown), {"data", "metadata", "total"})
        self.flow("output", "query-model", *self.of_task("psi_0"), code=2005)
        self.flow("output", "query-metric", *self.of_task("none"), code=2000)
        self.flow("output", "delete-model", *self.of_task("psi_0"), code=2005)
        upload = self.flow("data", "upload", "-c", self.upload("metrics"))
        self.wait(upload)
        of = ["-j", upload["job_id"], "-r", "local", "-p", "0", "-tn", "upload_0"]
        self.assertIs(self.flow("output", "delete-metric", *of)["data"], True)
        self.assertIs(self.flow("output", "delete-metric", *of)["data"], False)
        self.assertEqual(self.flow("output", "query-metric", *of)["data"], [])

    def test_flow_model(self):
        out = os.path.join(self.guest.dir, "models")
        of = ["-mid", self.job_id, "-mv", "0", "-p", GUEST, "-r", "guest"]
        self.flow("model", "export", *of, "-o", out)
        path = f"{out}/{self.job_id}_0_guest_{GUEST}.zip"
        with zipfile.ZipFile(path) as z:
            self.assertIsNone(z.testzip())
            names = z.namelist()
            self.assertIn(f"{self.job_id}/0/guest/{GUEST}/lr_0/output_model", names)
            for name in names:
                with z.open(name) as f, tarfile.open(fileobj=f, mode="r|") as tar:
                    self.assertEqual(len(tar.getnames()), 2)
        self.flow("model", "export", "-mid", "none", "-mv", "0", "-p", GUEST, "-r", "guest", "-o", out, code=2005)
        # as any zip program would pack it anew
        packed = path + ".deflated.zip"
        with zipfile.ZipFile(path) as z, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as other:
            for name in names:
                other.writestr(name, z.read(name))
        paths = {}
        for version, archive in (("1", path), ("2", packed)):
            self.flow("model", "import", "-mid", "taken", "-mv", version, "-i", archive)
            rows = self.guest.psql("SELECT task_name, job_id, component, type_name, path FROM norn.model WHERE "
                                   f"model_id = 'taken' AND model_version = '{version}' ORDER BY task_name")
            self.assertEqual([r[0] for r in rows], ["feature_scale_0", "lr_0"])
            paths[version] = [f"{self.guest.dir}/data/{r[4]}" for r in rows]
            for _, job, _, kind, rel in rows:
                self.assertEqual((job, kind), ("", "json_model"))
                self.assertTrue(os.path.exists(f"{self.guest.dir}/data/{rel}"))
            with open(f"{self.guest.dir}/data/{rows[1][4]}", encoding="utf-8") as f:
                self.assertEqual(json.load(f), self.found["model"]["output_model"])
        self.predict_with("taken", "2")
        v = self.flow("model", "delete", "-mid", "taken", "-mv", "1", "-tn", "lr_0")
        self.assertEqual(v["data"], {"count": True})
        self.flow("model", "delete", "-mid", "taken", "-mv", "1", "-tn", "lr_0", code=2005)
        self.flow("model", "delete", "-mid", "taken", "-mv", "1")
        wait_until("the deleted model's files have gone", lambda: not any(os.path.exists(p) for p in paths["1"]))
        self.assertTrue(all(os.path.exists(p) for p in paths["2"]))
        self.flow("model", "import", "-mid", "taken", "-mv", "3", "-i", self.guest_csv, code=9004)

    def predict_with(self, model_id, version):
        """An imported model predicts as the one it came from: scaling needs only the guest."""
        source = {"model_warehouse": {"producer_task": "feature_scale_0", "output_artifact_key": "output_model"}}
        party = [{"role": "guest", "party_id": [GUEST]}]
        dag = {"schema_version": "2.2.0", "dag": {
            "stage": "predict", "parties": party,
            "conf": {"cores": 1, "task": {"engine_run": {"cores": 1}},
                     "model_warehouse": {"model_id": model_id, "model_version": version}},
            "tasks": {"reader_0": {"component_ref": "reader", "stage": "default",
                                   "parameters": {"namespace": "pipeline", "name": "guest_table"}},
                      "feature_scale_0": {"component_ref": "feature_scale", "inputs": {
                          "data": {"test_data": {"task_output_artifact": {
                              "producer_task": "reader_0", "output_artifact_key": "output_data"}}},
                          "model": {"input_model": source}}}}}}
        v = self.flow("job", "submit", "-c", self.file("predict.yaml", dag))
        self.wait(v)
        self.assertEqual(self.bare("output", "display-data", "-j", v["job_id"], "-r", "guest", "-p", GUEST, "-tn",
                                   "feature_scale_0")["test_output_data"][0]["total"], ROWS)

    def test_flow_provider(self):
        conf = {"name": "other", "device": "local", "version": "1.0", "metadata": {"path": self.guest.dir},
                "components_description": {"mine": {}}}
        path = self.file("provider.json", conf)
        self.assertEqual(self.flow("provider", "register", "-c", path)["message"], "create success")
        self.assertEqual(self.flow("provider", "register", "-c", path)["message"], "update success")
        (p,) = self.flow("provider", "query", "-n", "other")["data"]
        self.assertEqual(set(p), records.PROVIDER)
        self.assertEqual((p["provider_name"], p["metadata"]), ("other:1.0@local", {"path": self.guest.dir}))
        self.assertEqual(self.flow("provider", "query")["data"], [])
        self.assertIs(self.flow("provider", "delete", "-n", "other")["data"], True)
        self.assertIs(self.flow("provider", "delete", "-n", "other")["data"], False)
        self.flow("provider", "register", "-c", self.file("provider.json", {**conf, "device": "moon"}), code=4001)
        self.flow("provider", "register", "-c", self.file("provider.json", {**conf, "metadata": {"path": "/none"}}),
                  code=8001)

    def test_flow_server_and_site(self):
        v = self.flow("server", "info")["data"]
        for key, instance in v.items():
            self.assertEqual(set(instance), records.INSTANCE)
            self.assertEqual((instance["instance_id"], instance["http_port"]), (key, self.guest.api.port))
        self.assertEqual(self.flow("site", "query")["data"], {"party_id": GUEST})

    def test_flow_client_and_permission(self):
        """Without authentication there are no clients to manage; resources of other parties can be managed always."""
        for words in (["create-client", "--app-name", "a"], ["delete-client", "--app-id", "1"],
                      ["query-client", "--app-id", "1"], ["create-site", "-p", HOST], ["delete-site", "-p", HOST],
                      ["query-site", "-p", HOST], ["delete-partner", "-p", HOST], ["query-partner", "-p", HOST],
                      ["create-partner", "-p", HOST, "--app-id", "1", "--app-token", "t"]):
            self.flow("client", *words, code=RESTRICTED)
        for words in (["grant", "--app-id", "1", "-r", "client"], ["delete", "--app-id", "1", "-r", "client"],
                      ["query", "--app-id", "1"]):
            self.flow("permission", *words, code=RESTRICTED)
        conf = self.file("resource.json", {"party_id": HOST, "component": "psi,reader",
                                           "dataset": [{"namespace": "pipeline", "name": "guest_table"}]})
        self.flow("permission", "grant-resource", "-c", conf)
        v = self.flow("permission", "query-resource", "-p", HOST)["data"]
        self.assertEqual(sorted(v["component"]), ["psi", "reader"])
        self.assertEqual(v["dataset"], [{"namespace": "pipeline", "name": "guest_table"}])
        self.flow("permission", "delete-resource", "-c", conf)
        v = self.flow("permission", "query-resource", "-p", HOST)["data"]
        self.assertEqual((v["component"], v["dataset"]), ([], []))

    def test_flow_test_toy(self):
        self.remember(("test", "toy"))
        text = self.c.flow_text("test", "toy", "-gid", GUEST, "-hid", HOST)
        self.assertRegex(text, r"toy test job [0-9]+ is success")
        job_id = re.search("job ([0-9]+) is success", text).group(1)
        (metric,) = self.guest.api.get("/v2/output/metric/query", job_id=job_id, role="guest", party_id=GUEST,
                                       task_name="toy_example_0")
        self.assertEqual((metric["name"], metric["data"]), ("secure_sum", 2048))

    def test_zz_every_command_was_run(self):
        """Last, by its name."""
        if len(FateClient.commands_run) < 10:
            self.skipTest("only with the other tests of this class")
        text = self.c.script("commands.py")
        commands = {line for line in text.splitlines() if line and "torch" not in line}
        self.assertGreater(len(commands), 50)
        self.assertEqual(commands - FateClient.commands_run, set())
