"""Who may speak for whom: certificates between sites, as a caller and as the one who is called."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import unittest

import harness
from harness import FederationTest, job, make_ca, make_cert, noop, wait_until


def client_context(trust, cert=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(trust)
    if cert is not None:
        context.load_cert_chain(cert["cert"], cert["key"])
    return context


class Peer:
    """A caller of a peer port with a certificate of its own."""

    def __init__(self, node, context):
        self.node = node
        self.context = context

    def send(self, request):
        """The whole answer to the bytes of a request; raises ssl.SSLError when the server's alert says no."""
        with socket.create_connection(("127.0.0.1", self.node.peer_port), timeout=10) as raw:
            with self.context.wrap_socket(raw) as s:
                try:
                    s.sendall(request)
                except OSError:
                    pass  # closed already: what was the alert?
                answer = b""
                while chunk := s.recv(65536):
                    answer += chunk
        return answer

    def call(self, method, path, body=None, octets=None):
        """The JSON of the answer."""
        data = octets if octets is not None else b"" if body is None else json.dumps(body).encode()
        kind = "application/octet-stream" if octets is not None else "application/json"
        head = (f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\n"
                f"Content-Length: {len(data)}\r\n\r\n")
        answer = self.send(head.encode() + data)
        text = answer.split(b"\r\n\r\n", 1)
        if len(text) != 2:
            raise AssertionError(f"no HTTP answer: {answer[:200]!r}")
        return json.loads(text[1])


class Impostor:
    """A TLS server with somebody's certificate, where another site is expected."""

    def __init__(self, cert, trust, verify=ssl.CERT_OPTIONAL):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert["cert"], cert["key"])
        context.load_verify_locations(trust)
        context.verify_mode = verify
        self.context = context
        self.requests = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                raw, _ = self.socket.accept()
            except OSError:
                return
            raw.settimeout(5)
            line = raw.dup()  # stays open after a refusal, so that the alert is read before the end is seen
            try:
                with self.context.wrap_socket(raw, server_side=True) as s:
                    request = s.recv(65536)
                    if request:
                        self.requests.append(request)
                    body = b'{"code":0,"message":"success","data":{"parties":["10000"],"version":"9","now_ms":0}}\n'
                    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                              % len(body) + body)
            except OSError:  # SSLError is one
                self.drain(line)
            finally:
                line.close()

    @staticmethod
    def drain(line):
        line.settimeout(1)
        try:
            while line.recv(65536):
                pass
        except OSError:
            pass

    def close(self):
        self.socket.close()


