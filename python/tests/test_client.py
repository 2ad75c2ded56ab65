import hashlib
import io
import os
import pickle
import socket
import tarfile
import tempfile
import unittest
from unittest import mock

import norn
from norn import archive, jobs, transport
from norn.site import table_meta
from norn.transport import FileAnswer, FormBody
from tests.node import Node

OK = {"code": 0, "message": "success"}


def client(node, **more):
    return norn.Client(node.url, key_store="", **{"retries": 2, **more})


class Envelopes(unittest.TestCase):
    def test_data_is_given(self):
        with Node({**OK, "data": {"party_id": "9999"}}) as node, client(node) as c:
            self.assertEqual(c.site.info(), {"party_id": "9999"})
            self.assertEqual((node.asked[0].method, node.asked[0].path), ("GET", "/v2/site/info/query"))

    def test_codes_become_exceptions(self):
        for code, kind in (
            (1001, norn.NotFound),
            (5001, norn.InvalidParameter),
            (5003, norn.Unauthorized),
            (5005, norn.PermissionDenied),
            (7002, norn.Conflict),
            (9999, norn.ApiError),
        ):
            answer = {"code": code, "message": "no", "request_id": "r-1", "hint": "do that", "data": {"x": 1}}
            with self.subTest(code), Node(answer) as node, client(node) as c:
                with self.assertRaises(kind) as caught:
                    c.site.info()
                e = caught.exception
                self.assertEqual(
                    (e.code, e.message, e.request_id, e.hint, e.data), (code, "no", "r-1", "do that", {"x": 1})
                )
                self.assertEqual(str(e), f"no (code {code}, request r-1); do that")
                self.assertEqual(str(pickle.loads(pickle.dumps(e))), str(e))

    def test_fields_of_a_refused_parameter_are_named(self):
        with Node(
            {
                "code": 5001,
                "message": "Invalid request.",
                "data": {"json": {"job_id": ["Missing data for required field."]}},
            }
        ) as node, client(node) as c:
            with self.assertRaisesRegex(norn.InvalidParameter, "job_id: Missing data"):
                c.job.stop("")

    def test_what_is_no_node_is_told_apart(self):
        for answer in (
            (200, "text/html", b"<html>"),
            (200, "application/json", b"[1]"),
            (404, "text/plain", b"{}x"),
            {"data": {}},
            {"code": "0"},
            (200, "application/json", b"\xff"),
        ):
            with self.subTest(answer), Node(answer) as node, client(node) as c, self.assertRaises(norn.ProtocolError):
                c.site.info()

    def test_two_routes_have_no_envelope(self):
        with Node({"code": [{"name": "t"}]}, {"code": 2000, "message": "No found task"}) as node, client(node) as c:
            self.assertEqual(c.output.tables("j", "guest", "1", "t"), {"code": [{"name": "t"}]})
            with self.assertRaises(norn.NotFound):
                c.output.tables("j", "guest", "1", "t")

    def test_a_huge_answer_is_refused(self):
        with mock.patch.object(transport, "ANSWER_MAX", 1000), Node({**OK, "data": "x" * 2000}) as node, client(
            node
        ) as c:
            with self.assertRaisesRegex(norn.ProtocolError, "larger"):
                c.site.info()

    def test_queries(self):
        with Node({**OK, "data": {"count": 0, "data": []}}) as node, client(node) as c:
            c.job.list(5, role=["guest", "host"], job_id=None)
            self.assertEqual(node.asked[0].query, [("limit", "5"), ("page", "1"), ("role", "guest"), ("role", "host")])
            c.table.query  # a boolean goes as FATE's clients send it
            node.answers[:] = [{**OK, "data": {}}]
            c.table.query("n", "t", display=True)
            self.assertIn(("display", "True"), node.asked[1].query)

    def test_an_api_key_named_like_an_argument(self):
        with Node(OK) as node, client(node) as c:
            c.table.bind_path("n", "t", "/data")
            self.assertEqual(node.asked[0].json, {"namespace": "n", "name": "t", "path": "/data"})
            c.job.rerun("j", from_task="b")
            self.assertEqual(node.asked[1].json, {"job_id": "j", "from": "b"})


