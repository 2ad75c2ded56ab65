"""What the HTTP ports of a node bear: every limit and time-out, on every route, and crowds.

    what is bounded (default)                        tested in
    start line and headers (16 KiB, 100 fields)      EveryRoute.test_headers; test_http: headers without end
    body (http.max_body_mb; some routes: their own)  EveryRoute.test_bodies_over_the_limit, .test_the_last_byte_allowed
    upload (http.upload_max_mb), while it comes in   Uploads
    values of JSON: depth 64, 1,000,000 values       EveryRoute.test_bodies_that_are_no_json
    values of YAML                                   test_bad_input: files that are no job, too big; fuzz_yaml
    chunk extensions, trailers                       test_http: chunk sizes
    time to the headers (http.header_timeout_ms)     TimeOuts.test_headers_that_trickle
    time of a body (http.body_timeout_ms a KiB)      TimeOuts.test_bodies_that_trickle
    TLS handshake (http.header_timeout_ms)           TimeOuts.test_a_silent_handshake
    idle connection (http.idle_timeout_ms)           TimeOuts.test_idle_connections, Crowds
    reader that takes nothing (http.write_timeout_ms) Large.test_readers_that_take_nothing
    connections (http.max_connections)               Full
    pipelined requests nobody reads the answers of   Crowds.test_pipelined_requests
    memory: idle and slow clients, long downloads    Crowds, Large
    bodies of who does not say who he is: none       Strangers

NORN_TEST_LARGE_MB is the size of the table that Large moves up and down [200].

What was refused has changed nothing in the database: content() before and after.
"""

import hashlib
import http.client
import io
import json
import os
import re
import resource
import selectors
import socket
import ssl
import tarfile
import threading
import time
import urllib.parse

import harness
from harness import FederationTest, job, noop, wait_until

MIB = 1 << 20
IDLE_CLIENTS = 10000
IDLE_CLIENTS_LEAST = 4000
SLOW_CLIENTS = 400
LARGE_MB = int(os.environ.get("NORN_TEST_LARGE_MB", "200"))
LOG_LINES = 1000000
HEAD = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

# Tables that change by themselves, or that note what was refused.
RESTLESS = ("node", "chore", "audit", "signature_used")


def content(site):
    """{table: (rows, checksum)} of all that a request could change."""
    names = [name for (name,) in site.psql("SELECT relname FROM pg_class WHERE relnamespace = 'norn'::regnamespace "
                                           "AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1")]
    return {name: (rows, checksum) for name, rows, checksum in site.psql(" UNION ALL ".join(
        f"SELECT '{name}', count(*), md5(string_agg(t::text, '' ORDER BY t::text)) FROM norn.{name} t"
        for name in names if name not in RESTLESS))}


def routes():
    """(method, path, flags) of the client port, as the route tables of src/api say."""
    found = []
    folder = os.path.join(harness.SRC, "src/api")
    for name in sorted(os.listdir(folder)):
        if name.endswith(".c"):
            with open(os.path.join(folder, name), encoding="utf-8") as f:
                found += re.findall(r'\{"(GET|POST|PUT|DELETE)",\s*"(/[^"]*)",\s*\w+,\s*([A-Z_0| ]+),', f.read())
    if len(found) < 60:
        raise AssertionError(f"only {len(found)} routes were found in the sources")
    return [(m, re.sub(r"\{\w+\}", "1", p), flags) for m, p, flags in found]


def memory_kib(node, what="VmRSS"):
    with open(f"/proc/{node.process.pid}/status", encoding="ascii") as f:
        return int(re.search(what + r":\s+(\d+) kB", f.read()).group(1))


def reset_peak(node):
    with open(f"/proc/{node.process.pid}/clear_refs", "w", encoding="ascii") as f:
        f.write("5")


def descriptors(node):
    return len(os.listdir(f"/proc/{node.process.pid}/fd"))


def read_to_end(s):
    """What still comes, until the other side closes; b"" also when it resets."""
    out = b""
    while True:
        try:
            chunk = s.recv(65536)
        except ConnectionResetError:
            return out
        if not chunk:
            return out
        out += chunk


def is_closed(s):
    """The node has closed; what it said before is dropped."""
    s.setblocking(False)
    try:
        while s.recv(65536):
            pass
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


