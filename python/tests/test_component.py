import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest
from contextlib import redirect_stderr, redirect_stdout
from typing import Annotated, Any, Dict, List, Literal, Optional
from unittest import mock

from norn.component import (
    Artifact,
    ComponentError,
    DataError,
    DataInput,
    DataOutput,
    DeclarationError,
    Field,
    MessageError,
    ModelInput,
    ModelOutput,
    Param,
    ParameterError,
    Task,
    TaskConfigurationError,
    component,
)
from norn.component.__main__ import ModuleError, registration
from norn.component.channel import NodeChannel
from norn.component.cli import run_command
from norn.component.data import local_path
from norn.component.testing import Frame, run, run_parties
from tests.node import Node


@component(roles=["guest", "host"], stages=["default", "predict"], version="2.1.0")
def everything(
    task: Task,
    one: DataInput,
    more: List[DataInput],
    out: DataOutput,
    model: Annotated[Optional[ModelInput], Artifact("of an earlier run", stages=("predict",))],
    made: Annotated[Optional[ModelOutput], Artifact(roles=("guest",))] = None,
    *,
    need: Annotated[int, Param("how many", minimum=1, maximum=10)],
    share: Annotated[float, Param(minimum=0)] = 0.5,
    how: Literal["fast", "slow"] = "fast",
    names: Optional[List[str]] = None,
    extra: Dict[str, Any] = {},
    flag: bool = False,
    word: Annotated[str, Param(max_length=5)] = "x",
) -> None:
    """Does
    everything.

    And more.
    """
    out.write_like(one, one.rows())
    task.metric("sum", sum(len(t) for t in [one, *more]), type="count", groups=["all"])
    for i in range(3):
        task.metric_step("loss", i, 1 / (i + 1), axis="epoch")
    if made is not None:
        made.write(
            {
                "need": need,
                "share": share,
                "how": how,
                "names": names,
                "flag": flag,
                "word": word,
                "model": model.read() if model is not None else None,
                "extra": extra,
            }
        )


ROWS = [{"id": "a", "x": 1, "y": 0.5, "s": "q", "b": True}, {"id": "b", "x": -2, "y": 1e-300, "s": 'u,"v', "b": False}]


def quietly(f, *args, **kwargs):
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        return f(*args, **kwargs)


def go(parameters=None, inputs=None, **more):
    return quietly(
        run,
        everything,
        parameters={"need": 3, **(parameters or {})},
        inputs={"one": ROWS, "more": [ROWS, ROWS], **(inputs or {})},
        **more,
    )