class Retries(unittest.TestCase):
    def setUp(self):
        patch = mock.patch.object(transport.time, "sleep")
        patch.start()
        self.addCleanup(patch.stop)

    def test_reading_is_tried_again(self):
        with Node(None, (503, "text/plain", b""), {**OK, "data": {"party_id": "1"}}) as node, client(node) as c:
            self.assertEqual(c.site.info(), {"party_id": "1"})
            self.assertEqual(len(node.asked), 3)

    def test_a_database_that_is_away_is_waited_for(self):
        with Node({"code": 9007, "message": "no database"}, {**OK, "data": {}}) as node, client(node) as c:
            c.site.info()
            self.assertEqual(len(node.asked), 2)

    def test_there_is_an_end(self):
        with Node(None) as node, client(node) as c:
            with self.assertRaises(norn.ConnectionFailed):
                c.site.info()
            self.assertEqual(len(node.asked), 3)

    def test_changes_are_not_repeated(self):
        for answer in (None, {"code": 9007, "message": "no database"}):
            with Node(answer) as node, client(node) as c:
                with self.assertRaises(norn.NornError):
                    c.job.stop("j")
                self.assertEqual(len(node.asked), 1)

    def test_refusals_are_not_repeated(self):
        with Node({"code": 1001, "message": "no"}) as node, client(node) as c:
            with self.assertRaises(norn.NotFound):
                c.site.info()
            self.assertEqual(len(node.asked), 1)

    def test_a_submission_is_repeated_under_one_key(self):
        with Node(None, {**OK, "job_id": "j1", "data": {"model_id": "m", "model_version": "0"}}) as node, client(
            node
        ) as c:
            job = c.job.submit({"dag": {}, "schema_version": "2.2.0"})
            self.assertEqual((job.id, job.model_id, job.model_version), ("j1", "m", "0"))
            one, two = (r.json["idempotency_key"] for r in node.asked)
            self.assertEqual(one, two)
            self.assertTrue(0 < len(one) <= 64)
            c.job.submit({"dag": {}, "schema_version": "2.2.0"})
            self.assertNotEqual(node.asked[2].json["idempotency_key"], one)

    def test_nobody_there(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        with norn.Client(f"http://127.0.0.1:{port}", key_store="", retries=0) as c:
            with self.assertRaisesRegex(norn.ConnectionFailed, "refused"):
                c.site.info()

    def test_a_silent_node(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            url = f"http://127.0.0.1:{s.getsockname()[1]}"
            with norn.Client(url, key_store="", retries=0, timeout=0.2) as c, self.assertRaises(
                norn.ConnectionTimedOut
            ):
                c.site.info()


class Signatures(unittest.TestCase):
    def test_formula(self):
        key = hashlib.md5(b"app1userABCD1700000000000").hexdigest()
        want = hashlib.md5((key + "secret").encode()).hexdigest()
        self.assertEqual(transport.signature("app1", "secret", "user", "ABCD", "1700000000000"), want)

    def test_every_request_is_signed_anew(self):
        with Node({**OK, "data": {}}) as node, client(node, app_id="a", app_token="t", user="Zoë") as c:
            c.site.info()
            c.site.info()
        seen = set()
        for r in node.asked:
            user = r.headers["userName"].encode("latin-1").decode()
            self.assertEqual(user, "Zoë")
            self.assertEqual(len(r.headers["Nonce"]), 4)
            want = transport.signature("a", "t", user, r.headers["Nonce"], r.headers["Timestamp"])
            self.assertEqual(r.headers["Signature"], want)
            seen.add(want)
        self.assertEqual(len(seen), 2)

    def test_none_without_a_token(self):
        with Node({**OK, "data": {}}) as node, client(node) as c:
            c.site.info()
        self.assertNotIn("Signature", node.asked[0].headers)

    def test_the_token_is_not_shown(self):
        c = norn.Client("http://127.0.0.1:1", app_id="a", app_token="hush", key_store="")
        self.assertNotIn("hush", repr(c) + repr(c.transport))

    def test_wrong_set_ups(self):
        for more in (
            {"app_id": "a"},
            {"app_id": "a", "app_token": "x\ny"},
            {"ca": "/no/such/file"},
            {"timeout": 0},
            {"retries": -1},
            {"user": "a\r\nb"},
        ):
            with self.subTest(more), self.assertRaises(norn.ConfigurationError):
                norn.Client("http://127.0.0.1:1", key_store="", **more)
        for url in ("127.0.0.1:9380", "ftp://x", "http://", "http://x/?q"):
            with self.subTest(url), self.assertRaises(norn.ConfigurationError):
                norn.Client(url, key_store="")


class Files(unittest.TestCase):
    def test_a_form_is_sent_in_pieces(self):
        content = os.urandom(300_000)
        moved = []
        with Node({**OK, "job_id": "j1"}) as node, client(node) as c:
            job = c.data.upload(
                io.BytesIO(content), "n", 't"able', table_meta("id"), progress=lambda *x: moved.append(x)
            )
        self.assertEqual(job.id, "j1")
        r = node.asked[0]
        boundary = r.headers["Content-Type"].split("boundary=")[1].encode()
        self.assertEqual(int(r.headers["Content-Length"]), len(r.body))
        parts = r.body.split(b"--" + boundary)
        self.assertEqual((parts[0], parts[-1]), (b"", b"--\r\n"))
        fields = {}
        for p in parts[1:-1]:
            head, value = p[2:-2].split(b"\r\n\r\n", 1)
            fields[head.split(b'name="')[1].split(b'"')[0].decode()] = value
        self.assertEqual(fields["file"], content)
        self.assertEqual((fields["head"], fields["partitions"], fields["name"]), (b"True", b"4", b't"able'))
        self.assertEqual(moved[-1], (len(content), len(content)))
        self.assertEqual(moved, sorted(moved))

    def test_a_form_never_holds_much(self):
        class Endless(io.RawIOBase):
            size = 1 << 30
            at = 0

            def seekable(self):
                return True

            def tell(self):
                return self.at

            def seek(self, to, whence=0):
                self.at = to + (self.size if whence == os.SEEK_END else 0)
                return self.at

            def read(self, n=-1):
                assert 0 < n <= transport.PIECE, n
                n = min(n, self.size - self.at)
                self.at += n
                return bytes(n)

        form = FormBody({}, "big", Endless())
        self.assertEqual(sum(map(len, form)), len(form))

    def test_a_file_that_shrinks(self):
        f = io.BytesIO(b"x" * 1000)
        form = FormBody({}, "f", f)
        f.truncate(10)
        with self.assertRaisesRegex(OSError, "shorter"):
            list(form)

    def test_meta(self):
        self.assertEqual(
            table_meta("id", "y", dtype="float64"),
            {"sample_id_name": "id", "match_id_name": "id", "label_name": "y", "dtype": "float64"},
        )
        with self.assertRaisesRegex(norn.ConfigurationError, "lable_type"):
            table_meta("id", lable_type="int32")

    def test_reading_in_pieces(self):
        a = FileAnswer(iter([b"ab", b"cdef", b"g"]), "7", "x")
        self.assertEqual([a.read(1), a.read(3), a.read(), a.read(5)], [b"a", b"bcd", b"efg", b""])
        with self.assertRaises(norn.ConnectionFailed):
            FileAnswer(iter([b"ab"]), "7", "x").read()

    def test_a_broken_download_leaves_nothing(self):
        with Node((200, "application/gzip", b"abc", 10)) as node, client(node) as c, tempfile.TemporaryDirectory() as d:
            with self.assertRaises(norn.ConnectionFailed):
                c.data.download("n", "t", os.path.join(d, "t.tar.gz"))
            self.assertEqual(os.listdir(d), [])

    def test_an_error_instead_of_a_file(self):
        with Node({"code": 7001, "message": "No found table"}) as node, client(node) as c:
            with self.assertRaises(norn.NotFound):
                c.data.download("n", "t", "/nowhere")


def tar(*members, kind="gz"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{kind}") as t:
        for name, content, *more in members:
            m = tarfile.TarInfo(name)
            for key, value in (more[0] if more else {}).items():
                setattr(m, key, value)
            m.size = len(content)
            t.addfile(m, io.BytesIO(content))
    data = out.getvalue()
    return FileAnswer(
        iter([data[i : i + 1000] for i in range(0, len(data), 1000)]),
        str(len(data)),
        "application/gzip" if kind else "application/x-tar",
    )


class Archives(unittest.TestCase):
    def rows(self, answer):
        return list(archive.rows(answer, lambda _: True, "table x"))

    def test_rows(self):
        text = 'id,x\na,"1,5"\nb,"two\nlines"\n'.encode()
        self.assertEqual(
            self.rows(tar(("data/0.csv", text))), [{"id": "a", "x": "1,5"}, {"id": "b", "x": "two\nlines"}]
        )

    def test_bad_tables(self):
        for content in (b"", b"id,x\na\n", b'id,x\na,"b\n', b"id\n\xff\n"):
            with self.subTest(content), self.assertRaises(norn.ProtocolError):
                self.rows(tar(("data/0.csv", content)))
        with self.assertRaises(norn.NotFound):
            self.rows(tar(("data/0.meta", b"{}")))
        for data in (b"", b"no archive at all", b"\x1f\x8b\x08" + bytes(100)):
            with self.subTest(data), self.assertRaises(norn.NornError):
                self.rows(FileAnswer(iter([data]), None, "application/gzip"))

    def test_a_cut_archive(self):
        whole = tar(("data/0.csv", b"id,x\n" + os.urandom(50_000).hex().encode() + b",1\n")).read()
        with self.assertRaises(norn.ProtocolError):
            self.rows(FileAnswer(iter([whole[: len(whole) // 2]]), None, "application/gzip"))

    def test_extracting(self):
        with tempfile.TemporaryDirectory() as d:
            for kind in ("gz", ""):
                found = archive.extract(tar(("a/b.csv", b"1"), ("c", b"2"), kind=kind), d)
                self.assertEqual([os.path.relpath(f, os.path.realpath(d)) for f in found], ["a/b.csv", "c"])
                with open(os.path.join(d, "a/b.csv"), "rb") as f:
                    self.assertEqual(f.read(), b"1")

    def test_nothing_is_written_elsewhere(self):
        link = {"type": tarfile.SYMTYPE, "linkname": "/etc"}
        for members in (
            [("../x", b"")],
            [("/srv/norn-x", b"")],
            [("a/../../x", b"")],
            [("l", b"", link)],
            [("d", b"", {"type": tarfile.CHRTYPE})],
            [(".", b"x")],
        ):
            with self.subTest(members), tempfile.TemporaryDirectory() as d:
                inner = os.path.join(d, "inner")
                os.mkdir(inner)
                with self.assertRaises(norn.ProtocolError):
                    archive.extract(tar(*members), inner)
                self.assertEqual((os.listdir(d), os.listdir(inner)), (["inner"], []))


def progress(status="running", change=1, tasks=()):
    return {
        **OK,
        "data": {
            "job": {"job_id": "j", "status": status, "progress": 40, "reason": None},
            "change": change,
            "tasks": [
                {
                    "task_name": n,
                    "component": "c",
                    "status": s,
                    "attempt": a,
                    "depends_on": [],
                    "parties": [{"role": "guest", "party_id": "1", "status": s, "elapsed_ms": None}],
                }
                for n, s, a in tasks
            ],
        },
    }


class Waiting(unittest.TestCase):
    def test_news_come_once(self):
        seen = []
        with Node(progress(change=1), progress(change=1), progress("success", 2)) as node, client(node) as c:
            end = c.job.wait("j", on_progress=seen.append)
        self.assertEqual([p.status for p in seen], ["running", "success"])
        self.assertTrue(end.ended)
        self.assertEqual([dict(r.query).get("known") for r in node.asked], [None, "1", "1"])

    def test_a_failure_is_explained(self):
        why = {**OK, "data": {"summary": "task a failed", "hint": "look there"}}
        with Node(progress("failed"), why) as node, client(node) as c:
            with self.assertRaisesRegex(norn.JobFailed, "job j is failed: task a failed; look there") as caught:
                c.job.wait("j")
            self.assertEqual(caught.exception.why["hint"], "look there")
        with Node(progress("canceled"), {"code": 6000, "message": "no"}) as node, client(node) as c:
            with self.assertRaisesRegex(norn.JobFailed, "canceled"):
                c.job.wait("j")
        with Node(progress("failed")) as node, client(node) as c:
            self.assertEqual(c.job.wait("j", check=False).status, "failed")

    def test_it_gives_up_in_time(self):
        with Node(progress()) as node, client(node) as c, self.assertRaises(norn.JobNotFinished):
            c.job.wait("j", 0.05)

    def test_an_outage_is_waited_out(self):
        with mock.patch.object(jobs.time, "sleep"):
            with Node(None, None, progress("success")) as node, client(node, retries=0) as c:
                self.assertEqual(c.job.wait("j").status, "success")
            with Node(None) as node, client(node, retries=0) as c, self.assertRaises(norn.ConnectionFailed):
                c.job.wait("j", outage=0)

    def test_events_are_paged(self):
        many = [{"id": i} for i in range(1000)]
        with Node({**OK, "data": many}, {**OK, "data": [{"id": 1000}]}) as node, client(node) as c:
            self.assertEqual(len(list(c.job.events("j"))), 1001)
            self.assertEqual(dict(node.asked[1].query)["after"], "999")


class Printing(unittest.TestCase):
    def test_lines_for_changes_only(self):
        out = io.StringIO()
        p = norn.ProgressPrinter(out)
        for v in (
            progress(tasks=[("a", "running", 0)]),
            progress(tasks=[("a", "running", 0)]),
            progress(tasks=[("a", "running", 1)]),
            progress("success", tasks=[("a\x1b[2J", "success", 1)]),
        ):
            p(norn.Progress.from_json(v["data"]))
        self.assertEqual(
            out.getvalue(), "a: running\na: running (attempt 2)\na?[2J: success (attempt 2)\njob j success\n"
        )

    def test_nothing_but_on_a_terminal(self):
        out = io.StringIO()
        t = norn.TransferPrinter("f", out)
        t(1, 2)
        t(2, 2)
        self.assertEqual(out.getvalue(), "")
        out.isatty = lambda: True
        t = norn.TransferPrinter("f", out)
        t(2_000_000, 2_000_000)
        self.assertIn("2.0 MB of 2.0 MB (100 %)\n", out.getvalue())


class Definitions(unittest.TestCase):
    def write(self, name, text):
        d = tempfile.mkdtemp()
        self.addCleanup(__import__("shutil").rmtree, d)
        path = os.path.join(d, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def test_json(self):
        self.assertEqual(norn.load_job(self.write("j.yaml", '{"dag": {}}')), {"dag": {}})
        for text in ("[1]", "{"):
            with self.subTest(text), self.assertRaises(norn.ConfigurationError):
                norn.load_job(self.write("j.json", text))

    def test_yaml_needs_its_package(self):
        path = self.write("j.yaml", "dag: {}\n")
        with mock.patch.dict("sys.modules", {"yaml": None}), self.assertRaisesRegex(norn.MissingPackage, "PyYAML"):
            norn.load_job(path)

    def test_pandas_is_asked_for(self):
        with mock.patch.dict("sys.modules", {"pandas": None}), Node(OK) as node, client(node) as c:
            with self.assertRaisesRegex(norn.MissingPackage, "pandas"):
                c.data.to_pandas("n", "t")
            self.assertEqual(node.asked, [])


if __name__ == "__main__":
    unittest.main()
