"""Every route of the reference, by its name; what needs no client of FATE: the registry, streams, limits of uploads."""

import http.client
import io
import json
import os
import signal
import socket
import ssl
import sys
import tarfile
import unittest
import zipfile

import harness
from harness import GUEST, FederationTest, good, job, noop, wait_until

sys.path.insert(0, os.path.join(harness.SRC, "tests/fate_client"))
import records  # noqa: E402



def files_below(directory):
    return sorted(os.path.join(d, f) for d, _, files in os.walk(directory) for f in files)


def form(fields, file=None):
    """(body, headers) of multipart/form-data."""
    mark = "norn-test-mark"
    out = io.BytesIO()
    for name, value in fields.items():
        out.write(f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
    if file is not None:
        out.write(f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'.encode())
        out.write(file + b"\r\n")
    out.write(f"--{mark}--\r\n".encode())
    return out.getvalue(), {"Content-Type": f"multipart/form-data; boundary={mark}"}


class Stream:
    """A client of server-sent events."""

    def __init__(self, api, path, last_id=None):
        self.conn = http.client.HTTPConnection("127.0.0.1", api.port, timeout=60)
        self.conn.request("GET", path, headers={"Last-Event-ID": str(last_id)} if last_id is not None else {})
        self.answer = self.conn.getresponse()

    def events(self):
        """(name, id or None, data) up to and with "end"."""
        name, number = None, None
        for raw in self.answer:
            line = raw.decode().rstrip("\n")
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("id: "):
                number = int(line[4:])
            elif line.startswith("data: "):
                yield name, number, json.loads(line[6:])
                if name == "end":
                    self.conn.close()
                    return
                name, number = None, None


class Reference(FederationTest):
    sites = ("guest", "host")
    conf = {"http.upload_max_mb": 1}

    def test_every_client_route_is_there(self):
        for route in records.CLIENT_ROUTES:
            method, path = route.split()
            for url in ("/v2" + path, "/v2/" + path + "/"):
                v = self.guest.api.envelope(method, url, {} if method == "POST" else None, timeout_s=30)
                if "code" in v:
                    self.assertFalse(v.get("message", "").startswith("<"), (url, v))
                if v.get("code"):
                    self.assertTrue(v["request_id"])

    def test_every_route_between_sites_is_there(self):
        context = ssl.create_default_context(cafile=self.host.tls["ca"])
        context.load_cert_chain(self.host.tls["cert"], self.host.tls["key"])
        context.check_hostname = False
        for route in records.PEER_ROUTES:
            method, path = route.split()
            conn = http.client.HTTPSConnection("127.0.0.1", self.guest.nodes[0].peer_port, timeout=30, context=context)
            conn.request(method, "/v2" + path, body="{}", headers={"Content-Type": "application/json"})
            v = json.loads(conn.getresponse().read())
            conn.close()
            self.assertEqual(v["code"], 5001, (path, v))
            self.assertEqual(list(v["data"]["json"].values()), [["Missing data for required field."]])

    # ---- servers and services

    def test_registry(self):
        api = self.guest.api
        server = {"server_name": "Serving", "host": "10.1.2.3", "port": 8059}
        self.assertEqual(api.post("/v2/server/registry", **server),
                         {"server_name": "SERVING", "host": "10.1.2.3", "port": 8059, "protocol": "http"})
        v = api.get("/v2/server/query", server_name="serving")
        self.assertEqual(set(v), {"id", "server_name", "host", "port", "protocol", "create_time", "update_time"})
        api.post("/v2/server/service/registry", server_name="SERVING", service_name="predict", uri="/v1/go",
                 params={"a": 1})
        v = api.get("/v2/server/service/query", server_name="serving", service_name="predict")
        self.assertEqual((v["url"], v["method"], v["params"]), ("http://10.1.2.3:8059/v1/go", "POST", {"a": 1}))
        everything = api.get("/v2/server/query/all")
        self.assertEqual(everything["SERVING"], {"host": "10.1.2.3", "port": 8059, "protocol": "http"})
        self.assertEqual(everything["SITE"]["parties"], [GUEST])
        self.assertNotIn("url", everything["DATABASE"])
        delete = {"server_name": "serving", "service_name": "predict"}
        for message in ("success", "failed"):
            v = api.envelope("POST", "/v2/server/service/delete", delete)
            self.assertEqual((v["code"], v["message"]), (0, message))
        for message in ("success", "failed"):
            v = api.envelope("POST", "/v2/server/delete", {"server_name": "Serving"})
            self.assertEqual((v["code"], v["message"]), (0, message))
        v = api.refused("GET", "/v2/server/query", server_name="serving")
        self.assertEqual((v["code"], v["message"]), (6003, "No found server: server_name[SERVING]"))
        v = api.refused("POST", "/v2/server/service/registry",
                        {"server_name": "none", "service_name": "s", "uri": "/"})
        self.assertEqual(v["code"], 6003)
        for bad in ({"port": 0}, {"port": 65536}, {"host": "a b"}, {"host": ""}, {"server_name": "../x"},
                    {"protocol": "h/t"}):
            v = api.refused("POST", "/v2/server/registry", {**server, **bad})
            self.assertEqual(v["code"], 5001, bad)

    # ---- streams

    def test_stream_of_a_job(self):
        api = self.guest.api
        dag = job({"a": noop(sleep_ms=300), "b": noop(after="a")}, parties=("guest",))
        job_id = api.submit(dag)
        s = Stream(api, f"/v2/job/events/stream?job_id={job_id}")
        self.assertEqual(s.answer.headers["Content-Type"], "text/event-stream")
        seen = list(s.events())
        self.assertEqual(seen[-1][0], "end")
        progress = [d for name, _, d in seen if name == "progress"]
        self.assertEqual(progress[-1]["job"]["status"], "success")
        self.assertGreater(len(progress), 1)
        streamed = [d for name, _, d in seen if name == "event"]
        self.assertEqual(streamed, api.events(job_id))
        numbers = [n for name, n, _ in seen if name == "event"]
        self.assertEqual(numbers, sorted(set(numbers)))
        middle = numbers[len(numbers) // 2]
        again = list(Stream(api, f"/v2/job/events/stream?job_id={job_id}", last_id=middle).events())
        self.assertEqual([n for name, n, _ in again if name == "event"], [n for n in numbers if n > middle])
        v = api.refused("GET", "/v2/job/events/stream", job_id="0")
        self.assertEqual(v["code"], 1001)
        status, _, text = api.call("GET", f"/v2/job/events/stream?job_id={job_id}", headers={"Last-Event-ID": "x"})
        self.assertEqual((status, json.loads(text)["code"]), (200, 5001))

    def test_stream_of_a_log(self):
        api = self.guest.api
        job_id = api.submit(job({"a": noop(stdout_lines=20000, sleep_ms=200)}, parties=("guest",)))
        path = f"/v2/log/stream?job_id={job_id}&log=stdout&role=guest&party_id={GUEST}&task_name=a"
        seen = list(Stream(api, path).events())
        text = "".join(d["text"] for name, _, d in seen if name == "log")
        lines = [line for line in text.splitlines() if line.endswith(" of 20000")]
        self.assertEqual(len(lines), 20000)
        self.assertEqual(seen[-1][:2], ("end", len(text.encode())))
        self.assertGreater(len(seen), 3)
        half = seen[1][1]
        rest = "".join(d["text"] for name, _, d in Stream(api, path, last_id=half).events() if name == "log")
        self.assertEqual(rest, text[half:])
        v = api.refused("GET", "/v2/log/stream", job_id=job_id, log="stdout", role="guest", party_id=GUEST,
                        task_name="none")
        self.assertEqual(v["code"], 2000)

    def test_stream_of_metrics(self):
        api = self.guest.api
        self.guest.upload("id,x\n1,2\n", "streamed")
        rows = self.guest.psql("SELECT job_id FROM norn.party_task WHERE task_name = 'upload_0' ORDER BY run_no DESC LIMIT 1")
        path = f"/v2/output/metric/stream?job_id={rows[0][0]}&role=local&party_id=0&task_name=upload_0"
        seen = list(Stream(api, path).events())
        self.assertEqual([name for name, _, _ in seen], ["metric", "end"])
        self.assertEqual(set(seen[0][2]), records.METRIC)
        self.assertEqual(seen[0][2]["data"]["count"], 1)

    def test_a_client_that_goes_away_ends_its_stream(self):
        api = self.guest.api
        job_id = api.submit(job({"a": noop(sleep_ms=600000)}, parties=("guest",)))
        for _ in range(5):
            s = Stream(api, f"/v2/job/events/stream?job_id={job_id}")
            next(s.events())
            s.answer.close()
            s.conn.close()
        api.stop(job_id)
        api.wait_job(job_id, "canceled")

    # ---- uploads

    def fields(self, **more):
        return {"head": "True", "partitions": "1", "meta": '{"sample_id_name": "id"}', "namespace": "up", "name": "t", **more}

    def uploads(self):
        d = self.guest.dir + "/data/uploads"
        return os.listdir(d) if os.path.isdir(d) else []

    def test_a_body_over_the_limit_is_refused_before_it_is_read(self):
        """The head says how long it will be; nothing of it need be sent."""
        with socket.create_connection(("127.0.0.1", self.guest.api.port), timeout=30) as s:
            s.sendall(b"POST /v2/data/component/upload/file HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000000\r\n"
                      b"Content-Type: multipart/form-data; boundary=x\r\n\r\n")
            answer = s.makefile("rb").read().decode()
        self.assertIn("413", answer.splitlines()[0])
        v = json.loads(answer.split("\r\n\r\n", 1)[1])
        self.assertEqual(v["code"], 9005)
        self.assertTrue(v["request_id"])
        self.assertIn("at most 2097152 bytes", v["message"])

    def test_a_body_of_unknown_length_is_cut_at_the_limit(self):
        with socket.create_connection(("127.0.0.1", self.guest.api.port), timeout=30) as s:
            s.sendall(b"POST /v2/data/component/upload/file HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
                      b"Content-Type: multipart/form-data; boundary=x\r\n\r\n")
            sent = 0
            try:
                while sent < 1 << 36:  # more than goes through while the node lingers
                    s.sendall(b"10000\r\n" + b"a" * 65536 + b"\r\n")
                    sent += 65536
            except OSError:
                pass
        self.assertLess(sent, 1 << 36)
        self.assertEqual(self.uploads(), [])

    def test_the_file_of_a_job_that_fails_is_removed(self):
        body, headers = form(self.fields(meta='{"sample_id_name": "none"}'), b"id,x\n1,2\n")
        v = self.guest.api.envelope("POST", "/v2/data/component/upload/file", body, headers=headers)
        good(v, "upload")
        self.guest.api.wait_job(v["job_id"], "failed")
        wait_until("the uploaded file has gone", lambda: self.uploads() == [])
        wait_until("nobody remembers it", lambda: self.guest.psql("SELECT 1 FROM norn.upload") == [])

    def test_bad_forms(self):
        for path in ("/v2/data/component/upload/file", "/v2/model/import"):
            fields = self.fields(model_id="m", model_version="1")
            body, headers = form(fields)
            v = self.guest.api.envelope("POST", path, body, headers=headers)
            self.assertEqual(v["code"], 5007, v)
            v = self.guest.api.envelope("POST", path, b"x", headers={"Content-Type": "text/plain"})
            self.assertNotEqual(v["code"], 0)
            self.assertTrue(v["request_id"])

    # ---- models from elsewhere

    def test_descriptions_of_a_model(self):
        """Each file is described by the one of its own name; of those there is an end."""
        def tar(files):
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as t:
                for name, content in files:
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    t.addfile(info, io.BytesIO(content))
            out2 = io.BytesIO()
            with zipfile.ZipFile(out2, "w", zipfile.ZIP_DEFLATED) as z:
                z.writestr(f"m/1/guest/{GUEST}/task/key", out.getvalue())
            return form({"model_id": "described", "model_version": "1"}, out2.getvalue())

        body, headers = tar([("two.meta.yaml", b"type_name: second\nindex: 3\n"), ("one", b"{}"), ("d/two", b"[]"),
                             ("one.meta.yaml", b"type_name: first\nindex: 1\n"), ("three", b"1"), ("three.meta.yaml", b"index: 5\n"),
                             ("two.meta.yaml", b"type_name: late\n")])
        good(self.guest.api.envelope("POST", "/v2/model/import", body, headers=headers), "import")
        rows = self.guest.psql("SELECT output_index, type_name FROM norn.model WHERE model_id = 'described' "
                               "ORDER BY output_index")
        self.assertEqual(rows, [["1", "first"], ["3", "second"], ["5", "json_model"]])
        for files, code in (([("a", b"1"), ("a.meta.yaml", b"- 1\n")], 9004),
                            ([("a", b"1")] + [(f"x{i}.meta.yaml", b"") for i in range(10001)], 9005)):
            body, headers = tar(files)
            v = self.guest.api.envelope("POST", "/v2/model/import", body, headers=headers)
            self.assertEqual(v["code"], code, v)

    def test_bad_models(self):
        before = files_below(self.guest.dir + "/data/models/imported")
        tar = b"\0" * 1024
        good_name = "m/1/guest/9999/task/key"
        cases = {"": b"", "no zip": b"x" * 100}
        for title, name, content in (("no tar", good_name, b"x" * 2000), ("an empty tar", good_name, tar),
                                     ("a name with dots", "m/1/guest/../task/key", tar), ("too short", "m/1/guest", tar),
                                     ("absolute", "/m/1/guest/9999/task/key", tar),
                                     ("no role", "m/1/cook/9999/task/key", tar)):
            out = io.BytesIO()
            with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
                z.writestr(name, content)
            cases[title] = out.getvalue()
        whole = cases["an empty tar"]
        with zipfile.ZipFile(out := io.BytesIO(), "w") as z:
            with tarfile.open(fileobj=(good := io.BytesIO()), mode="w", format=tarfile.USTAR_FORMAT) as t:
                t.addfile(tarfile.TarInfo("model"))
            z.writestr(good_name, good.getvalue())
            z.writestr("m/1/guest/9999/late/key", b"x" * 2000)
        cases["its second entry"] = out.getvalue()
        cases["cut off"] = whole[:len(whole) // 2] + whole[-22:]
        for title, content in cases.items():
            body, headers = form({"model_id": "bad", "model_version": "1"}, content)
            v = self.guest.api.envelope("POST", "/v2/model/import", body, headers=headers)
            self.assertEqual(v["code"], 9004, (title, v))
        body, headers = form({"model_id": "../bad", "model_version": "1"}, whole)
        self.assertEqual(self.guest.api.envelope("POST", "/v2/model/import", body, headers=headers)["code"], 5001)
        self.assertEqual(self.guest.psql("SELECT 1 FROM norn.model WHERE model_id = 'bad'"), [])
        wait_until("their files have gone", lambda: files_below(self.guest.dir + "/data/models/imported") == before)
        for bad in ("../x", "a/b", ""):
            v = self.guest.api.refused("POST", "/v2/model/export", {"model_id": bad, "model_version": "1", "role": "guest",
                                                                    "party_id": GUEST, "path": self.guest.dir})
            self.assertEqual(v["code"], 5001)

    def test_export_writes_below_its_directory_only(self):
        of = {"model_id": "none", "model_version": "1", "role": "guest", "party_id": GUEST}
        inside = os.path.join(self.guest.dir, "data/export")
        for bad in ("/", "/etc", self.guest.dir, self.guest.dir + "/data", inside + "x", inside + "/../x", "../x", "a/../../x",
                    "a//b"):
            for path, body, query in (("export", {**of, "path": bad}, {}), ("migrate", None, {**of, "dir_path": bad})):
                with self.subTest((path, bad)):
                    v = self.guest.api.refused("POST", "/v2/model/" + path, body, **query)
                    self.assertEqual(v["code"], 5001, v)
                    if bad.startswith("/"):
                        self.assertIn("dirs.export", v["message"])
        for fine in (inside, inside + "/", inside + "/a", "a/b", "."):
            with self.subTest(fine):
                self.assertEqual(self.guest.api.refused("POST", "/v2/model/export", {**of, "path": fine})["code"], 2005)


class GoingDown(FederationTest):
    sites = ("guest",)

    def test_in_the_middle_of_an_import(self):
        """A node that has to end at once does so in order, whatever its threads are doing."""
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as t:
            info = tarfile.TarInfo("model")
            info.size = 1_000_000
            t.addfile(info, io.BytesIO(bytes(info.size)))
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
            for i in range(600):
                z.writestr(f"m/1/guest/{GUEST}/t{i}/key", tar.getvalue())
        body, headers = form({"model_id": "long", "model_version": "1"}, out.getvalue())
        node = self.guest.nodes[0]
        conn = http.client.HTTPConnection("127.0.0.1", node.api.port, timeout=60)
        self.addCleanup(conn.close)
        conn.request("POST", "/v2/model/import", body=body, headers=headers)
        wait_until("the import has begun", lambda: files_below(self.guest.dir + "/data/models/imported"))
        node.signal(signal.SIGTERM)
        self.guest.wait_log("going down")
        node.signal(signal.SIGTERM)
        self.assertEqual(node.process.wait(harness.PATIENCE_S), 0)
        self.nothing_stays(node)

    def nothing_stays(self, node):
        """What was cut off goes with the clean-up of the day after."""
        models = self.guest.dir + "/data/models"
        self.assertGreater(len(files_below(models)), 0)
        node.start()
        node.wait_ready()
        node.api.post("/v2/server/gc", keep_days=30000)
        self.assertGreater(len(files_below(models)), 0)
        self.assertEqual(self.guest.psql("UPDATE norn.gc_dir SET added_at = added_at - interval '1 day' RETURNING root"),
                         [["model"]])
        node.api.post("/v2/server/gc", keep_days=30000)
        wait_until("the files have gone", lambda: not files_below(models))
        self.assertEqual(self.guest.psql("SELECT 1 FROM norn.gc_dir"), [])


if __name__ == "__main__":
    unittest.main()