class Running(unittest.TestCase):
    def test_it_runs(self):
        r = go({"names": ["n"], "share": 1})
        self.assertTrue(r.ok, r.error)
        self.assertEqual(r.tables["out"], ROWS)
        self.assertEqual(r.metric("sum"), 6)
        self.assertEqual([(p["step"], p["metric"]) for p in r.metric("loss")], [(0, 1.0), (1, 0.5), (2, 1 / 3)])
        self.assertEqual(
            r.models["made"],
            {
                "need": 3,
                "share": 1.0,
                "how": "fast",
                "names": ["n"],
                "flag": False,
                "word": "x",
                "model": None,
                "extra": {},
            },
        )
        m = next(m for m in r.metrics if m["name"] == "sum")
        self.assertEqual(
            m,
            {
                "name": "sum",
                "type": "count",
                "step_axis": None,
                "data": 6,
                "groups": [{"name": "default", "index": None}, {"name": "all", "index": None}],
            },
        )

    def test_roles_and_stages_choose_artifacts(self):
        self.assertEqual(go(role="host").models, {})
        self.assertRegex(go(stage="predict").error, "input model is missing")
        self.assertEqual(go(stage="predict", inputs={"model": [1]}).models["made"]["model"], [1])
        self.assertRegex(go(role="arbiter").error, "has no role 'arbiter'")
        self.assertRegex(go(stage="train").error, "has no stage 'train'")

    def test_parameters_are_checked(self):
        for given, words in (
            ({"need": 0}, "parameter need: 0 is not within 1 and 10"),
            ({"need": "3"}, "'3' is not a whole number"),
            ({"need": 2.5}, "2.5 is not a whole number"),
            ({"need": True}, "True is not a whole number"),
            ({"share": -0.1}, "parameter share: -0.1 is not at least 0"),
            ({"share": "x"}, "is not a number"),
            ({"how": "medium"}, "'medium' is not one of 'fast', 'slow'"),
            ({"names": [1]}, "parameter names, element 1: 1 is not a string"),
            ({"names": "n"}, "is not a list"),
            ({"extra": []}, "is not a map"),
            ({"flag": 1}, "1 is not true or false"),
            ({"word": "longer"}, "parameter word has length 6, more than 5"),
            ({"ned": 1}, r"unknown parameter 'ned' \(known: need"),
            ({"need": None}, "parameter need must not be null"),
            ({"share": float("inf")}, "inf is not a number"),
            ({"share": 10**400}, "too large"),
        ):
            with self.subTest(given):
                r = go(given)
                self.assertFalse(r.ok)
                self.assertRegex(r.error, words)
                self.assertNotIn("Traceback", r.error)
        self.assertRegex(quietly(run, everything, inputs={"one": ROWS, "more": []}).error, "parameter need is required")
        self.assertEqual(go({"need": 4.0, "share": None, "names": None}).models["made"]["need"], 4)

    def test_own_errors_are_short_others_have_a_traceback(self):
        @component(name="fails")
        def fails(task: Task, *, how: str) -> None:
            if how == "own":
                raise ComponentError("no luck\ntoday")
            raise KeyError(how)

        self.assertEqual(quietly(run, fails, parameters={"how": "own"}).error, "no luck today")
        error = quietly(run, fails, parameters={"how": "other"}).error
        self.assertTrue(error.startswith("Traceback") and error.endswith("KeyError: 'other'"), error)

    def test_outputs_must_be_written(self):
        @component(name="lazy")
        def lazy(task: Task, out: DataOutput, maybe: Optional[DataOutput] = None) -> None:
            pass

        self.assertEqual(quietly(run, lazy).error, "output out was not written")

    def test_wrong_inputs_of_a_test_are_told(self):
        with self.assertRaisesRegex(DataError, "has no input x"):
            quietly(run, everything, inputs={"x": ROWS})
        with self.assertRaisesRegex(DataError, "use Frame"):
            quietly(run, everything, inputs={"one": []})