class OneNode(FederationTest):
    sites = ("guest",)
    # Freed memory is kept by AddressSanitizer for a while, which is none of the node's doing.
    asan = "detect_leaks=1:abort_on_error=0:quarantine_size_mb=2:malloc_context_size=0"

    @classmethod
    def setUpClass(cls):
        cls.fed = harness.Federation(cls.__name__, cls.sites, cls.nodes, cls.conf, cls.site_conf)
        for site in cls.fed.sites.values():
            for node in site.nodes:
                node.env["ASAN_OPTIONS"] = cls.asan
        cls.fed.start()
        cls.guest = cls.fed.sites["guest"]
        cls.node = cls.guest.nodes[0]

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.node.port), timeout=harness.PATIENCE_S)

    def answers(self):
        """The node answers an ordinary client, from the database too."""
        self.assertEqual(self.guest.api.call("GET", "/livez")[0], 200)
        self.guest.api.get("/v2/site/info/query")
        self.guest.api.get("/v2/job/list/query")

    def exchange(self, data):
        """All that comes until the node closes."""
        with self.connect() as s:
            try:
                s.sendall(data)
            except OSError:
                pass  # refused before all was sent
            return read_to_end(s)

    def assert_status(self, answer, status, what):
        self.assertRegex(answer[:20], b"^HTTP/1.1 %d " % status, what)
        if b"application/json" in answer:
            v = json.loads(answer.partition(b"\r\n\r\n")[2])
            self.assertNotEqual(v["code"], 0, what)
            self.assertTrue(v["message"], what)