class Callers(FederationTest):
    """Calls to the guest's peer port with certificates of all kinds."""

    sites = ("guest", "host")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.node = cls.guest.nodes[0]
        cls.trust = cls.guest.tls["ca"]
        out = os.path.join(cls.fed.dir, "strangers")
        other_ca = make_ca(os.path.join(cls.fed.dir, "other-ca"))
        cls.wrong_ca = make_cert(other_ca, "wrong-ca", [harness.HOST], out)
        cls.expired = make_cert(cls.fed.ca_dir, "expired", [harness.HOST], out, "--days", "-1")
        cls.other_party = make_cert(cls.fed.ca_dir, "other-party", [harness.ARBITER], out)

    def peer(self, cert):
        return Peer(self.node, client_context(self.trust, cert))

    def assert_refused(self, context, alert, logged):
        """The handshake fails with this alert of the server, and its log says why."""
        before = len(self.guest.log_text())
        with self.assertRaises(ssl.SSLError) as caught:
            Peer(self.node, context).call("GET", "/v2/partner/ping")
        self.assertRegex(str(caught.exception).lower().replace("_", " "), alert)
        self.guest.wait_log(logged, before)

    def test_a_good_certificate(self):
        v = self.peer(self.host.tls).call("GET", "/v2/partner/ping")
        self.assertEqual(v["code"], 0)
        self.assertEqual(v["data"]["parties"], [harness.GUEST])

    def test_another_ca(self):
        self.assert_refused(client_context(self.trust, self.wrong_ca), "alert unknown ca",
                            r"TLS.*(self-signed|unable to get local issuer|unknown CA|not trusted)")

    def test_an_expired_certificate(self):
        self.assert_refused(client_context(self.trust, self.expired), "alert certificate expired", "TLS.*expired")

    def test_no_certificate(self):
        self.assert_refused(client_context(self.trust), "certificate required|handshake failure",
                            "TLS.*(did not return a certificate|no certificate)")

    def test_tls_1_1(self):
        context = client_context(self.trust, self.host.tls)
        context.set_ciphers("ALL:@SECLEVEL=0")
        try:
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        except ValueError:
            raise unittest.SkipTest("this Python's OpenSSL has no TLS 1.1") from None
        self.assert_refused(context, "alert protocol version", "TLS.*(unsupported protocol|protocol version)")

    def test_tls_1_2_is_good(self):
        context = client_context(self.trust, self.host.tls)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.assertEqual(Peer(self.node, context).call("GET", "/v2/partner/ping")["code"], 0)

    def test_plain_http_to_the_peer_port(self):
        before = len(self.guest.log_text())
        with socket.create_connection(("127.0.0.1", self.node.peer_port), timeout=10) as s:
            s.sendall(b"GET /v2/partner/ping HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            try:
                while chunk := s.recv(4096):
                    answer += chunk
            except ConnectionResetError:
                pass
        self.assertNotIn(b"200", answer)
        self.assertNotIn(b"parties", answer)
        self.guest.wait_log("TLS.*http request", before)

    def test_client_routes_are_not_served_to_other_sites(self):
        v = self.peer(self.host.tls).call("GET", "/v2/job/list/query")
        self.assertEqual(v["code"], 6000)
        v = self.peer(self.host.tls).call("POST", "/v2/job/stop", {"job_id": "x"})
        self.assertEqual(v["code"], 6000)

    def test_sites_routes_are_not_served_to_clients(self):
        self.assertEqual(self.guest.api.refused("POST", "/v2/partner/job/stop", {})["code"], 6000)
        self.assertEqual(self.guest.api.refused("POST", "/v2/scheduler/task/report", {})["code"], 6000)

    def running_job(self):
        job_id = self.guest.api.submit(job({"long": noop(sleep_ms=60000)}))
        self.guest.api.wait_started(job_id, "long")
        self.addCleanup(self.guest.api.wait_job, job_id, "canceled")
        self.addCleanup(self.guest.api.stop, job_id)
        return job_id

    def report(self, job_id, party):
        return {"job_id": job_id, "role": "host", "party_id": party, "task_id": job_id + "_long", "task_version": 0,
                "status": "failed", "error": "forged"}

    def assert_still_runs(self, job_id):
        self.assertEqual(self.guest.api.status(job_id), "running")
        self.assertEqual(self.host.api.status(job_id), "running")

    def test_a_report_for_another_party(self):
        job_id = self.running_job()
        before = len(self.guest.log_text())
        v = self.peer(self.other_party).call("POST", "/v2/scheduler/task/report", self.report(job_id, harness.HOST))
        self.assertEqual(v["code"], 5005, v)
        self.assertIn(harness.HOST, v["message"])
        self.guest.wait_log(f"refused /v2/scheduler/task/report .*does not speak for party {harness.HOST}", before)
        # The same report with a party of its own is of a job that it takes no part in.
        v = self.peer(self.other_party).call("POST", "/v2/scheduler/task/report", self.report(job_id, harness.ARBITER))
        self.assertNotEqual(v["code"], 0)
        self.assert_still_runs(job_id)

    def test_commands_of_somebody_who_is_not_the_scheduler(self):
        job_id = self.running_job()
        who = {"job_id": job_id, "role": "guest", "party_id": harness.GUEST}
        task = {**who, "task_id": job_id + "_long", "task_version": 0}
        for cert in (self.other_party, self.host.tls):
            for path, body in (("job/stop", who), ("job/status/update", {**who, "status": "canceled"}),
                               ("job/resource/return", who), ("task/stop", task), ("job/start", who)):
                v = self.peer(cert).call("POST", "/v2/partner/" + path, body)
                self.assertEqual(v["code"], 5005, (path, v))
        v = self.peer(self.other_party).call("POST", "/v2/scheduler/job/stop", {"job_id": job_id})
        self.assertEqual(v["code"], 1001, v)
        self.assert_still_runs(job_id)

    def test_a_job_in_the_name_of_another_scheduler(self):
        before = self.guest.psql("SELECT count(*) FROM norn.party_job_view")
        dag = job({"a": noop()}, scheduler_party_id=harness.HOST, initiator_party_id=harness.HOST)
        body = {"job_id": "202601010000000000000007", "role": "guest", "party_id": harness.GUEST, **dag}
        v = self.peer(self.other_party).call("POST", "/v2/partner/job/create", body)
        self.assertEqual(v["code"], 5005, v)
        self.assertEqual(self.guest.psql("SELECT count(*) FROM norn.party_job_view"), before)

    def test_a_frame_in_the_name_of_another_party(self):
        job_id = self.running_job()
        before = len(self.guest.log_text())
        query = (f"?job_id={job_id}&task_name=long&attempt=0&src_role=host&src_party={harness.HOST}"
                 f"&dst_role=guest&dst_party={harness.GUEST}&tag=x&seq=0&more=false")
        v = self.peer(self.other_party).call("POST", "/v2/partner/channel/push" + query, octets=b"forged")
        self.assertEqual(v["code"], 5005, v)
        self.guest.wait_log(f"refused /v2/partner/channel/push .*does not speak for party {harness.HOST}", before)
        self.assertEqual(self.peer(self.host.tls).call("POST", "/v2/partner/channel/push" + query, octets=b"real")["code"], 0)
        self.assert_still_runs(job_id)


class Called(FederationTest):
    """What a site says about another one that is not what it should be."""

    sites = ("guest", "host")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        out = os.path.join(cls.fed.dir, "impostors")
        other_ca = make_ca(os.path.join(cls.fed.dir, "other-ca"))
        cls.wrong_ca = make_cert(other_ca, "wrong-ca", [harness.HOST], out)
        cls.expired = make_cert(cls.fed.ca_dir, "expired", [harness.HOST], out, "--days", "-1")
        cls.other_party = make_cert(cls.fed.ca_dir, "other-party", [harness.ARBITER], out)

    def tearDown(self):
        self.guest.api.post("/v2/site/route/add", party_id=harness.HOST, url=self.host.peer_url())

    def check(self, url):
        self.guest.api.post("/v2/site/route/add", party_id=harness.HOST, url=url)
        data = self.guest.api.get("/v2/site/check", party_id=harness.HOST)
        r = self.guest.norn("site", "check", harness.HOST)
        self.assertEqual(r.returncode, 0 if data["ok"] else 1)
        return data, r.stdout

    def assert_check_fails_at(self, url, step, words):
        data, text = self.check(url)
        self.assertFalse(data["ok"])
        bad = [s for s in data["steps"] if not s["ok"]]
        self.assertEqual(bad[0]["name"], step, data)
        self.assertRegex(bad[0]["detail"], words)
        self.assertRegex(text, words)
        return data

    def impostor(self, cert):
        i = Impostor(cert, self.guest.tls["ca"])
        self.addCleanup(i.close)
        return i

    def test_all_is_well(self):
        data, text = self.check(self.host.peer_url())
        self.assertTrue(data["ok"], data)
        self.assertEqual([s["name"] for s in data["steps"]],
                         ["route", "dns", "tcp", "tls", "party ids", "version", "clock", "round trip"])
        self.assertIn(harness.HOST, text)

    def test_no_route(self):
        data = self.guest.api.get("/v2/site/check", party_id="4711")
        self.assertFalse(data["ok"])
        self.assertEqual(data["steps"][0]["name"], "route")
        self.assertIn("norn site add", data["steps"][0]["detail"])

    def test_nobody_listens(self):
        self.assert_check_fails_at(f"https://127.0.0.1:{harness.free_port()}", "tcp", "refused")

    def test_no_such_host(self):
        self.assert_check_fails_at("https://nowhere.invalid:9370", "dns", "nowhere.invalid")

    def test_another_ca(self):
        self.assert_check_fails_at(f"https://127.0.0.1:{self.impostor(self.wrong_ca).port}", "tls",
                                   "(?i)self-signed|issuer|unknown CA|not trusted")

    def test_an_expired_certificate(self):
        self.assert_check_fails_at(f"https://127.0.0.1:{self.impostor(self.expired).port}", "tls", "expired")

    def test_a_certificate_for_another_party(self):
        self.assert_check_fails_at(f"https://127.0.0.1:{self.impostor(self.other_party).port}", "party ids",
                                   harness.ARBITER)

    def test_our_own_certificate_is_refused(self):
        i = Impostor(make_cert(self.fed.ca_dir, "strict", [harness.HOST], os.path.join(self.fed.dir, "strict")),
                     os.path.join(self.fed.dir, "other-ca/ca.crt"), ssl.CERT_REQUIRED)
        self.addCleanup(i.close)
        self.assert_check_fails_at(f"https://127.0.0.1:{i.port}", "tls", "(?i)unknown CA|refused")

    def test_no_command_goes_to_an_impostor(self):
        """A job for the host is not handed to a server whose certificate names another party."""
        i = self.impostor(self.other_party)
        self.guest.api.post("/v2/site/route/add", party_id=harness.HOST, url=f"https://127.0.0.1:{i.port}")
        answer = {}
        before = len(self.guest.log_text())
        t = threading.Thread(target=lambda: answer.update(self.guest.api.submit_raw(job({"a": noop()}))))
        t.start()
        self.guest.wait_log(f"(?s)job_create.*{harness.HOST}", before)
        job_id = self.guest.psql("SELECT job_id FROM norn.job_view ORDER BY submitted_at DESC LIMIT 1")[0][0]
        why = self.guest.api.get("/v2/job/why", job_id=job_id)
        self.assertIn(harness.HOST, "\n".join(why["lines"]))
        listed = {r["party_id"]: r for r in self.guest.api.get("/v2/site/route/list")}
        wait_until("the route list tells the error", lambda: {
            r["party_id"]: r for r in self.guest.api.get("/v2/site/route/list")}[harness.HOST]["last_error"])
        self.assertIn(harness.HOST, listed)
        self.assertEqual(i.requests, [])
        self.tearDown()
        t.join(60)
        self.assertEqual(answer["code"], 0, answer)
        self.guest.api.wait_job(answer["job_id"])


class Configuration(FederationTest):
    """A node with certificates that cannot work does not start, and says why."""

    sites = ("guest",)

    def refused(self, **tls):
        node = self.guest.nodes[0]
        r = subprocess.run([harness.program("nornd"), "--config", node.conf_file, "--check",
                            *[x for k, v in tls.items() for x in ("--set", f"peer.{k}={v}")]],
                           capture_output=True, text=True, check=False, env=harness.child_env())
        self.assertEqual(r.returncode, 1, r.stderr)
        return r.stderr

    def test_files_that_do_not_fit(self):
        out = os.path.join(self.fed.dir, "misfits")
        other_ca = make_ca(os.path.join(self.fed.dir, "other-ca"))
        other = make_cert(other_ca, "other", [harness.GUEST], out)
        self.assertIn("is not signed by the CA", self.refused(cert=other["cert"], key=other["key"]))
        self.assertIn("key", self.refused(key=other["key"]))
        self.assertIn("no-such-file", self.refused(ca="/no-such-file.crt"))

    def test_new_certificates_are_read_on_a_signal(self):
        out = os.path.join(self.fed.dir, "renewed")
        new = make_cert(self.fed.ca_dir, "guest", [harness.GUEST, "9998"], out)
        node = self.guest.nodes[0]
        for kind in ("cert", "key"):
            shutil.copy(new[kind], self.guest.tls[kind])
        before = len(self.guest.log_text())
        node.signal(signal.SIGHUP)
        self.guest.wait_log("certificates were read again", before)
        context = client_context(self.guest.tls["ca"], new)
        with socket.create_connection(("127.0.0.1", node.peer_port), timeout=10) as raw, context.wrap_socket(raw) as s:
            names = [v for k, v in s.getpeercert()["subjectAltName"] if k == "URI"]
        self.assertIn("urn:norn:party:9998", names)