class Messages(unittest.TestCase):
    def test_parties_talk(self):
        @component(name="talk", roles=["guest", "host"])
        def talk(task: Task) -> None:
            if task.role == "guest":
                for p in task.parties("host"):
                    task.send("host", p, "hello", b"x" * 100)
                task.metric("answers", [task.receive_json("host", p, "answer") for p in task.parties("host")])
            else:
                n = len(task.receive("guest", task.parties("guest")[0], "hello"))
                task.send_json("guest", task.parties("guest")[0], "answer", [task.party_id, n])

        r = quietly(run_parties, talk, {("guest", "1"): {}, ("host", "2"): {}, ("host", "3"): {}})
        self.assertEqual(r[("guest", "1")].metric("answers"), [["2", 100], ["3", 100]])

    def test_what_cannot_be(self):
        @component(name="wrong", roles=["guest", "host"])
        def wrong(task: Task, *, what: str) -> None:
            if task.role == "host":
                task.send("guest", "1", "b" if what == "tag" else "a", b"12345")
                if what == "gone":
                    raise ComponentError("gone")
            elif what == "stranger":
                task.send("host", "9", "a", b"")
            elif what == "self":
                task.send("guest", "1", "a", b"")
            elif what == "name":
                task.send("host", "2", "ä", b"")
            elif what == "gone":
                task.receive("host", "2", "a")
                task.receive("host", "2", "a")
            else:
                task.receive("host", "2", "a", max_bytes=4)

        for what, words in (
            ("tag", "sent 'b' instead"),
            ("stranger", "no other party"),
            ("self", "no other party"),
            ("name", "printable"),
            ("gone", "has ended"),
            ("long", "longer than 4 bytes"),
        ):
            with self.subTest(what):
                r = quietly(
                    run_parties, wrong, {p: {"parameters": {"what": what}} for p in (("guest", "1"), ("host", "2"))}
                )
                self.assertRegex(r[("guest", "1")].error, words)

    def test_frames_through_the_node(self):
        ok = {"code": 0, "message": "success"}
        with mock.patch("norn.component.channel.FRAME_MAX", 4), mock.patch("norn.component.channel.time.sleep"):
            with Node({"code": 2000, "message": "not yet"}, ok) as node, NodeChannel(node.url, "e", "tok", 5) as c:
                c.send("host", "2", "t", b"123456")
                q = [dict(r.query) for r in node.asked]
                self.assertEqual([(x["seq"], x["more"]) for x in q], [("0", "1"), ("0", "1"), ("1", "0")])
                self.assertEqual([r.body for r in node.asked], [b"1234", b"1234", b"56"])
                self.assertEqual(node.asked[0].headers["Authorization"], "Bearer tok")

        def frame(data, seq, more, tag="t"):
            return (
                200,
                "application/octet-stream",
                data,
                None,
                {"X-Norn-Tag": tag, "X-Norn-Seq": str(seq), "X-Norn-More": str(more)},
            )

        with Node((204, "text/plain", b""), frame(b"12", 0, 1), frame(b"3", 1, 0)) as node, NodeChannel(
            node.url, "e", None, 5
        ) as c:
            self.assertEqual(c.receive("host", "2", "t", 10), b"123")
            self.assertEqual([dict(r.query)["seq"] for r in node.asked], ["0", "0", "1"])
        for answer, words in (
            (frame(b"1", 0, 0, "u"), "sent 'u' instead"),
            (frame(b"1", 7, 0), "frame '7'"),
            (frame(b"12345", 0, 0), "longer than 4"),
            ({"code": 9013, "message": "peer gone"}, "peer gone"),
            (None, "does not answer"),
        ):
            with self.subTest(words), Node(answer) as node, NodeChannel(
                node.url, "e", None, 5
            ) as c, self.assertRaisesRegex(MessageError, words):
                c.receive("host", "2", "t", 4)


