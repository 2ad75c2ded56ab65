"""The main job on real data: a vertical logistic regression between three sites, against two central computations."""

import csv
import io
import json
import math
import os
import signal
import subprocess
import sys
import tarfile
import unittest

import harness
from harness import FederationTest, wait_until

EXAMPLE = os.path.join(harness.SRC, "examples/hetero_lr")
LR = {"epochs": 12, "batch_size": 182, "alpha": 0.01, "rate": 0.15}  # as in job.yaml; checked against it below


def prepared_data():
    """The example's two tables, fetched once for a build directory."""
    out = os.path.join(harness.Run.build, "tests", "api-data")
    names = [os.path.join(out, n) for n in ("guest.csv", "host.csv")]
    if not all(map(os.path.exists, names)):
        r = subprocess.run([os.path.join(EXAMPLE, "prepare.sh"), out], capture_output=True, text=True, check=False)
        if r.returncode != 0:
            raise unittest.SkipTest("the data could not be fetched: " + (r.stderr.strip().splitlines() or ["?"])[-1])
    return names


def read_csv(text):
    """Rows as dicts; the sample id stands under "id"."""
    rows = csv.reader(io.StringIO(text))
    head = next(rows)
    return [dict(zip(head, row)) for row in rows]


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def train_in_the_clear(rows, labels):
    """The federated algorithm with all columns in one place: (weights with the intercept last, loss of each epoch).

    Mini-batches in the order of the rows, the second-order approximation of the log loss with labels -1 and 1,
    L2 without the intercept.
    """
    w = [0.0] * (len(rows[0]) + 1)
    losses = []
    for _ in range(LR["epochs"]):
        total = 0.0
        for start in range(0, len(rows), LR["batch_size"]):
            batch = range(start, min(start + LR["batch_size"], len(rows)))
            gradient = [0.0] * len(w)
            for i in batch:
                x = rows[i] + [1.0]
                z = dot(w, x)
                total += math.log(2) - 0.5 * labels[i] * z + 0.125 * z * z
                d = 0.25 * z - 0.5 * labels[i]
                for j, v in enumerate(x):
                    gradient[j] += d * v / len(batch)
            total += len(batch) * 0.5 * LR["alpha"] * dot(w[:-1], w[:-1])
            for j in range(len(w) - 1):
                gradient[j] += LR["alpha"] * w[j]
            w = [a - LR["rate"] * g for a, g in zip(w, gradient)]
        losses.append(total / len(rows))
    return w, losses


