"""The OpenAPI document: it is valid, names every route, says what is answered, and a property-based tester agrees."""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import unittest

import harness
import test_auth
from harness import GUEST, FederationTest, job, noop, party_list

PACKAGES = ["schemathesis>=4,<5", "openapi-spec-validator>=0.7,<1", "jsonschema>=4.18,<5"]
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
METHODS = ("get", "post", "put", "delete", "patch")
# A table row: {"GET", "/v2/x", .. or COMMAND("/v2/x", ..
ROW = re.compile(r'(?:\{\s*"(?P<method>[A-Z]+)",\s*|COMMAND\()"(?P<path>/[^"]+)"')
BETWEEN_SITES = re.compile(r"^/v2/(partner|scheduler)/")


class Tools:
    """The Python packages for these tests, in a virtual environment below the build directory."""

    bin = None
    problem = None

    @classmethod
    def make(cls):
        harness.root_dir()
        place = os.path.join(harness.Run.build, "tests", "openapi-venv")
        ready = os.path.join(place, "ready")
        wanted = "\n".join(PACKAGES)
        try:
            with open(ready, encoding="utf-8") as f:
                there = f.read() == wanted
        except OSError:
            there = False
        if not there:
            shutil.rmtree(place, ignore_errors=True)
            for step in ([sys.executable, "-m", "venv", place],
                         [os.path.join(place, "bin", "python3"), "-m", "pip", "install", "-q", *PACKAGES]):
                r = subprocess.run(step, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
                if r.returncode != 0:
                    raise unittest.SkipTest("no Python packages can be fetched: "
                                            + (r.stderr.strip().splitlines() or ["?"])[-1])
            with open(ready, "w", encoding="utf-8") as f:
                f.write(wanted)
        return os.path.join(place, "bin")

    @classmethod
    def get(cls):
        if cls.problem is not None:
            raise cls.problem
        if cls.bin is None:
            try:
                cls.bin = cls.make()
            except unittest.SkipTest as e:
                cls.problem = e
                raise
        return cls.bin

    @classmethod
    def load(cls):
        """Makes the packages importable here; the interpreter is the same."""
        r = subprocess.run([os.path.join(cls.get(), "python3"), "-c",
                            "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
                           capture_output=True, text=True, check=True)
        if r.stdout.strip() not in sys.path:
            sys.path.insert(0, r.stdout.strip())


def routes_of_the_sources():
    """(method, path) of every row of a route table."""
    found = set()
    for folder in ("api", "party"):
        for name in glob.glob(os.path.join(harness.SRC, "src", folder, "*.c")):
            with open(name, encoding="utf-8") as f:
                text = f.read()
            for table in re.findall(r"const struct http_route \w+\[\] = \{(.*?)\n\};", text, re.S):
                found |= {(m["method"] or "POST", m["path"]) for m in ROW.finditer(table)}
    return found


def operations(document):
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield method, path, item[method]


def closed(schema):
    """The schema without room for members that it does not name."""
    if isinstance(schema, list):
        return [closed(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    out = {k: closed(v) for k, v in schema.items()}
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema:
        out["additionalProperties"] = False
    return out


def data_job():
    """A reader, and a task that leaves a table, a model and metrics."""
    both = party_list("guest", "host")
    return job({
        "read": {"component_ref": "reader", "parties": both, "stage": "default",
                 "parameters": {"namespace": "test", "name": "rows"}},
        "scale": {"component_ref": "feature_scale", "parties": both, "stage": "train",
                  "parameters": {"method": "standard"},
                  "inputs": {"data": {"train_data": {"task_output_artifact": {
                      "producer_task": "read", "output_artifact_key": "output_data"}}}}},
    }, parties=("guest", "host"), stage="train")


class OpenApiTest(FederationTest):
    sites = ("guest", "host")

    @classmethod
    def setUpClass(cls):
        Tools.load()
        super().setUpClass()
        try:
            for s in (cls.guest, cls.host):
                s.upload("id,y,x1\n" + "".join(f"u{i},{i % 2},{i * 3}\n" for i in range(20)), "rows",
                         id="id", label="y")
            cls.upload = cls.guest.psql("SELECT job_id FROM norn.party_job_view WHERE role = 'local'")[0][0]
            cls.job = cls.guest.api.submit(data_job())
            cls.guest.api.wait_job(cls.job)
            cls.failed = cls.guest.api.submit(job({"a": noop(fail=1)}))
            cls.guest.api.wait_job(cls.failed, "failed")
            cls.document = json.loads(cls.guest.api.call("GET", "/v2/openapi.json")[2])
        except BaseException:
            cls.tearDownClass()
            raise


class Answers:
    """Compares answers with the document."""

    def validator(self, method, path):
        import jsonschema

        answer = self.document["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"]
        schema = closed(answer)
        schema["components"] = closed(self.document["components"])
        return jsonschema.Draft202012Validator(schema)

    def assert_fits(self, method, path, body=None, code=0, headers=None, **query):
        """Asks, and compares the answer with the document, in which then nothing may be missing."""
        with self.subTest(f"{method} {path}", **query):
            v = self.guest.api.envelope(method, path, body, query, headers=headers)
            errors = sorted(self.validator(method.lower(), path).iter_errors(v), key=lambda e: list(e.path))
            text = "; ".join(f"{list(c.path)}: {c.message[:200]}" for e in errors for c in ([e] + list(e.context))[:4])
            self.assertFalse(errors, text)
            if code is not None:
                self.assertEqual(v.get("code", 0), code, v)
            return v


class Document(OpenApiTest, Answers):
    conf = {"components.allow_register": True}

    def test_it_is_valid(self):
        import openapi_spec_validator

        openapi_spec_validator.validate(self.document)
        self.assertEqual(self.document["openapi"][:3], "3.1")
        ids = [op["operationId"] for _, _, op in operations(self.document)]
        self.assertEqual(len(ids), len(set(ids)))
        for method, path, op in operations(self.document):
            self.assertTrue(op["summary"], path)
            self.assertIn("security", op)

    def test_the_program_prints_it(self):
        r = subprocess.run([harness.program("nornd"), "--print-openapi"], capture_output=True, text=True, check=False,
                           env=harness.child_env())
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertEqual(json.loads(r.stdout), self.document)

    def test_every_route_is_in_it_and_nothing_else(self):
        documented = {(m.upper(), p) for m, p, _ in operations(self.document)}
        rows = routes_of_the_sources()
        self.assertGreater(len(rows), 100)
        self.assertEqual(documented ^ rows, set())

    def test_every_route_says_what_it_takes(self):
        """A route without any declaration would be checked by nothing."""
        for method, path, op in operations(self.document):
            if method == "post" and "requestBody" not in op and not op["parameters"]:
                self.fail(f"{path} takes nothing and says nothing")

    def test_every_documented_path_is_served(self):
        for method, path, _ in operations(self.document):
            if BETWEEN_SITES.match(path) or not path.startswith("/v2/"):
                continue
            with self.subTest(path):
                at = re.sub(r"\{\w+\}", "x", path)
                wrong = self.guest.api.envelope("DELETE", at)
                self.assertEqual((wrong["code"], wrong["message"]),
                                 (6000, "<MethodNotAllowed '405: Method Not Allowed'>"))
                unknown = self.guest.api.envelope(method.upper(), at + "/nothing/here", b"" if method == "post" else None)
                self.assertEqual((unknown["code"], unknown["message"]), (6000, "<NotFound '404: Not Found'>"))

    def test_between_sites_only(self):
        for method, path, op in operations(self.document):
            self.assertEqual(op["security"] == [{"mutualTLS": []}], bool(BETWEEN_SITES.match(path)), path)
            if BETWEEN_SITES.match(path):
                self.assertEqual(self.guest.api.envelope(method.upper(), path)["code"], 6000)

    def test_records_as_answered(self):
        j = {"job_id": self.job}
        party = {"role": "guest", "party_id": GUEST}
        task = {**j, **party, "task_name": "scale"}
        get = lambda path, **query: self.assert_fits("GET", path, **query)
        self.assertEqual(len(get("/v2/job/query", **j)["data"]), 1)
        get("/v2/job/query", job_id=self.failed)
        self.assertGreaterEqual(len(get("/v2/job/list/query", limit=10)["data"]["data"]), 3)
        self.assertEqual(len(get("/v2/job/task/query", **j)["data"]), 2)
        get("/v2/job/task/query", job_id=self.failed)
        self.assertEqual(len(get("/v2/job/task/list/query", **j)["data"]["data"]), 2)
        get("/v2/job/progress", **j)
        get("/v2/job/wait", **j)
        get("/v2/job/timing", **j)
        self.assertIn("first_failure", get("/v2/job/why", job_id=self.failed)["data"])
        get("/v2/job/why", **j)
        self.assertTrue(get("/v2/job/events", **j)["data"])
        self.assertTrue(get("/v2/job/data/view", **j, **party)["data"]["data_view"])
        self.assertEqual(get("/v2/job/dag/dependency", **j, **party)["data"]["component_list"], ["read", "scale"])
        self.assertTrue(get("/v2/output/model/query", **task)["data"])
        self.assertTrue(get("/v2/output/data/table", **task))
        self.assertTrue(get("/v2/output/data/display", **task))
        told = {"job_id": self.upload, "role": "local", "party_id": "0", "task_name": "upload_0"}
        self.assertTrue(get("/v2/output/metric/query", **told)["data"])
        self.assertTrue(get("/v2/output/metric/key/query", **told)["data"])
        get("/v2/table/query", namespace="test", name="rows")
        get("/v2/table/query", namespace="test", name="rows", display=True)
        get("/v2/log/read", job_id=self.job, log="stdout", **party, task_name="scale")
        get("/v2/log/count", log_type="schedule_info", **j)
        get("/v2/log/query", log_type="schedule_info", **j, **party)

    def test_the_site_as_answered(self):
        get = lambda path, **query: self.assert_fits("GET", path, **query)
        get("/v2/site/info/query")
        self.assertEqual(len(get("/v2/site/route/list")["data"]), 2)
        get("/v2/site/check", party_id=harness.HOST)
        self.assertEqual(len(get("/v2/server/nodes")["data"]), 1)
        get("/v2/server/fateflow")
        get("/v2/server/resources")
        self.assertTrue(get("/v2/server/overview")["data"]["ended"])
        get("/v2/server/doctor")
        get("/v2/server/query/all")
        self.assertTrue(get("/v2/server/audit")["data"])
        get("/v2/component/list")
        self.assertTrue(get("/v2/provider/query", name="norn")["data"])
        get("/v2/permission/role/query")
        get("/v2/permission/resource/query", party_id="1")

    def test_changes_as_answered(self):
        post = lambda path, body, **kw: self.assert_fits("POST", path, body, **kw)
        submitted = post("/v2/job/submit", {"dag_schema": job({"a": noop()})})["job_id"]
        self.guest.api.wait_job(submitted)
        self.assertIn("tasks", post("/v2/job/submit", {"dag_schema": data_job(), "plan": True})["data"])
        post("/v2/job/notes/add", {"job_id": submitted, "role": "guest", "party_id": GUEST, "notes": "n"})
        post("/v2/job/rerun", {"job_id": submitted, "all": True})
        self.guest.api.wait_job(submitted)
        post("/v2/job/suspend", {"job_id": submitted}, code=None)
        post("/v2/job/stop", {"job_id": submitted})
        post("/v2/job/queue/clean", {})
        post("/v2/server/gc", {"keep_days": 9, "dry_run": True})
        post("/v2/output/metric/delete",
             {"job_id": submitted, "role": "guest", "party_id": GUEST, "task_name": "a"})
        post("/v2/job/clean", {"job_id": submitted})
        post("/v2/server/registry", {"server_name": "s", "host": "127.0.0.1", "port": 1})
        post("/v2/server/service/registry", {"server_name": "s", "service_name": "x", "uri": "/u"})
        self.assert_fits("GET", "/v2/server/query", server_name="s")
        self.assert_fits("GET", "/v2/server/service/query", server_name="s", service_name="x")
        post("/v2/server/delete", {"server_name": "s"})

    def test_files_as_answered(self):
        task = {"job_id": self.job, "role": "guest", "party_id": GUEST, "task_name": "scale"}
        named = {"namespace": "test", "name": "rows"}
        for method, path, values in (("GET", "/v2/output/model/download", task), ("GET", "/v2/output/data/download", task),
                                     ("GET", "/v2/data/download", named),
                                     ("POST", "/v2/job/log/download", {"job_id": self.job}),
                                     ("GET", "/v2/job/events/stream", {"job_id": self.job}),
                                     ("GET", "/v2/log/stream", {**task, "log": "stdout"}),
                                     ("GET", "/v2/output/metric/stream", task),
                                     ("GET", "/livez", {}), ("GET", "/readyz", {}), ("GET", "/metrics", {})):
            with self.subTest(path):
                body, query = (values, None) if method == "POST" else (None, values)
                status, headers, _ = self.guest.api.call(method, path, body, query)
                content = self.document["paths"][path][method.lower()]["responses"]["200"]["content"]
                media = [m for m in content if m != "application/json"]
                self.assertEqual((status, [headers["Content-Type"].split(";")[0]]), (200, media))

    def test_what_components_ask(self):
        job_id = self.guest.api.submit(job({"a": noop(sleep_ms=120000)}))
        token = harness.wait_until("a component with a token runs", lambda: test_auth.token_of(self.guest, job_id))
        bearer = {"Authorization": "Bearer " + token}
        execution = f"{job_id}_a_0_guest_{GUEST}"
        metric = [{"name": "m", "groups": [{"name": "default", "index": 0}], "data": [{"metric": 1, "step": 0}]}]
        ask = lambda *a, **kw: self.assert_fits(*a, headers=bearer, **kw)
        ask("POST", "/v2/worker/metric/save", {"execution_id": execution, "data": metric})
        ask("POST", "/v2/worker/data/tracking/save", {
            "execution_id": execution, "meta_data": {}, "uri": "file:///none", "output_key": "k", "namespace": "n",
            "name": "t", "overview": {"count": 0, "samples": []}, "source": {}, "data_type": "table", "index": 0})
        self.assertTrue(ask("GET", "/v2/worker/data/tracking/query", job_id=job_id, role="guest", party_id=GUEST,
                            task_name="a")["data"])
        self.assertTrue(ask("GET", "/v2/worker/data/tracking/query", namespace="test", name="rows")["data"])
        ask("POST", "/v2/worker/task/status", {"execution_id": execution, "status": "running"})
        self.assert_fits("POST", "/v2/worker/task/status", {"execution_id": execution, "status": "running"}, code=5003)
        shown = self.assert_fits("GET", "/v2/output/metric/query", job_id=job_id, role="guest", party_id=GUEST,
                                 task_name="a")
        self.assertEqual([m["name"] for m in shown["data"]], ["m"])
        self.guest.api.stop(job_id)
        self.guest.api.wait_job(job_id, "canceled")

    def wrong_values(self, schema):
        """Values that the document does not allow."""
        kind = schema["type"]
        if kind == "integer":
            yield from ("no number", [], {}, 1.5, 10 ** 30)
            if "maximum" in schema and schema["maximum"] < 2 ** 63 - 1:
                yield schema["maximum"] + 1
            if "minimum" in schema:
                yield schema["minimum"] - 1
        elif kind == "string":
            yield from (7, [], {}, True)
            if "enum" in schema:
                yield schema["enum"][0] + "s"
        elif kind == "boolean":
            yield from ("perhaps", 2, [], {})
        elif kind == "object":
            yield from ("text", 1, [])
        elif kind == "array":
            yield from ("text", 1, {})
        yield None

    def test_what_the_document_forbids_is_refused(self):
        """Each parameter in turn is of a wrong type or out of its bounds, the others are good: nothing happens."""
        before = self.guest.psql("SELECT count(*), max(event_no) FROM norn.event")
        good = {"integer": 1, "string": "x", "boolean": True, "object": {}, "array": [], "number": 1.0}
        n = 0
        for method, path, op in operations(self.document):
            content = op.get("requestBody", {}).get("content", {})
            # What comes before the parameters of the worker's routes is their token.
            if BETWEEN_SITES.match(path) or "application/json" not in content:
                continue
            schema = content["application/json"]["schema"]
            whole = {k: good[s["type"]] for k, s in schema["properties"].items() if k in schema["required"]}
            at = re.sub(r"\{\w+\}", "x", path)
            for name, s in schema["properties"].items():
                for value in self.wrong_values(s):
                    with self.subTest(path, **{name: value}):
                        v = self.guest.api.envelope(method.upper(), at, {**whole, name: value})
                        self.assertIn(v["code"], (5001, 6000) if value == 10 ** 30 else (5001,), v)
                        if v["code"] == 5001:
                            self.assertIn(name, v["message"] + json.dumps(v.get("data")))
                        n += 1
            for name in schema["required"]:
                with self.subTest(path, without=name):
                    v = self.guest.api.envelope(method.upper(), at, {k: w for k, w in whole.items() if k != name})
                    self.assertEqual(v["code"], 5001, v)
        self.assertGreater(n, 200)
        self.assertEqual(self.guest.psql("SELECT count(*), max(event_no) FROM norn.event"), before)

    def test_query_parameters_that_are_refused(self):
        for method, path, op in operations(self.document):
            if BETWEEN_SITES.match(path) or path.startswith("/v2/worker/") or method != "get":
                continue
            listed = [p for p in op["parameters"] if p["in"] == "query"]
            whole = {p["name"]: p["schema"].get("enum", ["1"])[0] for p in listed if p["required"]}
            for p in listed:
                for value in self.wrong_values(p["schema"]):
                    # In a query everything is a text, and one text is a list too.
                    kind = p["schema"]["type"]
                    if kind != "array" and isinstance(value, str) or kind == "integer" and isinstance(value, int):
                        with self.subTest(path, **{p["name"]: value}):
                            v = self.guest.api.envelope("GET", path, query={**whole, p["name"]: value})
                            self.assertEqual(v["code"], 5001, v)
                            self.assertIn(p["name"], v["message"] + json.dumps(v.get("data")))


class Apps(FederationTest, Answers):
    """What only signed requests can ask."""

    sites = ("guest",)
    conf = {"auth.client": True}

    @classmethod
    def setUpClass(cls):
        Tools.load()
        super().setUpClass()
        node = cls.guest.nodes[0]
        cls.admin = test_auth.Signer(node.api, *test_auth.create_admin(node))
        cls.document = json.loads(node.api.call("GET", "/v2/openapi.json", headers=cls.admin.headers())[2])

    def ask(self, method, path, body=None, code=0, **query):
        return self.assert_fits(method, path, body, code, self.admin.headers(), **query).get("data")

    def test_records_as_answered(self):
        app = self.ask("POST", "/v2/app/client/create", {"app_name": "c"})
        role = {"app_id": app["app_id"], "role": "client"}
        self.ask("POST", "/v2/permission/grant", role)
        self.assertEqual(list(self.ask("GET", "/v2/permission/query", app_id=app["app_id"])), ["client"])
        self.assertIn("client", self.ask("GET", "/v2/permission/role/query"))
        self.assertEqual(len(self.ask("GET", "/v2/app/client/query", app_id=app["app_id"])), 1)
        self.assertEqual(len(self.ask("GET", "/v2/app/list")), 2)
        self.ask("POST", "/v2/permission/delete", role)
        self.ask("POST", "/v2/app/client/delete", {"app_id": app["app_id"]})
        self.ask("POST", "/v2/app/site/create", {"party_id": "7"})
        self.assertEqual(len(self.ask("GET", "/v2/app/site/query", party_id="7")), 1)
        self.ask("POST", "/v2/app/site/delete", {"party_id": "7"})
        partner = {"party_id": "8", "app_id": "1", "app_token": "t"}
        self.assertEqual(self.ask("POST", "/v2/app/partner/create", partner), partner)
        self.assertEqual(self.ask("POST", "/v2/app/partner/create", partner), {})
        self.assertEqual(len(self.ask("GET", "/v2/app/partner/query", party_id="8")), 1)
        self.ask("POST", "/v2/app/partner/delete", {"party_id": "8"})
        self.ask("POST", "/v2/permission/resource/grant", {
            "party_id": "8", "component": "psi", "dataset": [{"name": "n", "namespace": "s"}]})
        granted = self.ask("GET", "/v2/permission/resource/query", party_id="8")
        self.assertEqual(granted, {"component": ["psi"], "dataset": [{"name": "n", "namespace": "s"}]})
        self.ask("POST", "/v2/permission/resource/delete", {"party_id": "8", "component": "psi"})
        self.assertTrue(self.ask("GET", "/v2/server/audit"))

    def test_refusals_as_documented(self):
        self.assert_fits("GET", "/v2/app/list", code=5001)
        self.assert_fits("GET", "/v2/openapi.json", code=5001)


class Tester(OpenApiTest):
    """schemathesis, with a fixed seed and few examples, against the test's own site and nothing else."""

    def setUp(self):
        self.place = os.path.join(self.guest.dir, "openapi-" + self.id().rsplit(".", maxsplit=1)[-1])
        os.makedirs(self.place)
        self.said = len(self.guest.log_text())
        self.file = os.path.join(self.place, "openapi.json")
        with open(self.file, "w", encoding="utf-8") as f:
            json.dump(self.document, f)

    def tearDown(self):
        """The node lives, knows no other site than before, has never failed in a request, and works."""
        self.assertTrue(self.guest.nodes[0].running)
        errors = [line for line in self.guest.log_text()[self.said:].splitlines() if " ERROR " in line]
        self.assertEqual(errors, [])
        self.assertEqual([r["party_id"] for r in self.guest.api.get("/v2/site/route/list") if not r["local"]],
                         [harness.HOST])
        self.guest.api.wait_job(self.guest.api.submit(job({"a": noop()})))

    def run_tester(self, url, *options, examples=4, conf="", least=50):
        path = os.path.join(self.place, "schemathesis.toml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(conf)
        env = {k: v for k, v in harness.child_env().items() if not k.lower().endswith("_proxy")}
        r = subprocess.run(
            [os.path.join(Tools.get(), "st"), "--config-file", path, "run", self.file, "--url", url,
             "--checks", CHECKS, "--seed", "20", "--max-examples", str(examples), "--continue-on-failure",
             "--no-shrink", "--suppress-health-check", "all", "--max-redirects", "0", "--request-timeout", "60",
             "--generation-database", "none", "--warnings", "off", *options],
            capture_output=True, text=True, check=False, cwd=self.place, env=env, stdin=subprocess.DEVNULL)
        self.assertEqual(r.returncode, 0, r.stdout[-20000:] + r.stderr[-3000:])
        made = re.search(r"(\d+) generated, (\d+) passed", r.stdout)
        self.assertIsNotNone(made, r.stdout[-3000:])
        self.assertGreater(int(made[2]), least)

    def test_what_clients_may_ask(self):
        # With a route to wherever the tester likes the site would call it; without its own it could not work.
        self.run_tester(self.guest.url, "--phases", "coverage,fuzzing", "--exclude-path-regex",
                        BETWEEN_SITES.pattern + "|^/v2/site/route/(add|remove)$", least=1000)

    def test_routes_to_nowhere(self):
        """What the tester is kept from: nothing but a good address becomes a route."""
        for url in ("", "x", "http://127.0.0.1:1", "https://", "https://127.0.0.1", "https://127.0.0.1:0",
                    "https://127.0.0.1:65536", "https://127.0.0.1:1/x", "https://127.0.0.1:1 x", "https://a\r\nb:1",
                    "https://127.0.0.1:1?x", "https://u@127.0.0.1:1", "https://" + "a" * 400 + ":1", "https://\u00e9:1"):
            with self.subTest(url):
                self.assertEqual(self.guest.api.refused("POST", "/v2/site/route/add",
                                                        {"party_id": "12345", "url": url})["code"], 5001)
        for party in ("", "0", GUEST, "../x", "a b", "x" * 51, "\u00e9"):
            with self.subTest(party):
                self.assertEqual(self.guest.api.refused("POST", "/v2/site/route/add", {
                    "party_id": party, "url": "https://127.0.0.1:1"})["code"], 5001)
        self.assertEqual(self.guest.api.refused("POST", "/v2/site/route/remove", {"party_id": "12345"})["code"], 5001)

    def test_reading_what_is_there(self):
        """Most made-up names are of nothing: here they are those of a job."""
        names = {"job_id": self.job, "role": "guest", "party_id": GUEST, "task_name": "scale", "namespace": "test",
                 "name": "rows"}
        conf = "[parameters]\n" + "".join(f'"query.{k}" = "{v}"\n' for k, v in names.items())
        self.run_tester(self.guest.url, "--phases", "fuzzing", "--mode", "positive", "--include-method", "GET",
                        "--exclude-path-regex", "^/v2/(partner|scheduler|worker|app|job/wait|log/read)", conf=conf)

    def test_what_other_sites_may_ask(self):
        """The host's certificate at the guest's door for sites; job definitions name no site that has a route."""
        self.run_tester(self.guest.peer_url(), "--phases", "coverage,fuzzing", "--include-path-regex",
                        BETWEEN_SITES.pattern, "--tls-verify", self.host.tls["ca"], "--request-cert",
                        self.host.tls["cert"], "--request-cert-key", self.host.tls["key"], least=300)


if __name__ == "__main__":
    unittest.main()