class Tables(unittest.TestCase):
    def table(self, info, text, checksum=True):
        d = tempfile.mkdtemp()
        self.addCleanup(__import__("shutil").rmtree, d)
        with open(os.path.join(d, "data.csv"), "wb") as f:
            f.write(text)
        if checksum and isinstance(info, dict):
            info = {"sha256": hashlib.sha256(text).hexdigest(), **info}
        with open(os.path.join(d, "table.json"), "w", encoding="utf-8") as f:
            json.dump(info, f)
        return DataInput("in", "file://" + d, "dataframe")

    FIELDS = [
        {"name": "id", "property": "sample_id", "dtype": "index"},
        {"name": "id", "property": "match_id", "dtype": "index"},
        {"name": "x", "property": "column", "dtype": "int32"},
    ]
    SCHEMA = {"type": "fate.arch.dataframe", "schema_meta": {"fields": FIELDS}}

    def test_a_good_one(self):
        t = self.table({"schema": self.SCHEMA, "count": 1}, b"id,id,x\na,a,1.0\n")
        self.assertEqual((list(t), list(t.rows()), len(t)), ([{"id": "a", "x": 1}], [["a", "a", 1]], 1))
        self.assertEqual([f.name for f in t.features], ["x"])

    def test_a_raw_one(self):
        t = self.table({"schema": {"sample_id_name": "id"}, "count": 1}, b"id,x\na,1\n")
        self.assertEqual((list(t), [f.kind for f in t.fields]), ([{"id": "a", "x": "1"}], ["sample_id", "column"]))

    def test_bad_ones(self):
        for info, text, words in (
            ({"schema": self.SCHEMA, "count": 2}, b"id,id,x\na,a,1\n", "1 rows, not 2"),
            ({"schema": self.SCHEMA, "count": 1}, b"id,id,x\na,a\n", "line 2: 2 fields instead of 3"),
            (
                {"schema": self.SCHEMA, "count": 1},
                b"id,id,x\na,a,1.5\n",
                "line 2, column x: '1.5' is not a whole number",
            ),
            ({"schema": self.SCHEMA, "count": 1}, b"id,id,x\na,a,\n", "'' is empty"),
            ({"schema": self.SCHEMA, "count": 1}, b"id,id,x\na,a,2147483648\n", "out of range"),
            ({"schema": self.SCHEMA, "count": 1}, b"id,id,x\na,a,nan\n", "not a finite number"),
            ({"schema": self.SCHEMA, "count": 1}, b'id,id,x\n"a,a,1\n', "line"),
            ({"schema": self.SCHEMA, "count": 1, "sha256": "0"}, b"id,id,x\na,a,1\n", "checksum"),
            ({"schema": {}, "count": 1}, b"", "no header"),
            ({"count": 1}, b"", "lacks a schema"),
            ([], b"", "lacks a schema"),
            ({"schema": {"type": "fate.arch.dataframe"}, "count": 0}, b"", "no fields"),
            (
                {
                    "schema": {
                        "type": "fate.arch.dataframe",
                        "schema_meta": {"fields": [{"name": "x", "property": "?", "dtype": "int32"}]},
                    },
                    "count": 0,
                },
                b"",
                "is not one of",
            ),
        ):
            with self.subTest(words), self.assertRaisesRegex(DataError, words):
                list(self.table(info, text))

    def write(self, fields, rows):
        d = tempfile.mkdtemp()
        self.addCleanup(__import__("shutil").rmtree, d)
        w = DataOutput("out", f"file://{d}/t")
        try:
            w.write(fields, rows)
        finally:
            self.left = os.listdir(os.path.join(d, "t")) if os.path.exists(os.path.join(d, "t")) else []
        return w, DataInput("in", w.uri, "dataframe", w.result)

    def test_every_type_comes_back(self):
        fields = [
            Field("x", "float32"),
            Field.sample_id("id"),
            Field("y", "int32", "label"),
            Field("b", "bool"),
            Field("s", "str"),
            Field("i", "int64"),
            Field("d"),
        ]
        rows = [[0.1, "a", 1, True, 'q"\n,', 2**53, 1e308], [3.4e38, "b", 0.0, 0, "", -(2**53), -0.0]]
        w, t = self.write(fields, rows)
        self.assertEqual([f.name for f in t.fields], ["id", "id", "y", "x", "b", "s", "i", "d"])
        self.assertEqual(
            [(r["y"], r["b"], r["s"], r["i"], r["d"]) for r in t],
            [(1, True, 'q"\n,', 2**53, 1e308), (0, False, "", -(2**53), -0.0)],
        )
        self.assertAlmostEqual(next(iter(t))["x"], 0.1, 7)
        with open(local_path(w.uri) + "/data.csv", encoding="utf-8", newline="") as f:
            self.assertEqual(next(csv.reader(f.readlines()[1:]))[3], "0.1")
        self.assertEqual(w.result["data_overview"]["count"], 2)
        names = [f.get("anonymous_name") for f in w.result["metadata"]["schema"]["schema_meta"]["fields"]]
        prefix = "AnonymousRole_AnonymousPartyId_"
        self.assertEqual(names, [None, None, prefix + "y"] + [prefix + f"x{i}" for i in range(5)])

    def test_bad_rows_leave_no_table(self):
        sid = Field.sample_id("id")
        for fields, rows, words in (
            ([sid, Field("x")], [["a", 1], ["b", "z"]], "row 2, column x: 'z' is not a number"),
            ([sid, Field("x")], [["a", float("nan")]], "not a finite number"),
            ([sid, Field("x")], [["a"]], "row 1: 1 cells instead of 2"),
            ([sid, Field("x", "int32")], [["a", 2**31]], "out of range"),
            ([sid, Field("x", "float32")], [["a", 1e39]], "out of range"),
            ([sid, Field("x", "bool")], [["a", 2]], "not true or false"),
            ([sid, Field("x", "str")], [["a", None]], "not a text"),
            ([sid], [[""]], "sample id is empty"),
            ([Field("x")], [], "one sample_id, not 0"),
            ([sid, Field("id")], [], "stands twice"),
            ([sid, sid], [], "one sample_id, not 2"),
            ([sid, Field("x", "str")], [["a", "\0"]], "NUL"),
        ):
            with self.subTest(words), self.assertRaisesRegex(DataError, words):
                self.write(fields, rows)
            self.assertEqual(self.left, [])

    def test_once_only(self):
        w, _ = self.write([Field.sample_id("id")], [["a"]])
        with self.assertRaisesRegex(DataError, "written already"):
            w.write([Field.sample_id("id")], [])
        with self.assertRaisesRegex(DataError, "1 to 200"):
            w.register("", "x")

    def test_memory_does_not_grow(self):
        import tracemalloc

        def rows(n):
            for i in range(n):
                yield [f"id{i}", i * 0.5]

        peaks = []
        for n in (1_000, 10_000):
            tracemalloc.start()
            _, t = self.write([Field.sample_id("id"), Field("x")], rows(n))
            self.assertEqual(sum(1 for _ in t.rows()), n)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        self.assertLess(peaks[1], peaks[0] + 200_000)

    def test_uris(self):
        self.assertEqual(local_path("file:///a/b"), "/a/b")
        self.assertEqual(local_path("file://localhost/a"), "/a")
        for uri in ("http://x/y", "file://x", "file:///a/../b", "file:///a\0", ""):
            with self.subTest(uri), self.assertRaises(TaskConfigurationError):
                local_path(uri)


