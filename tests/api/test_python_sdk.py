"""The Python SDK against real sites: the client, and the example component in jobs at one site and at two."""

import csv
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import threading
import time
import unittest

import harness
from harness import GUEST, HOST, FederationTest, free_port, noop, party_list, wait_until

SDK = os.path.join(harness.SRC, "python")
EXAMPLE = os.path.join(harness.SRC, "examples/python_component")
ROWS = {"guest": 400, "host": 250}


class Venv:
    """A virtual environment below the build directory with the SDK, installed as its users would."""

    python = None
    problem = None

    @classmethod
    def run(cls, *command):
        return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)

    @classmethod
    def make(cls):
        harness.root_dir()
        place = os.path.join(harness.Run.build, "tests", "sdk-venv")
        python = os.path.join(place, "bin", "python3")
        ready = os.path.join(place, "ready")
        if not os.path.exists(ready):
            shutil.rmtree(place, ignore_errors=True)
            for step in (
                [sys.executable, "-m", "venv", place],
                [python, "-m", "pip", "install", "-q", "requests", "setuptools", "wheel"],
            ):
                r = cls.run(*step)
                if r.returncode != 0:
                    raise unittest.SkipTest(
                        "no Python packages can be fetched: " + (r.stderr.strip().splitlines() or ["?"])[-1]
                    )
            with open(ready, "w", encoding="utf-8"):
                pass
        copy = os.path.join(harness.root_dir(), "python")  # building leaves files behind
        shutil.copytree(SDK, copy, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
        r = cls.run(
            python, "-m", "pip", "install", "-q", "--no-build-isolation", "--no-deps", "--force-reinstall", copy
        )
        if r.returncode != 0:
            raise AssertionError("pip install ./python: " + r.stdout + r.stderr)
        return python

    @classmethod
    def get(cls):
        if cls.problem is not None:
            raise cls.problem
        if cls.python is None:
            try:
                cls.python = cls.make()
            except (unittest.SkipTest, AssertionError) as e:
                cls.problem = e
                raise
        return cls.python


def use_sdk():
    """Makes the installed package importable here; the interpreter is the same."""
    r = Venv.run(Venv.get(), "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])")
    if r.stdout.strip() not in sys.path:
        sys.path.insert(0, r.stdout.strip())


class Package(unittest.TestCase):
    def test_its_own_tests_pass(self):
        r = subprocess.run(
            [Venv.get(), "-B", "-m", "unittest", "discover", "-s", os.path.join(SDK, "tests"), "-t", SDK],
            capture_output=True,
            text=True,
            check=False,
            cwd=harness.root_dir(),
            env={**harness.child_env(), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        self.assertRegex(r.stderr, r"Ran [1-9]\d* tests")

    def test_the_example_is_tested(self):
        r = subprocess.run(
            [Venv.get(), "-B", "-m", "unittest"],
            capture_output=True,
            text=True,
            check=False,
            cwd=EXAMPLE,
            env=harness.child_env(),
        )
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        self.assertRegex(r.stderr, r"Ran [1-9]\d* tests")

    def test_the_distribution_has_every_file(self):
        with open(os.path.join(SDK, "python.am"), encoding="utf-8") as f:
            listed = set(f.read().split())
        for top in (SDK, EXAMPLE):
            for base, directories, files in os.walk(top):
                directories[:] = [
                    d for d in directories if d not in ("__pycache__", "build") and not d.endswith(".egg-info")
                ]
                for name in files:
                    path = os.path.relpath(os.path.join(base, name), harness.SRC)
                    if path != "python/python.am":
                        self.assertIn(path, listed)

    def test_it_is_typed(self):
        python = Venv.get()
        if Venv.run(python, "-m", "mypy", "--version").returncode != 0:
            r = Venv.run(python, "-m", "pip", "install", "-q", "mypy", "types-requests")
            if r.returncode != 0:
                self.skipTest("mypy cannot be fetched")
        r = Venv.run(
            python, "-m", "mypy", "--strict", "--cache-dir", os.path.join(harness.root_dir(), "mypy"), "-p", "norn"
        )
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        r = Venv.run(
            python,
            "-m",
            "mypy",
            "--strict",
            "--cache-dir",
            os.path.join(harness.root_dir(), "mypy"),
            os.path.join(EXAMPLE, "column_statistics.py"),
        )
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)

    def test_a_component_needs_the_standard_library_only(self):
        code = (
            "import sys\nimport norn.component, norn.component.testing\n"
            "sys.exit(sorted({'requests', 'urllib3', 'pandas'} & set(sys.modules)) or 0)"
        )
        r = Venv.run(Venv.get(), "-c", code)
        self.assertEqual(r.returncode, 0, r.stderr)


def write_table(path, rows, seed):
    """A CSV file with two columns of numbers; the columns by name."""
    r = random.Random(seed)
    columns = {"height": [], "weight": []}
    with open(path, "w", encoding="utf-8", newline="") as f:
        out = csv.writer(f)
        out.writerow(["id", *columns])
        for i in range(rows):
            row = [round(r.gauss(170, 9), 2), round(r.gauss(70, 12), 2)]
            out.writerow([f"u{i}", *row])
            for values, value in zip(columns.values(), row):
                values.append(value)
    return columns


def definition(parties=("guest",), provider="people:*@local", **parameters):
    """A reader, then the example component."""
    listed = party_list(*parties)
    return {
        "schema_version": "2.2.0",
        "dag": {
            "stage": "default",
            "parties": listed,
            "conf": {"scheduler_party_id": GUEST, "cores": 1, "task": {"timeout": 120, "engine_run": {"cores": 1}}},
            "tasks": {
                "load": {"component_ref": "reader", "parameters": {"namespace": "test", "name": "people"}},
                "describe": {
                    "component_ref": "column_statistics",
                    "conf": {"provider": provider},
                    "parameters": parameters,
                    "inputs": {
                        "data": {
                            "input_data": {
                                "task_output_artifact": {"producer_task": "load", "output_artifact_key": "output_data"}
                            }
                        }
                    },
                },
            },
        },
    }


class Sdk(FederationTest):
    sites = ("guest", "host")
    conf = {"components.allow_register": True}

    @classmethod
    def setUpClass(cls):
        use_sdk()
        import norn

        cls.norn = norn
        super().setUpClass()
        try:
            cls.columns = {}
            cls.clients = {}
            for i, site in enumerate((cls.guest, cls.host)):
                client = cls.clients[site.name] = norn.Client(site.url, key_store="")
                path = os.path.join(site.dir, "people.csv")
                cls.columns[site.name] = write_table(path, ROWS[site.name], i)
                moved = []
                job = client.data.upload(
                    path,
                    "test",
                    "people",
                    norn.site.table_meta("id", dtype="float64"),
                    progress=lambda done, total, seen=moved: seen.append((done, total)),
                )
                size = os.path.getsize(path)
                assert moved[-1] == (size, size), moved[-3:]
                job.wait(60)
                r = subprocess.run(
                    [
                        Venv.get(),
                        "-B",
                        "-m",
                        "norn.component",
                        "register",
                        "column_statistics",
                        "--path",
                        EXAMPLE,
                        "--name",
                        "people",
                        "--url",
                        site.url,
                    ],
                    capture_output=True,
                    text=True,
                    check=False,
                    env=harness.child_env(),
                )
                assert r.returncode == 0, r.stderr
                assert r.stdout == "registered people:1.0.0@local: column_statistics\n", r.stdout
        except BaseException:
            print(harness.log_tails())
            cls.tearDownClass()
            raise
        cls.client = cls.clients["guest"]

    @classmethod
    def tearDownClass(cls):
        for c in getattr(cls, "clients", {}).values():
            c.close()
        super().tearDownClass()

    def check_statistics(self, name, job, client):
        """What the component says of the columns of a site, against the same computed here."""
        party = harness.PARTY_OF[name]
        rows = {r["column"]: r for r in client.output.rows(job.id, name, party, "describe", "output_data")}
        self.assertEqual(sorted(rows), sorted(self.columns[name]))
        for column, values in self.columns[name].items():
            r = rows[column]
            self.assertEqual(int(r["rows"]), len(values))
            self.assertAlmostEqual(float(r["mean"]), statistics.mean(values), 9)
            self.assertAlmostEqual(float(r["deviation"]), statistics.stdev(values), 9)
            self.assertEqual((float(r["least"]), float(r["greatest"])), (min(values), max(values)))
        metrics = client.output.metrics(job.id, name, party, "describe")
        self.assertEqual([m["data"] for m in metrics if m["name"] == "rows"], [ROWS[name]])
        means = {m["groups"][-1]["name"]: m["data"] for m in metrics if m["name"] == "mean"}
        for column, values in self.columns[name].items():
            self.assertAlmostEqual(means[column], statistics.mean(values), 9)
        return metrics

    # ---- the component in jobs

    def test_a_component_at_one_site(self):
        seen = []
        job = self.client.job.submit(definition())
        end = job.wait(120, on_progress=seen.append)
        self.assertEqual((end.status, end.percent, seen[-1]), ("success", 100, end))
        self.assertEqual([t.name for t in end.tasks], ["load", "describe"])
        self.assertEqual(end.tasks[1].depends_on, ("load",))
        self.check_statistics("guest", job, self.client)
        model = job.models("describe", "guest", GUEST)["output_model"]
        self.assertEqual(sorted(model["columns"]), ["height", "weight"])
        shown = self.client.output.display(job.id, "guest", GUEST, "describe")
        self.assertEqual(shown["output_data"][0]["total"], 2)
        text = "".join(self.client.log.follow(job.id, "stdout", role="guest", party_id=GUEST, task_name="describe"))
        self.assertIn(f"described 2 columns of {ROWS['guest']} rows", text)

    def test_the_example_runs_as_its_readme_says(self):
        r = self.guest.norn(
            "data",
            "upload",
            os.path.join(EXAMPLE, "people.csv"),
            "--namespace",
            "demo",
            "--name",
            "people",
            "--id",
            "id",
        )
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        r = self.guest.norn("run", os.path.join(EXAMPLE, "job.yaml"), "--id-file", "example.id")
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        with open(os.path.join(self.guest.dir, "example.id"), encoding="utf-8") as f:
            job = self.client.job.get(f.read().strip())
        self.assertEqual({m["name"]: m["data"] for m in job.metrics("describe", "guest", GUEST)}["rows"], 4)
        r = self.guest.norn(
            "run", os.path.join(EXAMPLE, "job.yaml"), "--set", "dag.tasks.describe.parameters.least_rows=100"
        )
        self.assertEqual(r.returncode, 1)
        self.assertIn("the table has 4 rows, fewer than least_rows 100", r.stdout + r.stderr)

    def test_a_component_at_two_sites(self):
        job = self.client.job.submit(definition(("guest", "host"), compare=True))
        job.wait(120)
        for name, client in self.clients.items():
            metrics = self.check_statistics(name, job, client)
            told = [m["data"] for m in metrics if m["name"] == "rows_of_parties"]
            self.assertEqual(told, [{f"guest {GUEST}": ROWS["guest"], f"host {HOST}": ROWS["host"]}])

    def test_its_output_is_an_input_of_others(self):
        d = definition()
        d["dag"]["tasks"]["again"] = json.loads(json.dumps(d["dag"]["tasks"]["describe"]))
        source = d["dag"]["tasks"]["again"]["inputs"]["data"]["input_data"]["task_output_artifact"]
        source.update(producer_task="describe", output_artifact_key="output_data")
        d["dag"]["tasks"]["scale"] = {
            "component_ref": "feature_scale",
            "stage": "train",
            "inputs": {
                "data": {
                    "train_data": {
                        "task_output_artifact": {"producer_task": "describe", "output_artifact_key": "output_data"}
                    }
                }
            },
        }
        job = self.client.job.submit(d)
        job.wait(120)
        rows = {r["column"]: r for r in job.rows("again", "guest", GUEST, "output_data")}
        self.assertEqual(float(rows["rows"]["mean"]), ROWS["guest"])
        self.assertEqual(len(list(job.rows("scale", "guest", GUEST, "train_output_data"))), 2)

    def failure(self, **parameters):
        job = self.client.job.submit(definition(**parameters))
        with self.assertRaises(self.norn.JobFailed) as caught:
            job.wait(120)
        self.assertEqual(caught.exception.status, "failed")
        first = caught.exception.why["first_failure"]
        self.assertEqual((first["task_name"], first["role"], first["exit_code"]), ("describe", "guest", 1))
        return first["error"], str(caught.exception)

    def test_failures_say_what_is_wrong(self):
        error, text = self.failure(columns=["hight"])
        self.assertEqual(
            error, "parameter columns: the table has no column 'hight' of numbers (it has: height, weight)"
        )
        self.assertIn("describe", text)
        error, _ = self.failure(least_rows=ROWS["guest"] + 1)
        self.assertEqual(error, f"the table has {ROWS['guest']} rows, fewer than least_rows {ROWS['guest'] + 1}")

    def test_wrong_parameters_are_named(self):
        """Whether the submission refuses them or the component does, the words name the parameter."""
        for parameters in ({"least_rows": -1}, {"least_rows": "many"}, {"colums": []}, {"columns": [1]}):
            with self.subTest(parameters):
                try:
                    job = self.client.job.submit(definition(**parameters))
                    with self.assertRaises(self.norn.JobFailed) as caught:
                        job.wait(120)
                    text = caught.exception.why["first_failure"]["error"]
                except self.norn.ApiError as e:
                    text = str(e)
                self.assertIn(next(iter(parameters)), text)

    # ---- providers

    def test_bad_providers_are_refused(self):
        good = {"name": "x", "version": "1", "metadata": {"module": "m"}, "components": {}}
        cases = [
            ({"name": "norn"}, 4000, "built-in"),
            ({"name": "a:b"}, 4000, "name"),
            ({"version": "1@local"}, 4000, "version"),
            ({"device": "quantum"}, 4001, "quantum"),
            ({"metadata": {}}, 4000, "metadata"),
            ({"metadata": {"module": "-c"}}, 4000, "metadata.module"),
            ({"metadata": {"module": 7}}, 4000, "metadata.module"),
            ({"metadata": {"program": "bin/true"}}, 4000, "metadata.program"),
            ({"metadata": {"program": "/no/such/program"}}, 8001, "/no/such/program"),
            ({"metadata": {"module": "m", "venv": "/no/such/python"}}, 8001, "metadata.venv"),
            ({"metadata": {"path": f"{EXAMPLE}:/no/such/directory"}}, 8001, "/no/such/directory"),
            ({"components": {"../x": {}}}, 4000, "../x"),
            ({"components": {"x": 1}}, 4000, "components_description.x"),
        ]
        for change, code, words in cases:
            with self.subTest(change), self.assertRaises(self.norn.ApiError) as caught:
                self.client.provider.register(**{**good, **change})
            self.assertEqual(caught.exception.code, code)
            self.assertIn(words, caught.exception.message)
        self.assertEqual(self.client.provider.query("x"), [])

    def test_providers_come_and_go(self):
        described = {"nothing": {"component": {"name": "nothing"}}}
        self.client.provider.register("tmp", "1", {"program": "/bin/true"}, described)
        self.assertEqual(self.client.provider.query("tmp")[0]["metadata"], {"program": "/bin/true"})
        self.assertIn("nothing", self.client.provider.components())
        self.client.provider.register("tmp", "1", {"program": "/bin/false"})
        self.assertEqual(self.client.provider.query("tmp")[0]["metadata"], {"program": "/bin/false"})
        self.assertIn("nothing", self.client.provider.components())  # kept
        self.assertTrue(self.client.provider.delete("tmp"))
        self.assertFalse(self.client.provider.delete("tmp"))
        self.assertNotIn("nothing", self.client.provider.components())
        with self.assertRaises(self.norn.InvalidParameter):
            self.client.provider.delete()
        self.assertFalse(self.client.provider.delete("norn"))
        self.assertIn("reader", self.client.provider.components())

    # ---- the client

    def test_a_key_is_one_job(self):
        d = harness.job({"a": noop()}, parties=("guest",))
        one, two = (self.client.job.submit(d, idempotency_key="sdk-test-1") for _ in range(2))
        self.assertEqual(one.id, two.id)
        self.assertNotEqual(self.client.job.submit(d).id, one.id)

    def test_views(self):
        job = self.client.job.submit(harness.job({"a": noop()}, parties=("guest",)))
        job.wait(60)
        self.assertEqual(self.client.job.query(job.id)[0]["status"], "success")
        self.assertEqual(self.client.job.list(5, job_id=job.id).count, 1)
        self.assertEqual(self.client.task.query(job.id)[0]["task_name"], "a")
        self.assertEqual(self.client.task.list(5, job_id=job.id).data[0]["component"], "noop")
        self.assertEqual(self.client.job.timing(job.id)["job"]["status"], "success")
        self.assertEqual(list(job.events())[-1]["to"], "success")
        self.assertIn("summary", job.why())
        self.client.job.add_notes(job.id, "guest", GUEST, "a note")
        self.assertEqual(self.client.job.query(job.id)[0]["description"], "a note")
        self.assertEqual(self.client.job.dependency(job.id, "guest", GUEST)["component_list"], ["a"])
        self.assertEqual(self.client.site.info(), {"party_id": GUEST})
        self.assertEqual([r["party_id"] for r in self.client.site.routes() if not r["local"]], [HOST])
        self.assertTrue(self.client.site.check(HOST)["ok"])
        self.assertEqual(len(self.client.server.nodes()), 1)
        self.assertTrue(self.client.server.resources() and self.client.server.info())
        self.assertTrue(self.client.server.alive() and self.client.server.ready())
        self.assertIn("norn_db_up 1", self.client.server.metrics())
        plan = self.client.job.plan(harness.job({"a": noop()}, parties=("guest",)))
        self.assertEqual(plan["tasks"][0]["component"], "noop")
        self.client.job.clean(job.id)
        with self.assertRaises(self.norn.NotFound):
            self.client.job.query(job.id)

    def test_tables(self):
        table = self.client.table.query("test", "people", display=True)
        self.assertEqual(table["count"], ROWS["guest"])
        self.assertTrue(table["display"])
        rows = list(self.client.data.rows("test", "people"))
        self.assertEqual([float(r["height"]) for r in rows], self.columns["guest"]["height"])
        path = os.path.join(self.guest.dir, "people.tar.gz")
        moved = []
        size = self.client.data.download("test", "people", path, progress=lambda done, _: moved.append(done))
        self.assertEqual((os.path.getsize(path), moved[-1]), (size, size))
        with self.assertRaises(self.norn.NotFound) as caught:
            self.client.data.download("test", "nobody", path + ".no")
        self.assertEqual(caught.exception.code, 7001)
        self.assertFalse(os.path.exists(path + ".no"))

    def test_files_of_a_task(self):
        job = self.client.job.submit(definition())
        job.wait(120)
        place = os.path.join(self.guest.dir, "out")
        found = self.client.output.download(job.id, "guest", GUEST, "describe", place)
        self.assertEqual(sorted(os.path.relpath(p, place) for p in found), ["output_data/0.csv", "output_data/0.meta"])
        found = self.client.output.download_models(job.id, "guest", GUEST, "describe", os.path.join(place, "model"))
        self.assertTrue(found)
        self.client.output.delete_models(job.id, "guest", GUEST, "describe")
        self.assertTrue(self.client.output.delete_metrics(job.id, "guest", GUEST, "describe"))
        self.assertEqual(self.client.output.metrics(job.id, "guest", GUEST, "describe"), [])

    def test_refusals_are_exceptions(self):
        with self.assertRaises(self.norn.NotFound) as caught:
            self.client.job.progress("nosuchjob")
        self.assertEqual(caught.exception.code, 1001)
        self.assertTrue(caught.exception.request_id)
        self.assertIn(caught.exception.request_id, str(caught.exception))
        with self.assertRaises(self.norn.ApiError) as caught:
            self.client.job.submit({"dag": {}, "schema_version": "2.2.0"})
        self.assertTrue(caught.exception.message)
        with self.assertRaises(self.norn.InvalidParameter) as caught:
            self.client.transport.get("/v2/table/query", name="x")
        self.assertIn("namespace: Missing data for required field.", str(caught.exception))
        with self.norn.Client(f"http://127.0.0.1:{free_port()}", retries=1, key_store="") as nobody:
            with self.assertRaises(self.norn.ConnectionFailed):
                nobody.site.info()
        with self.norn.Client(f"http://127.0.0.1:{self.guest.nodes[0].peer_port}", retries=0, key_store="") as peer:
            with self.assertRaises(self.norn.NornError):
                peer.site.info()

    def test_wait_ends_in_time_and_the_job_can_be_stopped(self):
        job = self.client.job.submit(harness.job({"a": noop(sleep_ms=60000)}, parties=("guest",)))
        with self.assertRaises(self.norn.JobNotFinished):
            job.wait(0.3)
        job.stop()
        self.assertEqual(job.wait(60, check=False).status, "canceled")
        with self.assertRaises(self.norn.JobFailed):
            job.wait(60)

    def test_wait_outlives_a_restart_of_the_node(self):
        job = self.client.job.submit(
            harness.job({"a": noop(sleep_ms=3000), "b": noop(after="a")}, parties=("guest",), auto_retries=2)
        )
        ended = []
        news = threading.Event()

        def wait():
            with self.norn.Client(self.guest.url, key_store="", retries=0) as client:
                ended.append(client.job.wait(job.id, 90, check=False, on_progress=lambda _: news.set()))

        waiting = threading.Thread(target=wait)
        waiting.start()
        self.assertTrue(news.wait(30))
        self.guest.nodes[0].kill()
        time.sleep(0.5)
        self.guest.nodes[0].start().wait_ready()
        waiting.join(100)
        self.assertEqual([p.status for p in ended], ["success"])
        wait_until("the node of the guest is ready", self.client.server.ready)


class Signed(FederationTest):
    """auth.client is on."""

    sites = ("guest",)
    conf = {"auth.client": True}

    @classmethod
    def setUpClass(cls):
        use_sdk()
        import norn

        cls.norn = norn
        super().setUpClass()
        node = cls.guest.nodes[0]
        r = subprocess.run(
            [harness.program("nornd"), "--config", node.conf_file, "--create-admin", "root"],
            capture_output=True,
            text=True,
            check=False,
            env=harness.child_env(),
        )
        assert r.returncode == 0, r.stderr
        app_id, token = [line.split(":", 1)[1].strip() for line in r.stdout.splitlines()][:2]
        cls.key = {"app_id": app_id, "app_token": token}
        cls.admin = norn.Client(cls.guest.url, **cls.key)

    @classmethod
    def tearDownClass(cls):
        cls.admin.close()
        super().tearDownClass()

    def test_signed_requests_are_taken(self):
        self.assertEqual([self.admin.site.info()["party_id"] for _ in range(20)], [GUEST] * 20)
        job = self.admin.job.submit(harness.job({"a": noop()}, parties=("guest",)))
        job.wait(60)
        done = self.admin.server.audit(5, contains="/v2/job/submit")
        self.assertEqual((done[0]["app_id"], done[0]["code"]), (self.key["app_id"], 0))

    def test_others_are_not(self):
        with self.norn.Client(self.guest.url, key_store="") as c, self.assertRaises(self.norn.InvalidParameter):
            c.site.info()
        with self.norn.Client(self.guest.url, app_id=self.key["app_id"], app_token="wrong") as c:
            with self.assertRaises(self.norn.Unauthorized) as caught:
                c.site.info()
            self.assertEqual(caught.exception.code, 5003)
        with self.norn.Client(self.guest.url, app_id="stranger", app_token="x") as c, self.assertRaises(
            self.norn.PermissionDenied
        ):
            c.site.info()

    def test_the_key_store(self):
        store = os.path.join(self.guest.dir, "keys")
        with open(os.open(store, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as f:
            json.dump({self.guest.url: self.key}, f)
        with self.norn.Client(self.guest.url, key_store=store) as c:
            self.assertEqual(c.site.info(), {"party_id": GUEST})

    def test_apps_and_permissions(self):
        made = self.admin.app.create_client("someone")
        with self.norn.Client(self.guest.url, app_id=made["app_id"], app_token=made["app_token"]) as c:
            with self.assertRaises(self.norn.PermissionDenied):
                c.site.info()
            self.assertTrue(self.admin.permission.grant(made["app_id"], "client"))
            self.assertEqual(c.site.info(), {"party_id": GUEST})
            with self.assertRaises(self.norn.Unauthorized) as caught:
                c.app.list()
            self.assertEqual(caught.exception.code, 5004)
        self.assertIn("client", self.admin.permission.roles())
        self.assertIn("client", self.admin.permission.query(made["app_id"]))
        self.assertEqual(self.admin.app.query_client(app_id=made["app_id"])[0]["app_name"], "someone")
        self.assertIn(made["app_id"], [a["app_id"] for a in self.admin.app.list()])
        self.admin.permission.grant_resource("777", components=["psi"], datasets=[{"namespace": "n", "name": "t"}])
        self.assertEqual(
            self.admin.permission.query_resource("777"),
            {"component": ["psi"], "dataset": [{"name": "t", "namespace": "n"}]},
        )
        self.admin.permission.delete_resource("777", components=["psi"])
        self.assertEqual(self.admin.permission.query_resource("777")["component"], [])
        self.assertTrue(self.admin.permission.delete(made["app_id"], "client"))
        self.assertTrue(self.admin.app.delete_client(made["app_id"]))
        self.assertFalse(self.admin.app.delete_client(made["app_id"]))


class Https(FederationTest):
    sites = ()

    def test_an_authority_is_needed(self):
        use_sdk()
        import norn

        fed = self.fed
        place = os.path.join(fed.dir, "https")
        tls = harness.make_cert(fed.ca_dir, "guest", [GUEST], place)
        site = harness.Site(
            "guest",
            os.path.join(fed.dir, "guest"),
            fed.ca_dir,
            [GUEST],
            conf={"http.tls_cert": tls["cert"], "http.tls_key": tls["key"]},
        )
        self.addCleanup(site.kill)
        site.nodes[0].start()
        url = f"https://127.0.0.1:{site.nodes[0].port}"

        def ready():
            with norn.Client(url, ca=tls["ca"], key_store="", retries=0) as c:
                try:
                    return c.server.ready()
                except norn.ConnectionFailed:
                    return False

        wait_until("the node answers over HTTPS", ready)
        with norn.Client(url, ca=tls["ca"], key_store="") as c:
            self.assertEqual(c.site.info(), {"party_id": GUEST})
        with norn.Client(url, key_store="", retries=0) as c:
            with self.assertRaisesRegex(norn.ConnectionFailed, "no trusted connection"):
                c.site.info()
        site.stop()
        harness.Run.sites.remove(site)


if __name__ == "__main__":
    unittest.main()