class EveryRoute(OneNode):
    conf = {"http.max_body_mb": 1, "http.upload_max_mb": 3, "components.allow_register": True}

    def setUp(self):
        self.before = content(self.guest)

    def tearDown(self):
        self.answers()
        self.assertEqual(content(self.guest), self.before)

    def refused(self, method, path, body, what):
        status, _, text = self.guest.api.call(method, path, body, headers={"Content-Type": "application/json"})
        self.assertLess(status, 500, (what, text[:300]))
        v = json.loads(text)
        self.assertNotEqual(v["code"], 0, what)
        self.assertNotEqual(v["code"], 9000, (what, v))
        self.assertTrue(v["message"], what)

    def test_headers(self):
        for method, path, _ in routes():
            with self.subTest((method, path)):
                line = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n".encode()
                self.assert_status(self.exchange(line + b"A: " + b"x" * 17000 + b"\r\n\r\n"), 431, path)
                self.assert_status(self.exchange(line + b"A: x\r\n" * 101 + b"\r\n"), 431, path)

    def test_bodies_over_the_limit(self):
        for method, path, _ in routes():
            with self.subTest((method, path)):
                line = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n".encode()
                self.assert_status(self.exchange(line + b"Content-Length: 1125899906842624\r\n\r\n"), 413, path)
                answer = self.exchange(line + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffff\r\n")
                if path.startswith("/v2/worker/") and method == "POST":  # whose token comes first
                    self.assertIn(b'"code":5003', answer)
                else:
                    self.assert_status(answer, 413, path)

    def test_the_last_byte_allowed(self):
        """Of a route with the limit of all, and of the one that takes more; for one more byte nothing is read."""
        for path, most in ((b"/v2/job/stop", MIB), (b"/v2/provider/register", 4 * MIB), (b"/v2/job/submit", 64 * MIB)):
            with self.subTest(path):
                answer = self.exchange(HEAD % path + b"Content-Length: %d\r\n\r\n" % (most + 1))
                self.assert_status(answer, 413, path)
                self.assertIn(str(most).encode(), answer)
                body = b"{}" + b" " * (min(most, 4 * MIB) - 2)
                answer = self.exchange(HEAD % path + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                self.assert_status(answer, 200, path)

    def test_methods_there_are_not(self):
        for method, path, _ in routes():
            with self.subTest((method, path)):
                status, _, text = self.guest.api.call("PATCH", path, b"{}", headers={"Content-Type": "application/json"})
                if path.startswith("/v2/"):
                    self.assertEqual((status, json.loads(text)["code"]), (200, 6000), text)
                else:
                    self.assertEqual(status, 405, text)

    def test_routes_there_are_not(self):
        for path in ("/v2", "/v2/job", "/v2/job/submitt", "/v2/job/stop/now", "/v2/output/%2e%2e/job", "/v2/worker"):
            for method in ("GET", "POST"):
                with self.subTest((method, path)):
                    status, _, text = self.guest.api.call(method, path)
                    if path == "/v2":
                        self.assertEqual(status, 404)
                    else:
                        self.assertIn(json.loads(text)["code"], (6000, 9004), text)
        self.assertEqual(self.guest.api.call("GET", "/nothing")[0], 404)

    def test_bodies_that_are_no_json(self):
        bodies = (b"{", b"[1]", b'"x"', b"\xff\xfe", b'{"job_id":"\xff"}', b'{"job_id":"\xed\xa0\x80"}', b'{"a\\u0000":1}',
                  b'{"job_id":"a\\u0000b"}', b'{"a":1,"a":2}', b'{"a":' * 70 + b"1" + b"}" * 70, b"[" * 50000,
                  b'{"a":1e400}', b"{}x", b"\xef\xbb\xbf{}")
        for method, path, flags in routes():
            if method != "POST" or "BODY" in flags:
                continue
            for body in bodies:
                with self.subTest((path, body[:20])):
                    self.refused(method, path, body, path)
        self.refused("POST", "/v2/job/submit", b'{"dag_schema":[' + b"1," * 1000000 + b"1]}", "values")

    def test_texts_that_are_none(self):
        """NUL and broken UTF-8 in a query are refused by every route, known parameters or not."""
        for method, path, _ in routes():
            if not path.startswith("/v2/"):
                continue
            for text in ("%00", "a%00b", "%ff", "%c0%ae", "%ed%a0%80", "%f5%80%80%80"):
                with self.subTest((path, text)):
                    self.refused(method, f"{path}?job_id={text}", b"{}" if method == "POST" else None, path)

    def test_names_that_are_paths(self):
        """Where a parameter becomes part of a file's name, it is a name."""
        names = ("../../../../etc", "..", ".", "/etc/passwd", "a/b", "a\\b/..", "~", "x" * 300)
        for bad in names:
            for field in ("job_id", "role", "party_id", "task_name"):
                good_ones = {"job_id": "1", "role": "guest", "party_id": "9999", "task_name": "a", "log": "stdout",
                             "log_type": "task_info", "attempt": 0}
                query = urllib.parse.urlencode({**good_ones, field: bad})
                for path in ("/v2/log/read", "/v2/log/query", "/v2/log/count", "/v2/log/stream", "/v2/output/data/download",
                             "/v2/output/model/download", "/v2/output/metric/query"):
                    with self.subTest((path, field, bad[:20])):
                        status, _, text = self.guest.api.call("GET", path + "?" + query)
                        self.assertLess(status, 500)
                        self.assertNotIn(b"root:", text)
                        if text.startswith(b"{"):
                            v = json.loads(text)
                            self.assertTrue(v["code"] != 0 or not v["data"], v)
            with self.subTest(("log/download", bad[:20])):
                self.refused("POST", "/v2/job/log/download", {"job_id": bad}, bad)

    def test_files_of_the_server(self):
        """A path that climbs is none; a table is bound to an absolute one."""
        meta = {"delimiter": ",", "dtype": "float64", "match_id_name": "id"}
        for file in ("../../etc/passwd", "a/../../x", "..", "/etc/../etc/passwd", "a\0b", ""):
            with self.subTest(file):
                self.refused("POST", "/v2/data/component/upload", {"file": file, "head": True, "partitions": 1, "meta": meta,
                                                                   "namespace": "n", "name": "t"}, file)
                self.refused("POST", "/v2/data/component/download", {"namespace": "n", "name": "t", "path": file}, file)
                self.refused("POST", "/v2/table/bind/path", {"namespace": "n", "name": "t", "path": file}, file)
        self.refused("POST", "/v2/table/bind/path", {"namespace": "n", "name": "t", "path": "relative/path"}, "relative")


class Uploads(OneNode):
    """The file of an upload is measured while it comes in, whoever says what of its length."""

    conf = {"http.upload_max_mb": 3}
    PATH = b"/v2/data/component/upload/file"

    def setUp(self):
        self.before = content(self.guest)

    def tearDown(self):
        # The note that there is a file to remove goes after the answer, with the file.
        wait_until("nothing of it is left", lambda: self.left() == [] and content(self.guest) == self.before)
        self.answers()

    def left(self):
        """Spooled and kept files, by name or still open."""
        fd = f"/proc/{self.node.process.pid}/fd"
        held = []
        for n in os.listdir(fd):
            try:
                held.append(os.readlink(os.path.join(fd, n)))
            except OSError:
                continue
        kept = [f for d in ("spool", "uploads") for _, _, files in os.walk(os.path.join(self.guest.dir, "data", d))
                for f in files]
        return kept + [f for f in held if f.startswith(os.path.join(self.guest.dir, "data/"))]

    @staticmethod
    def head(*lines):
        return (b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=B\r\n" % Uploads.PATH
                + b"".join(x + b"\r\n" for x in lines) + b"\r\n")

    def test_a_length_over_the_limit(self):
        self.assert_status(self.exchange(self.head(b"Content-Length: %d" % (5 * MIB))), 413, "length")

    def test_chunks_over_the_limit(self):
        """Refused before the end, which never comes."""
        with self.connect() as s:
            s.sendall(self.head(b"Transfer-Encoding: chunked"))
            piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
            with selectors.DefaultSelector() as chosen:
                chosen.register(s, selectors.EVENT_READ)
                try:
                    while not chosen.select(0):
                        s.sendall(piece)
                except OSError:
                    return  # the answer was lost with the connection
            self.assert_status(read_to_end(s), 413, "chunks")

    def test_an_upload_that_breaks_off(self):
        with self.connect() as s:
            s.sendall(self.head(b"Content-Length: 2000000") + b"--B\r\n" + b"x" * 100000)
            wait_until("it is spooled", self.left)

    def test_a_form_that_is_none(self):
        for body in (b"", b"--B", b"--B\r\n\r\n--B--\r\n", b"x" * 100000,
                     b'--B\r\nContent-Disposition: form-data; name="file"; filename="../../x"\r\n\r\nid,x\r\n--B--\r\n',
                     b'--B\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nx\r\n--B--\r\n'):
            with self.subTest(body[:40]):
                answer = self.exchange(self.head(b"Connection: close", b"Content-Length: %d" % len(body)) + body)
                self.assert_status(answer, 200, body[:40])


class Strangers(OneNode):
    """With auth.client on, nothing of a body is kept for who does not sign, nor of a component without a token."""

    conf = {"auth.client": True}
    CLIENTS = 60
    BODY = 8 * MIB  # of each, if it were read

    def push(self, s, head, body):
        """As much of the body as the node takes; what it says."""
        s.setblocking(False)
        left, got = memoryview(head + body), b""
        with selectors.DefaultSelector() as chosen:
            chosen.register(s, selectors.EVENT_READ | selectors.EVENT_WRITE)
            while True:
                for _, what in chosen.select(harness.PATIENCE_S):
                    try:
                        if what & selectors.EVENT_READ:
                            piece = s.recv(65536)
                            if not piece:
                                return got
                            got += piece
                        elif left:
                            left = left[s.send(left[:65536]):]
                        else:
                            chosen.modify(s, selectors.EVENT_READ)
                    except (BrokenPipeError, ConnectionResetError):
                        return got

    def heads(self):
        old = str(int(time.time() * 1000) - 100000).encode()
        signed = b"appId: 12345678\r\nuserName: u\r\nNonce: 1234\r\nSignature: 0\r\n"
        return ((b"/v2/job/submit", b"", 5001),
                (b"/v2/job/submit", signed + b"Timestamp: " + old + b"\r\n", 5000),
                (b"/v2/job/submit", signed + b"Timestamp: %d\r\n", 5005),
                (b"/v2/data/component/upload/file", signed + b"Timestamp: %d\r\n", 5005),
                (b"/v2/model/import", b"", 5001),
                (b"/v2/worker/model/save", b"", 5003),
                (b"/v2/worker/model/save", b"Authorization: Bearer " + b"0" * 64 + b"\r\n", 5003),
                (b"/v2/worker/metric/save", b"Authorization: Bearer " + b"0" * 64 + b"\r\n", 5003))

    def head(self, path, more, length):
        if b"%d" in more:
            more = more % int(time.time() * 1000)
        return HEAD % path + more + length + b"\r\n"

    def test_refused_at_the_end_of_the_headers(self):
        """Of a body that never comes."""
        for path, more, code in self.heads():
            for length in (b"Content-Length: 1000000\r\n", b"Transfer-Encoding: chunked\r\n"):
                with self.subTest((path, more, length)):
                    answer = self.exchange(self.head(path, more, length))
                    self.assertEqual(json.loads(answer.partition(b"\r\n\r\n")[2])["code"], code, answer)
        query = b"?execution_id=1_a_0_guest_9999&to_role=guest&to_party=9999&tag=t&seq=0"
        answer = self.exchange(HEAD % (b"/v2/worker/channel/push" + query) + b"Content-Length: 4000000\r\n\r\n")
        self.assertEqual(json.loads(answer.partition(b"\r\n\r\n")[2])["code"], 2000, answer)

    def test_memory_and_files(self):
        """Many at once, each with a long body: neither memory nor spool files for them."""
        self.assertEqual(self.guest.api.call("GET", "/livez")[0], 200)
        body = b"{" + b" " * self.BODY
        length = b"Content-Length: %d\r\n" % len(body)
        for path, more, _ in self.heads():
            reset_peak(self.node)
            before = memory_kib(self.node)
            threads = []
            for _ in range(self.CLIENTS):
                s = self.connect()
                t = threading.Thread(target=lambda s=s: (self.push(s, self.head(path, more, length), body), s.close()))
                t.start()
                threads.append(t)
            for t in threads:
                t.join()
            with self.subTest((path, more)):
                grown = memory_kib(self.node, "VmHWM") - before
                self.assertLess(grown, self.CLIENTS * self.BODY // 1024 // 8, "KiB more for bodies of strangers")
        self.assertEqual(os.listdir(os.path.join(self.guest.dir, "data/spool")), [])
        self.assertEqual(self.guest.api.call("GET", "/livez")[0], 200)

    def test_clients_that_go_away(self):
        """While the database is asked who they are."""
        for i in range(200):
            path, more, _ = self.heads()[2 + i % 2]
            s = self.connect()
            s.sendall(self.head(path, more, b"Content-Length: 100000\r\n") + b"x" * (i * 50))
            s.close()
        self.assertEqual(self.guest.api.call("GET", "/livez")[0], 200)
        v = json.loads(self.guest.api.call("GET", "/v2/site/info/query")[2])
        self.assertEqual(v["code"], 5001)


class TimeOuts(OneNode):
    conf = {"http.header_timeout_ms": 1000, "http.body_timeout_ms": 1000, "http.idle_timeout_ms": 1500}

    def trickle(self, s, head, what):
        """One byte after the other until the node has had enough; its answer."""
        try:
            s.sendall(head)
            end = time.monotonic() + harness.PATIENCE_S
            with selectors.DefaultSelector() as chosen:
                chosen.register(s, selectors.EVENT_READ)
                while not chosen.select(0.05):
                    self.assertLess(time.monotonic(), end, f"{what}: still taken")
                    s.sendall(b"x")
        except OSError:
            pass
        return read_to_end(s)

    def test_headers_that_trickle(self):
        for head in (b"", b"GET ", b"GET /livez HTTP/1.1\r\nHost: localhost\r\nA: "):
            with self.subTest(head), self.connect() as s:
                self.assert_status(self.trickle(s, head + b"x", head), 408, head)
        self.answers()

    def test_bodies_that_trickle(self):
        """To every kind of route: JSON, spooled, and one that is not there; and in chunks."""
        for path in (b"/v2/job/submit", b"/v2/data/component/upload/file", b"/v2/nothing"):
            for more in (b"Content-Length: 100000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n186a0\r\n"):
                with self.subTest((path, more)), self.connect() as s:
                    self.assert_status(self.trickle(s, HEAD % path + more, path), 408, path)
        self.answers()

    def test_idle_connections(self):
        """Closed without a word, whether anything was asked before or not."""
        with self.connect() as s:
            self.assertEqual(read_to_end(s), b"")
        with self.connect() as s:
            s.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertEqual(read_to_end(s).count(b"HTTP/1.1 "), 1)

    def test_a_wait_is_not_idle(self):
        """A client that waits for an answer longer than all time-outs gets it."""
        job_id = self.guest.api.submit(job({"a": noop(sleep_ms=30000)}, parties=["guest"]))
        self.guest.api.wait_started(job_id, "a")
        change = self.guest.api.get("/v2/job/wait", job_id=job_id, timeout_ms=0)["change"]
        self.guest.api.get("/v2/job/wait", job_id=job_id, known=change, timeout_ms=4000)
        self.guest.api.stop(job_id)
        self.guest.api.wait_job(job_id, "canceled")

    def test_a_silent_handshake(self):
        with socket.create_connection(("127.0.0.1", self.node.peer_port), timeout=harness.PATIENCE_S) as s:
            self.assertEqual(read_to_end(s), b"")
        with socket.create_connection(("127.0.0.1", self.node.peer_port), timeout=harness.PATIENCE_S) as s:
            s.sendall(b"\x16\x03\x01\x02\x00\x01")
            read_to_end(s)

    def test_headers_that_trickle_from_a_site(self):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname = False
        tls.load_verify_locations(self.guest.tls["ca"])
        tls.load_cert_chain(self.guest.tls["cert"], self.guest.tls["key"])
        with socket.create_connection(("127.0.0.1", self.node.peer_port), timeout=harness.PATIENCE_S) as raw:
            with tls.wrap_socket(raw) as s:
                s.sendall(b"POST /v2/partner/job/stop HTTP/1.1\r\nHost:")
                self.assert_status(read_to_end(s), 408, "peer")


class Full(OneNode):
    """As many connections as are allowed, and one more."""

    conf = {"http.max_connections": 50, "http.header_timeout_ms": 3600000}

    def test_idle_ones_make_room(self):
        held = [self.connect() for _ in range(50)]
        try:
            for _ in range(20):
                self.answers()
            self.assertGreater(sum(is_closed(s) for s in held), 0)
        finally:
            for s in held:
                s.close()

    def test_busy_ones_do_not(self):
        """A request that has begun is not given up for a new one; the new one is served when there is room."""
        held = [self.connect() for _ in range(50)]
        try:
            for s in held:
                # The answer to the first says that the beginning of the second has come too.
                s.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGET /livez HT")
                self.assertRegex(s.recv(4096), b"^HTTP/1.1 200 ")
            since = len(self.guest.log_text())
            with self.connect() as late:
                late.settimeout(harness.PATIENCE_S)
                self.guest.wait_log("all 50 connections are busy", since)
                self.assertEqual(read_to_end(late), b"")
            for s in held:
                s.sendall(b"TP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            for s in held:
                self.assertRegex(read_to_end(s), b"^HTTP/1.1 200 ")
        finally:
            for s in held:
                s.close()
        self.answers()


class Crowds(OneNode):
    conf = {"http.idle_timeout_ms": 30000}

    def test_idle_connections(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        n = min(IDLE_CLIENTS, hard - 500)
        if n < IDLE_CLIENTS_LEAST:
            self.skipTest(f"the hard limit of descriptors, {hard}, allows {n} connections")
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, n + 400), hard))
        held = []
        try:
            before = memory_kib(self.node)
            for i in range(n):
                s = self.connect()
                held.append(s)
                if i % 2:  # half of them have asked something before
                    s.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    self.assertRegex(s.recv(4096), b"^HTTP/1.1 200 ")
            if n < IDLE_CLIENTS:
                print(f"      with {n} idle connections, which the limit of descriptors allows")
            wait_until("the node has all of them", lambda: descriptors(self.node) >= n)
            self.answers()
            each = (memory_kib(self.node) - before) / n
            self.assertLess(each, 32, "KiB for each idle connection")
            wait_until("they are closed", lambda: descriptors(self.node) < 200)
            self.assertTrue(all(is_closed(s) for s in held))
            self.answers()
        finally:
            for s in held:
                s.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def test_slow_clients(self):
        """One byte a second each, of headers and of bodies; meanwhile all others are served, and jobs run."""
        stop = threading.Event()
        slow = []
        rounds = [0]

        def send():
            while not stop.wait(1):
                rounds[0] += 1
                for s in slow:
                    try:
                        s.send(b"x")
                    except OSError:
                        pass

        for i in range(SLOW_CLIENTS):
            s = self.connect()
            s.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nA: " if i % 2 else
                      HEAD % b"/v2/job/submit" + b"Content-Length: 1000000\r\n\r\n{")
            slow.append(s)
        sender = threading.Thread(target=send)
        sender.start()
        try:
            before = memory_kib(self.node)
            job_id = self.guest.api.submit(job({"a": noop(), "b": noop(after="a")}, parties=["guest"]))
            asked = 0
            while asked < 100 or rounds[0] < 4:
                self.answers()
                asked += 1
            self.guest.api.wait_job(job_id)
            self.assertLess(memory_kib(self.node) - before, 32 * 1024)
            # The last answer came while bodies were still trickling in.
            self.assertFalse(all(is_closed(s) for s in slow))
        finally:
            stop.set()
            sender.join()
            for s in slow:
                s.close()
        wait_until("they are gone", lambda: descriptors(self.node) < 200)

    def test_pipelined_requests(self):
        """Many at once from a client that reads nothing for a while: memory stays, and all answers come in order."""
        n = 30000  # of 1 KiB each: more than the system's buffers take
        sent = 0
        data = b"".join(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: r%06d\r\nA: %s\r\n\r\n" % (i, b"x" * 960)
                        for i in range(n))
        before = memory_kib(self.node)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect(("127.0.0.1", self.node.port))
            s.setblocking(False)
            with selectors.DefaultSelector() as chosen:
                chosen.register(s, selectors.EVENT_WRITE)
                while sent < len(data) and chosen.select(2):  # until the node takes no more
                    try:
                        sent += s.send(data[sent:sent + 65536])
                    except BlockingIOError:
                        continue
            self.assertLess(sent, len(data), "all was taken though no answer was read")
            self.assertLess(memory_kib(self.node) - before, 8 * 1024)
            self.answers()
            s.setblocking(True)
            sender = threading.Thread(target=s.sendall, args=(data[sent:],))
            sender.start()
            got = s.makefile("rb")
            for i in range(n):
                answer = http.client.HTTPResponse(FileSocket(got), method="GET")
                answer.begin()
                answer.read()
                self.assertEqual((answer.status, answer.getheader("X-Request-Id", f"r{i:06d}")), (200, f"r{i:06d}"))
            sender.join()


class FileSocket:
    """What HTTPResponse wants of a socket, for a stream that holds several answers."""

    def __init__(self, stream):
        self.stream = stream

    def makefile(self, mode):
        return Unclosed(self.stream)


class Unclosed(io.RawIOBase):
    def __init__(self, stream):
        super().__init__()
        self.stream = stream

    def readable(self):
        return True

    def readinto(self, into):
        return self.stream.readinto(into)

    def readline(self, size=-1):
        return self.stream.readline(size)

    def read(self, size=-1):
        return self.stream.read(size)


class Large(OneNode):
    """A table and a log much larger than what a node may take of memory for them."""

    conf = {"http.write_timeout_ms": 4000}
    # Of blocks, queues and the allocator; what is moved is many times as much.
    most_kib = min(48, LARGE_MB // 3) * 1024

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.rows = cls.upload()

    @classmethod
    def upload(cls):
        """A CSV file as one form, sent as it is made; the number of its rows."""
        wide = ",".join(f"{i}.25" for i in range(10))
        fields = {"head": "true", "partitions": "4", "namespace": "large", "name": "table",
                  "meta": json.dumps({"delimiter": ",", "dtype": "float64", "match_id_name": "id"})}
        form = "".join(f'--B\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items())
        form += '--B\r\nContent-Disposition: form-data; name="file"; filename="t.csv"\r\n\r\n'
        state = {"n": 0, "bytes": 0}

        def parts():
            yield form.encode() + b"id," + ",".join(f"x{i}" for i in range(10)).encode() + b"\n"
            while state["bytes"] < LARGE_MB * MIB:
                block = "".join(f"u{i},{wide}\n" for i in range(state["n"], state["n"] + 2000)).encode()
                state["n"] += 2000
                state["bytes"] += len(block)
                yield block
            yield b"\r\n--B--\r\n"

        reset_peak(cls.node)
        before = memory_kib(cls.node)
        c = http.client.HTTPConnection("127.0.0.1", cls.node.port, timeout=600)
        c.request("POST", "/v2/data/component/upload/file", parts(), {"Content-Type": "multipart/form-data; boundary=B"},
                  encode_chunked=True)
        v = json.loads(c.getresponse().read())
        c.close()
        harness.good(v, "upload")
        cls.guest.api.wait_job(v["job_id"], timeout_s=600)
        cls.upload_kib = memory_kib(cls.node, "VmHWM") - before
        return state["n"]

    def test_upload(self):
        self.assertLess(self.upload_kib, self.most_kib, "KiB more for an upload")
        self.assertEqual(self.guest.api.get("/v2/table/query", namespace="large", name="table")["count"], self.rows)

    def test_download(self):
        reset_peak(self.node)
        before = memory_kib(self.node)
        c = http.client.HTTPConnection("127.0.0.1", self.node.port, timeout=600)
        c.request("GET", "/v2/data/download?namespace=large&name=table")
        answer = c.getresponse()
        self.assertEqual(answer.status, 200)
        lines, ids, want = 0, hashlib.sha256(), hashlib.sha256()
        with tarfile.open(fileobj=answer, mode="r|gz") as tar:
            for member in tar:
                if member.name.endswith(".csv"):
                    for line in tar.extractfile(member):
                        lines += 1
                        ids.update(line.split(b",", 1)[0] if lines > 1 else b"")
        c.close()
        for i in range(self.rows):
            want.update(b"u%d" % i)
        self.assertEqual((lines, ids.hexdigest()), (self.rows + 1, want.hexdigest()))
        self.assertLess(memory_kib(self.node, "VmHWM") - before, self.most_kib, "KiB more for a download")

    def test_readers_that_take_nothing(self):
        """Downloads that nobody reads: a little of each waits in memory, and they are cut off in the end."""
        held = []
        before = memory_kib(self.node)
        files = descriptors(self.node)
        try:
            for _ in range(50):
                s = self.connect()
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                s.sendall(b"GET /v2/data/download?namespace=large&name=table HTTP/1.1\r\nHost: localhost\r\n\r\n")
                held.append(s)
            for s in held:
                self.assertRegex(s.recv(12), b"^HTTP/1.1 200$")
            self.answers()
            self.assertLess(memory_kib(self.node) - before, self.most_kib)
            wait_until("they are cut off", lambda: descriptors(self.node) <= files + 5)
        finally:
            for s in held:
                s.close()
        self.answers()

    def test_a_log_of_a_million_lines(self):
        api = self.guest.api
        job_id = api.submit(job({"a": noop()}, parties=["guest"]))
        api.wait_job(job_id)
        where = {"job_id": job_id, "role": "guest", "party_id": harness.GUEST, "task_name": "a"}
        path = os.path.join(self.guest.dir, "logs", job_id, "guest", harness.GUEST, "a", "0", "stdout")
        line = "2026-01-01 00:00:00 INFO something that a component says, number %07d\n"
        with open(path, "w", encoding="ascii") as f:
            for begin in range(1, LOG_LINES + 1, 1000):
                f.write("".join(line % i for i in range(begin, begin + 1000)))
        size = os.path.getsize(path)
        reset_peak(self.node)
        before = memory_kib(self.node)

        self.assertEqual(api.get("/v2/log/count", log_type="task_info", **where), LOG_LINES)
        last = api.get("/v2/log/query", log_type="task_info", begin=LOG_LINES - 1, end=LOG_LINES + 10, **where)
        self.assertEqual([x["line_num"] for x in last], [LOG_LINES - 1, LOG_LINES])
        self.assertTrue(last[1]["content"].endswith(f"{LOG_LINES:07d}"), last)
        page = api.get("/v2/log/query", log_type="task_info", **where)
        self.assertLess(len(page), LOG_LINES)
        self.assertEqual([x["line_num"] for x in page], list(range(1, len(page) + 1)))

        offset, pieces = 0, hashlib.sha256()
        while True:
            piece = api.get("/v2/log/read", log="stdout", offset=offset, **where)
            pieces.update(piece["text"].encode())
            offset = piece["offset"]
            if piece["end"]:
                break
        with open(path, "rb") as f:
            want = hashlib.file_digest(f, "sha256") if hasattr(hashlib, "file_digest") else hashlib.sha256(f.read())
        self.assertEqual((offset, pieces.hexdigest()), (size, want.hexdigest()))

        status, _, packed = api.call("POST", "/v2/job/log/download", {"job_id": job_id})
        self.assertEqual(status, 200)
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as tar:
            sizes = {m.name: m.size for m in tar}
        self.assertEqual(sizes[f"guest/{harness.GUEST}/a/0/stdout"], size)
        self.assertLess(memory_kib(self.node, "VmHWM") - before, self.most_kib, "KiB more for a long log")