class Metrics(unittest.TestCase):
    def test_posts_to_the_node(self):
        @component(name="reports")
        def reports(task: Task) -> None:
            for i in range(6):
                task.metric(f"m{i}", i)

        def config(url):
            return {
                "component": "reports",
                "task_id": "t",
                "party_task_id": "e",
                "task_name": "t",
                "party_id": "1",
                "role": "guest",
                "output_artifacts": {"metric": {"uri": url}},
            }

        from norn.component.task import execute

        with tempfile.TemporaryDirectory() as d:
            out = os.path.join(d, "r.json")
            with Node({"code": 0}) as node:
                self.assertEqual(
                    quietly(execute, {"reports": reports}, config(node.url + "/v2/worker/metric/save/e"), out), 0
                )
                self.assertEqual([r.json["data"][0]["data"] for r in node.asked], [0, 1, 2, 3, 4, 5])
                self.assertEqual(node.asked[0].path, "/v2/worker/metric/save/e")
            err = io.StringIO()
            with redirect_stdout(io.StringIO()), redirect_stderr(err):  # nobody listens there any more
                self.assertEqual(execute({"reports": reports}, config(node.url + "/x"), out), 0)
            self.assertEqual(err.getvalue().count("was not delivered"), 3)
            with Node({"code": 5003, "message": "wrong token"}) as node, redirect_stdout(
                io.StringIO()
            ), redirect_stderr(err):
                execute({"reports": reports}, config(node.url + "/x"), out)
            self.assertIn("m0 was refused: wrong token", err.getvalue())