class HeteroLr(FederationTest):
    @classmethod
    def setUpClass(cls):
        harness.root_dir()
        cls.guest_csv, cls.host_csv = prepared_data()
        super().setUpClass()
        try:
            for site, path, more in ((cls.guest, cls.guest_csv, ["--label", "y"]), (cls.host, cls.host_csv, [])):
                r = site.norn("data", "upload", path, "--namespace", "demo", "--name", "breast_" + site.name,
                              "--id", "id", *more)
                if r.returncode != 0:
                    raise AssertionError(r.stdout + r.stderr)
            r = cls.guest.norn("run", EXAMPLE + "/job.yaml", "--id-file", "job.id", timeout_s=300)
            if r.returncode != 0:
                raise AssertionError(r.stdout + r.stderr)
            with open(cls.guest.dir + "/job.id", encoding="utf-8") as f:
                cls.job_id = f.read().strip()
        except AssertionError:
            print(harness.log_tails())
            cls.tearDownClass()
            raise

    def output(self, site, task, key, job_id=None):
        """The rows of one output table of a task."""
        status, headers, data = site.api.call("GET", "/v2/output/data/download", query={
            "job_id": job_id or self.job_id, "role": site.name, "party_id": site.parties[0], "task_name": task,
            "output_key": key})
        self.assertEqual((status, headers["Content-Type"]), (200, "application/gzip"), data[:300])
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
            member = tar.extractfile(f"{key}/0.csv")
            return read_csv(member.read().decode())

    def metrics(self, site, task, job_id=None):
        return site.api.get("/v2/output/metric/query", job_id=job_id or self.job_id, role=site.name,
                            party_id=site.parties[0], task_name=task)

    def auc(self, data_set, job_id=None):
        r = self.guest.norn("metric", "show", job_id or self.job_id, "evaluation_0", "--scalars")
        found = [line.split()[-1] for line in r.stdout.splitlines() if line.startswith(f"evaluation/lr_0/{data_set}/auc ")]
        self.assertEqual(len(found), 1, r.stdout + r.stderr)
        return float(found[0])

    def model(self, site, task="lr_0"):
        v = site.api.get("/v2/output/model/query", job_id=self.job_id, role=site.name, party_id=site.parties[0],
                         task_name=task)
        return v["output_model"]

    def coefficients(self, site):
        e = self.model(site)["data"]["estimator"]
        return dict(zip(e["header"], [c[0] for c in e["param"]["coef_"]])), e["param"]["intercept_"]

    def losses(self):
        steps = {}
        for m in self.metrics(self.arbiter, "lr_0"):
            if m["name"] == "lr_loss":
                steps.update({d["step"]: d["metric"] for d in m["data"]})
        return [steps[k] for k in sorted(steps)]

    def joined_training_set(self):
        """(names of the features, rows, labels -1 and 1) as both sites hold them after the split."""
        guest, host = (self.output(s, "data_split_0", "train_output_data") for s in (self.guest, self.host))
        self.assertEqual([r["id"] for r in guest], [r["id"] for r in host])
        names = [n for n in guest[0] if n not in ("id", "y")] + [n for n in host[0] if n != "id"]
        rows = [[float(v) for k, v in {**g, **h}.items() if k not in ("id", "y")] for g, h in zip(guest, host)]
        return names, rows, [1 if float(g["y"]) == 1 else -1 for g in guest]

    def test_the_parameters_here_are_those_of_the_job(self):
        with open(EXAMPLE + "/job.yaml", encoding="utf-8") as f:
            text = f.read()
        for words in (f"epochs: {LR['epochs']}\n", f"batch_size: {LR['batch_size']}\n", f"alpha: {LR['alpha']}\n",
                      f"lr: {LR['rate']}}}", "method: sgd", "penalty: l2", "method: zeros"):
            self.assertIn(words, text)

    def test_the_intersection_is_right(self):
        ids = []
        for path in (self.guest_csv, self.host_csv):
            with open(path, encoding="utf-8") as f:
                ids.append({r["id"] for r in read_csv(f.read())})
        for site in (self.guest, self.host):
            rows = self.output(site, "psi_0", "output_data")
            self.assertEqual(len(rows), len(ids[0] & ids[1]))
            self.assertEqual({r["id"] for r in rows}, ids[0] & ids[1])

    def test_nobody_has_what_belongs_to_others(self):
        """No file of a site holds an id that only another one has, and only the guest has labels and its columns."""
        known = {}
        for name, path in (("guest", self.guest_csv), ("host", self.host_csv)):
            with open(path, encoding="utf-8") as f:
                known[name] = {r["id"] for r in read_csv(f.read())}
        for site, foreign in ((self.host, known["guest"] - known["host"]), (self.guest, known["host"] - known["guest"]),
                              (self.arbiter, known["guest"] | known["host"])):
            searched = 0
            for base, _, files in os.walk(site.dir):
                for name in files:
                    with open(os.path.join(base, name), "rb") as f:
                        text = f.read()
                    searched += 1
                    words = set(text.replace(b",", b" ").replace(b'"', b" ").replace(b"\n", b" ").split())
                    self.assertFalse({i.encode() for i in foreign} & words, f"{site.name}: {base}/{name}")
            self.assertGreater(searched, 5)
        self.assertNotIn("y", self.output(self.host, "psi_0", "output_data")[0])

    def test_the_loss_falls(self):
        losses = self.losses()
        self.assertEqual(len(losses), LR["epochs"])
        for before, after in zip(losses, losses[1:]):
            self.assertLess(after, before)

    def test_the_same_algorithm_in_the_clear(self):
        names, rows, labels = self.joined_training_set()
        weights, losses = train_in_the_clear(rows, labels)
        guest, intercept = self.coefficients(self.guest)
        host, none = self.coefficients(self.host)
        federated = {**guest, **host}
        self.assertEqual(sorted(federated), sorted(names))
        for name, w in zip(names, weights):
            self.assertAlmostEqual(federated[name], w, delta=1e-3, msg=name)
        self.assertAlmostEqual(intercept[0], weights[-1], delta=1e-3)
        self.assertFalse(none, "only the guest has the intercept")
        for a, b in zip(self.losses(), losses):
            self.assertAlmostEqual(a, b, delta=1e-3)

    def test_an_exact_central_regression(self):
        args = []
        for option, key in (("--train", "train_output_data"), ("--test", "test_output_data")):
            path = os.path.join(self.fed.dir, key)
            with open(path, "w", encoding="utf-8") as f:
                f.writelines(r["id"] + "\n" for r in self.output(self.guest, "data_split_0", key))
            args += [option, path]
        r = subprocess.run([sys.executable, EXAMPLE + "/reference.py", self.guest_csv, self.host_csv, *args, "--json"],
                           capture_output=True, text=True, check=False)
        self.assertEqual(r.returncode, 0, r.stderr)
        exact = json.loads(r.stdout)
        self.assertGreater(exact["train_auc"], 0.98)
        self.assertAlmostEqual(self.auc("train_set"), exact["train_auc"], delta=0.005)
        self.assertAlmostEqual(self.auc("validate_set"), exact["test_auc"], delta=0.005)

    def test_the_command_line_shows_it(self):
        for args, words in ((["metric", "show", self.job_id, "evaluation_0", "--scalars"], ["auc", "ks", "recall"]),
                            (["model", "show", self.job_id, "lr_0"], ["mean_radius"]),
                            (["job", "show", self.job_id], ["lr_0", "success"])):
            r = self.guest.norn(*args)
            self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
            for w in words:
                self.assertIn(w, r.stdout)

    def test_prediction_with_the_model(self):
        r = self.guest.norn("run", EXAMPLE + "/predict.yaml", "--id-file", "predict.id",
                            "--set", "dag.conf.model_warehouse.model_id=" + self.job_id,
                            "--set", "dag.conf.model_warehouse.model_version=0", timeout_s=120)
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        with open(self.guest.dir + "/predict.id", encoding="utf-8") as f:
            job_id = f.read().strip()
        predicted = {r["id"]: float(r["predict_score"]) for r in self.output(self.guest, "lr_0", "test_output_data", job_id)}
        trained = self.output(self.guest, "lr_0", "train_output_data")
        self.assertEqual(len(predicted), 455)
        compared = 0
        for row in trained:
            if row["id"] in predicted:
                self.assertAlmostEqual(float(row["predict_score"]), predicted[row["id"]], delta=1e-4)
                compared += 1
        self.assertGreater(compared, 300)
        self.assertGreater(self.auc("test_set", job_id), 0.97)

    def start_training(self):
        r = self.guest.norn("run", EXAMPLE + "/job.yaml", "--detach", "--set", "dag.tasks.lr_0.parameters.epochs=500")
        self.assertEqual(r.returncode, 0, r.stderr)
        job_id = r.stdout.strip()
        self.guest.api.wait_started(job_id, "lr_0")
        wait_until("the first epoch is over", lambda: self.arbiter.api.envelope(
            "GET", "/v2/output/metric/query", query={"job_id": job_id, "role": "arbiter", "party_id": harness.ARBITER,
                                                     "task_name": "lr_0"}).get("data"), 30)
        return job_id

    def test_stop_in_the_middle_of_training(self):
        job_id = self.start_training()
        self.assertEqual(self.host.api.stop(job_id)["code"], 0)
        for site in self.fed.sites.values():
            site.api.wait_job(job_id, "canceled")
        self.assert_no_processes(job_id)

    def test_a_party_dies_in_the_middle_of_training(self):
        job_id = self.start_training()
        for pid in self.host.processes_of(job_id):
            if os.readlink(f"/proc/{pid}/exe").endswith("/norn-component"):
                os.kill(pid, signal.SIGKILL)
        for site in self.fed.sites.values():
            site.api.wait_job(job_id, "failed")
            f = site.api.get("/v2/job/why", job_id=job_id)["first_failure"]
            self.assertEqual((f["task_name"], f["role"], f["signal"]), ("lr_0", "host", 9))
        self.assert_no_processes(job_id)

    def test_a_node_dies_in_the_middle_of_training(self):
        """With one node a site: it comes back, and the attempt is made anew at every party."""
        job_id = self.start_training()
        node = self.host.nodes[0]
        node.kill()
        wait_until("its component has ended", lambda: not self.host.processes_of(job_id))
        node.start().wait_ready()
        wait_until("a second attempt", lambda: [t for t in self.guest.api.progress(job_id)["tasks"]
                                                if t["task_name"] == "lr_0" and t["attempt"] == 1], 30)
        self.guest.api.wait_started(job_id, "lr_0")
        self.assertEqual(self.guest.api.stop(job_id)["code"], 0)
        for site in self.fed.sites.values():
            site.api.wait_job(job_id, "canceled")
        self.assert_no_processes(job_id)
