"""Hostile framings against the client port: each is refused, the connection is closed, the server goes on."""

import json
import re
import socket
import ssl
import time

import harness
from harness import FederationTest, job, noop

GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /v2/job/stop HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
SMUGGLED = b"GET /livez HTTP/1.1\r\nHost: smuggled\r\n\r\n"


class Raw(FederationTest):
    sites = ("guest",)

    def setUp(self):
        self.port = self.guest.nodes[0].port

    def tearDown(self):
        """Whatever was sent, the server goes on."""
        self.assertEqual(self.guest.api.call("GET", "/livez")[0], 200)

    def exchange(self, data, timeout_s=harness.PATIENCE_S, pieces=None):
        """(what the server sent, whether it closed the connection) - for bytes sent at once or in pieces."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s) as s:
            try:
                for piece in pieces or [data]:
                    s.sendall(piece)
            except OSError:
                pass  # refused before all was sent
            answer = b""
            while True:
                try:
                    chunk = s.recv(65536)
                except socket.timeout:
                    return answer, False
                except ConnectionResetError:
                    return answer, True
                if not chunk:
                    return answer, True
                answer += chunk

    @staticmethod
    def statuses(answer):
        return [int(x) for x in re.findall(rb"HTTP/1\.[01] (\d\d\d)", answer)]

    def assert_refused(self, data, status=(400,), what=None):
        with self.subTest(what or data[:70]):
            answer, closed = self.exchange(data)
            statuses = self.statuses(answer)
            self.assertTrue(closed, f"the connection was left open: {answer[:200]!r}")
            self.assertEqual(len(statuses), 1, answer[:500])
            self.assertIn(statuses[0], status, answer[:300])
            head, _, body = answer.partition(b"\r\n\r\n")
            self.assertRegex(head.lower(), rb"connection: *close")
            if body.startswith(b"{"):
                v = json.loads(body)
                self.assertNotEqual(v["code"], 0)
                self.assertTrue(v["message"])

    def test_good_requests_on_one_connection(self):
        request = GET + b"\r\n"
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as s:
            for pieces in ([request], [request[:9], request[9:]], [bytes([c]) for c in request]):
                for piece in pieces:
                    s.sendall(piece)
                answer = b""
                while b"\r\n\r\n" not in answer:
                    answer += s.recv(4096)
                self.assertEqual(self.statuses(answer), [200])

    def test_length_and_coding_together(self):
        chunked = b"0\r\n\r\n"
        for head in (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                     b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                     b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"):
            self.assert_refused(POST + head + b"\r\n" + chunked + SMUGGLED)

    def test_lengths_that_are_not_one_number(self):
        for lengths in ([b"2", b"2"], [b"2", b"3"], [b"2, 2"], [b"+2"], [b"-1"], [b"0x2"], [b"2 3"], [b""], [b"2a"],
                        [b"99999999999999999999999"], [b"\x002"], [b"2."], [b" 2 ,2"]):
            head = b"".join(b"Content-Length: " + x + b"\r\n" for x in lengths)
            self.assert_refused(POST + head + b"\r\n{}" + SMUGGLED, (400, 413))

    def test_codings_that_are_not_chunked(self):
        for value in (b"identity", b"gzip", b"gzip, chunked", b"chunked, chunked", b"chunked, identity", b"xchunked",
                      b"chunked;q=1", b"", b"\x0bchunked", b"'chunked'"):
            self.assert_refused(POST + b"Transfer-Encoding: " + value + b"\r\n\r\n0\r\n\r\n" + SMUGGLED, (400, 501))
        self.assert_refused(POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
                            (400, 501))
        self.assert_refused(POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED)
        self.assert_refused(POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, (400, 501))
        self.assert_refused(POST.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED)

    def test_lines_that_do_not_end_right(self):
        self.assert_refused(b"GET /livez HTTP/1.1\nHost: x\n\n")
        self.assert_refused(b"GET /livez HTTP/1.1\r\nHost: x\n\r\n")
        self.assert_refused(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nA: b\rC: d\r\n\r\n")
        self.assert_refused(b"GET /livez HTTP/1.1\rHost: x\r\n\r\n")

    def test_bytes_that_have_no_place_in_a_header(self):
        for line in (b"A: b\x00c", b"A\x00: b", b"A b: c", b": b", b"no colon", b"A: \x01", b" folded: x", b"A\xff: b",
                     b"A: b\x7f"):
            self.assert_refused(GET + line + b"\r\n\r\n")

    def test_request_lines(self):
        for line in (b"GET  /livez HTTP/1.1", b"GET /livez", b"GET /livez HTTP/2.0", b"GET /livez HTTP/1.1 x", b"/livez",
                     b"GET /li\x00vez HTTP/1.1", b"GET /li vez HTTP/1.1", b" GET /livez HTTP/1.1", b"GET\t/livez\tHTTP/1.1",
                     b"GET livez HTTP/1.1", b"GET /livez http/1.1", b"G\x00T /livez HTTP/1.1"):
            self.assert_refused(line + b"\r\nHost: x\r\n\r\n", (400, 501, 505))

    def test_paths_do_not_leave_their_place(self):
        for path in (b"/../../etc/passwd", b"/v2/%2e%2e/%2e%2e/etc/passwd", b"/v2/..%2f..%2fetc/passwd", b"/%00", b"/%zz",
                     b"/v2/job/query%00", b"/%c0%ae%c0%ae/"):
            with self.subTest(path):
                answer, _ = self.exchange(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                self.assertNotIn(b"root:", answer)
                self.assertNotIn(b'"code":0,', answer.replace(b" ", b""))

    def test_two_hosts_or_none(self):
        self.assert_refused(b"GET /livez HTTP/1.1\r\n\r\n")
        self.assert_refused(GET + b"Host: y\r\n\r\n")

    def test_headers_without_end(self):
        self.assert_refused(GET + b"A: " + b"x" * 200000 + b"\r\n\r\n", (431,))
        self.assert_refused(GET + b"".join(b"A%d: x\r\n" % i for i in range(20000)) + b"\r\n", (431,))
        self.assert_refused(b"GET /" + b"x" * 200000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", (414, 431))

    def test_chunk_sizes(self):
        head = POST + b"Transfer-Encoding: chunked\r\n\r\n"
        for chunks in (b"x\r\n", b"\r\n", b"-1\r\n{}", b"+2\r\n{}\r\n0\r\n\r\n", b"0x2\r\n{}\r\n0\r\n\r\n",
                       b" 2\r\n{}\r\n0\r\n\r\n", b"2\n{}\r\n0\r\n\r\n", b"2\r\n{}\n0\r\n\r\n", b"2\r\n{}X0\r\n\r\n",
                       b"2\r\n{}\r\n0\r\nA\x00: b\r\n\r\n", b"2;\x00=1\r\n{}\r\n0\r\n\r\n",
                       b"2;" + b"e" * 100000 + b"\r\n{}\r\n0\r\n\r\n", b"2\r\n{}\r\n0\n\n"):
            self.assert_refused(head + chunks + SMUGGLED, (400, 413, 431), chunks[:40])
        for size in (b"ffffffffffffffff", b"10000000000000000", b"7fffffffffffffff", b"f" * 40):
            self.assert_refused(head + size + b"\r\n{}" + SMUGGLED, (400, 413), size)

    def test_a_body_over_the_limit(self):
        self.assert_refused(POST + b"Content-Length: 9000000000\r\n\r\n", (413,))
        big = b" " * 0x100000
        chunks = b"".join(b"100000\r\n" + big + b"\r\n" for _ in range(20))
        answer, closed = self.exchange(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n", 20)
        self.assertTrue(closed)
        self.assertIn(self.statuses(answer), ([413], []))  # the answer may be lost when the connection is reset

    def test_a_body_that_never_comes(self):
        """Half a request holds nothing up, and its connection is not kept for ever."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=harness.PATIENCE_S) as s:
            s.sendall(b"GET /livez HTTP/1.1\r\nHost:")
            self.assertEqual(self.guest.api.call("GET", "/livez")[0], 200)
            answer = b""
            while chunk := s.recv(4096):
                answer += chunk
            self.assertEqual(self.statuses(answer), [408])

    def test_garbage(self):
        self.assert_refused(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100, (400,), "TLS hello")
        self.assert_refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 501, 505))
        self.assert_refused(b"\xff" * 5000, (400, 414))

    def test_wrong_content(self):
        for body, kind in ((b"{", "application/json"), (b"[1]", "application/json"), (b"\xff\xfe", "application/json"),
                           (b'{"a":' * 20000, "application/json"), (b'{"job_id":"x"}', "text/plain"),
                           (b'{"job_id":1}', "application/json"), (b'{"job_id":null}', "application/json"),
                           (b'{"job_id":"x","job_id":"y"}', "application/json"), (b"", "application/json"),
                           (b'{"job_id":"a\\u0000b"}', "application/json"),
                           (b'{"job_id":"' + b"x" * 100000 + b'"}', "application/json")):
            with self.subTest(body[:30]):
                v = self.guest.api.envelope("POST", "/v2/job/stop", body, headers={"Content-Type": kind})
                self.assertNotEqual(v["code"], 0)
                self.assertTrue(v["message"])

    def test_wrong_queries(self):
        for query in ("job_id=%00", "job_id=%ff", "job_id=" + "x" * 5000, "limit=abc", "limit=-1",
                      "limit=99999999999999999999", "page=1e9", "order_by=password", "order=sideways", "%zz=1",
                      "job_id='%3B%20DROP%20TABLE%20norn.job%3B%20--"):
            with self.subTest(query[:30]):
                status, _, text = self.guest.api.call("GET", "/v2/job/list/query?" + query)
                self.assertIn(status, (200, 400))
                v = json.loads(text)
                if v["code"] == 0:
                    self.assertEqual(v["data"]["count"], 0)
        job_id = self.guest.api.submit(job({"a": noop()}, parties=["guest"]))
        self.guest.api.wait_job(job_id)

    def test_many_connections_at_once(self):
        held = []
        try:
            for _ in range(300):
                s = socket.create_connection(("127.0.0.1", self.port), timeout=5)
                s.sendall(b"GET /livez HT")
                held.append(s)
            self.assertEqual(self.guest.api.call("GET", "/livez")[0], 200)
        finally:
            for s in held:
                s.close()


class PeerPort(FederationTest):
    """The same parser stands behind TLS."""

    sites = ("guest", "host")

    def test_hostile_framing_from_a_site(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(self.guest.tls["ca"])
        context.load_cert_chain(self.host.tls["cert"], self.host.tls["key"])
        with socket.create_connection(("127.0.0.1", self.guest.nodes[0].peer_port), timeout=5) as raw:
            with context.wrap_socket(raw) as s:
                s.sendall(b"POST /v2/partner/job/stop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
                          b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
                answer = b""
                while chunk := s.recv(4096):
                    answer += chunk
        self.assertTrue(answer.startswith(b"HTTP/1.1 400"), answer[:200])
        self.assertTrue(harness.wait_until("other sites still work", lambda: self.host.api.get(
            "/v2/site/check", party_id=harness.GUEST)["ok"]))