class Declaring(unittest.TestCase):
    def test_description(self):
        d = everything.describe("p")["component"]
        self.assertEqual(
            (d["name"], d["description"], d["version"], d["provider"]), ("everything", "Does everything.", "2.1.0", "p")
        )
        p = d["parameters"]
        self.assertEqual(
            p["need"],
            {
                "type": "int",
                "default": None,
                "optional": False,
                "description": "how many",
                "type_meta": {"title": "need", "type": "integer", "minimum": 1, "maximum": 10},
            },
        )
        self.assertEqual(p["how"]["type_meta"]["enum"], ["fast", "slow"])
        self.assertEqual(p["names"]["type_meta"]["items"], {"type": "string"})
        a = {
            **d["input_artifacts"]["data"],
            **d["input_artifacts"]["model"],
            **d["output_artifacts"]["data"],
            **d["output_artifacts"]["model"],
        }
        self.assertEqual(
            {n: (x["optional"], x["is_multi"], x["roles"], x["stages"]) for n, x in a.items()},
            {
                "one": (False, False, ["guest", "host"], ["default", "predict"]),
                "more": (False, True, ["guest", "host"], ["default", "predict"]),
                "model": (False, False, ["guest", "host"], ["predict"]),
                "out": (False, False, ["guest", "host"], ["default", "predict"]),
                "made": (True, False, ["guest"], ["default", "predict"]),
            },
        )
        self.assertEqual(d["output_artifacts"]["metric"]["metric"]["types"], ["json_metric"])

    def test_what_cannot_be_declared(self):
        def no_task() -> None: ...
        def untyped(task: Task, *, x) -> None: ...
        def default(task: Task, *, x: Annotated[int, Param(minimum=1)] = 0) -> None: ...
        def unknown(task: Task, *, x: complex = 0j) -> None: ...
        def positional(task: Task, x: int) -> None: ...
        def rest(task: Task, **x: int) -> None: ...
        def swapped(task: Task, x: Annotated[DataInput, Param("x")]) -> None: ...
        def partly(task: Task, x: Annotated[DataInput, Artifact(roles=("guest",))]) -> None: ...
        def kinds(task: Task, x: Annotated[DataInput, Artifact(types=("picture",))]) -> None: ...
        def many(task: Task, x: List[DataOutput]) -> None: ...
        def choices(task: Task, *, x: Literal[1, "a"] = 1) -> None: ...

        for f, words in (
            (no_task, "first argument"),
            (untyped, "has no type"),
            (default, "default does not fit"),
            (unknown, "not supported"),
            (positional, "not an artifact"),
            (rest, "cannot be declared"),
            (swapped, "does not belong"),
            (partly, "must be Optional"),
            (kinds, "'picture' is not one of"),
            (many, "an output is one"),
            (choices, "of one type"),
        ):
            with self.subTest(f.__name__), self.assertRaisesRegex(DeclarationError, words):
                component()(f)
        for more, words in (
            ({"roles": []}, "missing"),
            ({"roles": ["boss"]}, "boss"),
            ({"stages": ["x"]}, "'x'"),
            ({"name": "../x"}, "not a name"),
        ):
            with self.subTest(more), self.assertRaisesRegex(DeclarationError, words):
                component(**{"name": "x", **more})(no_task)


class Program(unittest.TestCase):
    def call(self, *arguments):
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            try:
                status = run_command({"everything": everything}, ["component", *arguments])
            except SystemExit as e:
                status = e.code
        return status, out.getvalue(), err.getvalue()

    def test_what_sites_ask(self):
        self.assertEqual(json.loads(self.call("list")[1]), {"buildin": ["everything"], "thirdparty": []})
        self.assertEqual(json.loads(self.call("desc", "--name", "everything")[1]), everything.describe())
        self.assertEqual(list(json.loads(self.call("desc", "--all")[1])), ["everything"])
        v = json.loads(self.call("artifact-type", "--name", "everything", "--role", "host", "--stage", "default")[1])
        self.assertEqual([a["name"] for a in v["inputs"]["data"]], ["one", "more"])
        self.assertEqual((v["inputs"]["model"], v["outputs"]["model"]), ([], []))
        self.assertEqual(self.call("cleanup", "--config", "x")[0], 0)

    def test_errors(self):
        for arguments, status, words in (
            (["desc", "--name", "x"], 1, "no component 'x'"),
            (["execute", "--config", "/no/such"], 1, "cannot be read"),
            (["artifact-type", "--name", "everything", "--role", "boss", "--stage", "default"], 1, "no role 'boss'"),
            (["execute"], 2, "--config"),
            (["dance"], 2, "dance"),
        ):
            with self.subTest(arguments):
                got = self.call(*arguments)
                self.assertEqual(got[0], status)
                self.assertIn(words, got[2])

    def test_bad_configurations(self):
        with tempfile.TemporaryDirectory() as d:
            path, result = os.path.join(d, "c.json"), os.path.join(d, "sub", "r.json")
            for text, words in (("{", "not JSON"), ("[]", "holds no map")):
                with open(path, "w", encoding="utf-8") as f:
                    f.write(text)
                self.assertIn(words, self.call("execute", "--config", path, "--execution-final-meta-path", result)[2])
            for config, words in (
                ({}, "needs the text component"),
                ({"component": "x"}, "no component 'x'"),
                ({"component": "everything"}, "task_id"),
            ):
                with open(path, "w", encoding="utf-8") as f:
                    json.dump(config, f)
                self.assertEqual(self.call("execute", "--config", path, "--execution-final-meta-path", result)[0], 1)
                with open(result, encoding="utf-8") as f:
                    status = json.load(f)["status"]
                self.assertEqual(status["code"], -1)
                self.assertIn(words, status["exceptions"])

    def test_a_module_is_described(self):
        with tempfile.TemporaryDirectory() as d:
            with open(os.path.join(d, "norn_test_module.py"), "w", encoding="utf-8") as f:
                f.write(
                    "from norn.component import Task, component, main\n@component(version='3')\ndef hop(task: Task) -> None: ...\n"
                    "if __name__ == '__main__':\n    main()\n"
                )
            env = {**os.environ, "PYTHONPATH": os.pathsep.join([os.path.dirname(os.path.dirname(__file__)), *sys.path])}
            r = subprocess.run(
                [sys.executable, "-B", "-m", "norn.component", "describe", "norn_test_module", "--path", d],
                capture_output=True,
                text=True,
                check=False,
                env=env,
            )
            self.assertEqual(r.returncode, 0, r.stderr)
            v = json.loads(r.stdout)
            self.assertEqual((v["name"], v["version"], v["device"]), ("norn_test_module", "3", "local"))
            self.assertEqual(
                v["metadata"],
                {"venv": os.path.abspath(sys.executable), "module": "norn_test_module", "path": os.path.abspath(d)},
            )
            self.assertEqual(list(v["components_description"]), ["hop"])
            r = subprocess.run(
                [sys.executable, "-B", "-m", "norn_test_module", "component", "list"],
                capture_output=True,
                text=True,
                check=False,
                env={**env, "PYTHONPATH": env["PYTHONPATH"] + os.pathsep + d},
            )
            self.assertEqual(json.loads(r.stdout)["buildin"], ["hop"], r.stderr)
        with self.assertRaisesRegex(ModuleError, "cannot be loaded"):
            registration("no_such_module_here", name=None, version=None, python=sys.executable, path=[])
        with self.assertRaisesRegex(ModuleError, "declares no component"):
            registration("json", name=None, version=None, python=sys.executable, path=[])


class Frames(unittest.TestCase):
    def test_labels_and_types(self):
        @component(name="looks")
        def looks(task: Task, table: DataInput) -> None:
            task.metric("kinds", [(f.name, f.kind, f.dtype) for f in table.fields])
            task.metric("from", table.source_task)

        fields = [Field.sample_id("id"), Field.match_id("m"), Field("y", "int32", "label"), Field("x", "float32")]
        r = quietly(run, looks, inputs={"table": Frame(fields, [["a", "b", 1, 0.5]])})
        self.assertEqual(
            r.metric("kinds"),
            [
                ["id", "sample_id", "index"],
                ["m", "match_id", "index"],
                ["y", "label", "int32"],
                ["x", "column", "float32"],
            ],
        )
        self.assertEqual(r.metric("from"), "before")
        with self.assertRaises(KeyError):
            r.metric("other")

    def test_parameter_errors_are_component_errors(self):
        self.assertTrue(issubclass(ParameterError, ComponentError))


if __name__ == "__main__":
    unittest.main()
