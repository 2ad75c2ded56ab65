"""Messages between sites in groups: what the other site makes of them, and one that knows no groups."""

import http.client
import http.server
import json
import os
import ssl
import threading

import harness
from harness import FederationTest, job, make_cert, noop, wait_until
from test_tls import Peer, client_context

GROUPS = "/v2/partner/messages"


class Taking(FederationTest):
    """The guest's site commands a job at the host that its own database knows nothing of."""

    sites = ("guest", "host")
    made = 0

    def setUp(self):
        Taking.made += 1
        self.job_id = f"20260101000000000000{Taking.made:04d}"
        self.guest_calls = Peer(self.host.nodes[0], client_context(self.host.tls["ca"], self.guest.tls))
        self.who = {"job_id": self.job_id, "role": "host", "party_id": harness.HOST}
        dag = job({"a": noop(sleep_ms=60000), "b": noop()}, scheduler_party_id=harness.GUEST,
                  initiator_party_id=harness.GUEST)
        self.assertEqual(self.guest_calls.call("POST", "/v2/partner/job/create", {**self.who, **dag})["code"], 0)
        self.assertEqual(self.guest_calls.call("POST", "/v2/partner/job/resource/apply", self.who)["code"], 0)

    def message(self, no, command, task=None, **more):
        body = {**self.who, **more}
        if task is not None:
            body |= {"task_id": f"{self.job_id}_{task}", "task_version": 0}
        return {"no": no, "command": command, "body": body}

    def send(self, *messages, caller=None):
        return (caller or self.guest_calls).call("POST", GROUPS, {"messages": list(messages)})

    def codes(self, *messages, caller=None):
        v = self.send(*messages, caller=caller)
        self.assertEqual(v["code"], 0, v)
        return [a["code"] for a in v["data"]["answers"]]

    def claims(self):
        return self.host.psql(f"SELECT task_name, count(*) FROM norn.event_view WHERE job_id = '{self.job_id}' "
                              "AND reason = 'claimed' GROUP BY 1 ORDER BY 1")

    def test_each_is_carried_out_and_answered_in_order(self):
        group = [self.message(1, "job_start"), self.message(2, "task_start", "a"), self.message(3, "task_start", "other"),
                 self.message(4, "task_stop", "a", status="splendid"), self.message(5, "task_start", "b")]
        self.assertEqual(self.codes(*group), [0, 0, 2001, 5001, 0])
        wait_until("both run", lambda: self.claims() == [["a", "1"], ["b", "1"]])
        # The answer was lost: the same comes again, whole or in part, and changes nothing.
        self.assertEqual(self.codes(*group), [0, 0, 2001, 5001, 0])
        self.assertEqual(self.codes(*group[1:2]), [0])
        self.assertEqual(self.codes(self.message(6, "task_stop", "b", status="success"),
                                    self.message(7, "job_finish", status="canceled")), [0, 0])
        self.assert_no_processes(self.job_id)
        self.assertEqual(self.claims(), [["a", "1"], ["b", "1"]])
        # A copy that was under way for long.
        self.assertEqual(self.codes(*group[:2]), [9009, 9009])
        self.assertEqual(self.host.api.status(self.job_id), "canceled")

    def test_a_refusal_undoes_no_other(self):
        other = {**self.message(2, "job_start"), "body": {**self.who, "job_id": "202601010000000000009999"}}
        self.host.psql("UPDATE norn.party_job SET scheduler_party_id = '1' WHERE job_id = '%s'" % self.job_id)
        try:
            self.assertEqual(self.codes(self.message(1, "job_start"), other), [5005, 1001])
        finally:
            self.host.psql(f"UPDATE norn.party_job SET scheduler_party_id = '{harness.GUEST}' WHERE job_id = '{self.job_id}'")
        self.assertEqual(self.codes(self.message(3, "job_start"), {**other, "no": 4}, self.message(5, "task_start", "b")),
                         [0, 1001, 0])
        # A job that was never created here has nothing to stop.
        for no, command, task in ((6, "job_finish", None), (7, "task_stop", "a")):
            gone = self.message(no, command, task, status="canceled")
            gone["body"] = {k: v.replace(self.job_id, other["body"]["job_id"]) if isinstance(v, str) else v
                            for k, v in gone["body"].items()}
            self.assertEqual(self.codes(gone, self.message(8, "task_start", "b")), [0, 0])
        self.assertEqual(self.codes(self.message(9, "job_finish", status="canceled")), [0])

    def test_only_for_whom_the_caller_speaks(self):
        stranger = Peer(self.host.nodes[0], client_context(self.host.tls["ca"], make_cert(
            self.fed.ca_dir, "stranger", [harness.ARBITER], os.path.join(self.fed.dir, "strangers"))))
        self.assertEqual(self.codes(self.message(1, "job_start"), self.message(2, "job_finish", status="failed"),
                                    self.message(3, "task_report", "a", status="failed"), caller=stranger),
                         [5005, 5005, 5005])
        self.assertEqual(self.host.api.status(self.job_id), "waiting")
        self.assertEqual(self.codes(self.message(1, "job_finish", status="canceled")), [0])

    def test_what_is_no_message(self):
        start = self.message(1, "job_start")
        for bad, word in (({**start, "no": 0}, "no of"), ({**start, "no": "1"}, "no of"), ({**start, "body": []}, "body of"),
                          ({**start, "command": "job_rerun"}, "command"), ("job_start", "command"), (None, "command"),
                          ({**start, "body": {**self.who, "role": 7}}, "role of"),
                          ({**start, "body": {**self.who, "job_id": "../x"}}, "job_id of"),
                          (self.message(1, "task_start", "a/b"), "task_id of"),
                          ({**self.message(1, "task_start"), "body": {**self.who, "task_id": self.job_id}}, "task_id of"),
                          (self.message(1, "task_report", "a"), "status of"),
                          (self.message(1, "job_finish", status="failed", progress=1 << 40), "progress of"),
                          (self.message(1, "job_finish", status="failed", progress=101), "progress of"),
                          (self.message(1, "task_stop", "a", status="failed", progress=-1), "progress of"),
                          (self.message(1, "task_stop", "a", status="failed", progress="1"), "progress of"),
                          (self.message(1, "job_finish", status="failed", first_failure="no"), "first_failure of"),
                          (self.message(1, "job_finish", status="failed", first_failure=[]), "first_failure of"),
                          (self.message(1, "job_finish", status="failed", reason=["x"]), "reason of")):
            v = self.send(bad)
            self.assertEqual(v["code"], 0, v)
            answer = v["data"]["answers"][0]
            self.assertEqual(answer["code"], 5001, (bad, answer))
            self.assertIn(word, answer["message"])
        for route in ("/v2/partner/job/status/update", "/v2/partner/task/stop", "/v2/partner/task/status/update"):
            v = self.guest_calls.call("POST", route, {**self.message(1, "", "a", status="failed")["body"], "progress": 101})
            self.assertEqual(v["code"], 5001, v)
            self.assertIn("progress", v["message"])
        self.assertEqual(self.codes(self.message(2, "task_start", "a"), start), [2001, 5001])  # numbers grow
        for body in ({}, {"messages": {}}, {"messages": []}, {"messages": [start] * 1025}):
            self.assertEqual(self.guest_calls.call("POST", GROUPS, body)["code"], 5001, str(body)[:100])
        self.assertEqual(self.host.api.status(self.job_id), "waiting")


class OldSite(http.server.BaseHTTPRequestHandler):
    """In front of a site: it does not know the route of groups, and passes everything else on."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):  # pylint: disable=invalid-name
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(self.path)
        status = 200
        if self.path == GROUPS:
            status, answer = self.server.without_groups
        else:
            behind = http.client.HTTPSConnection("127.0.0.1", self.server.behind.peer_port, context=self.server.caller)
            names = ("Content-Type", "X-Norn-Key", "X-Norn-Src-Party", "dest-party-id")
            behind.request("POST", self.path, body, {k: self.headers[k] for k in names if k in self.headers})
            answer = behind.getresponse().read()
            behind.close()
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if status == 200 else "text/html")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


class WithoutGroups(FederationTest):
    sites = ("guest", "host")

    def run_without_groups(self, status, answer):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), OldSite)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.host.tls["cert"], self.host.tls["key"])
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.asked = []
        server.without_groups = (status, answer)
        server.behind = self.host.nodes[0]
        server.caller = client_context(self.guest.tls["ca"], self.guest.tls)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.guest.api.post("/v2/site/route/add", party_id=harness.HOST, url=f"https://127.0.0.1:{server.server_port}")
        job_id = self.guest.api.submit(job({"a": noop(), **{f"b{i}": noop(after="a") for i in range(5)}}))
        self.guest.api.wait_job(job_id, "success")
        wait_until("the host knows", lambda: self.host.api.status(job_id) == "success")
        self.assertEqual(server.asked.count(GROUPS), 1)
        self.assertEqual(server.asked.count("/v2/partner/task/start"), 6)
        return server

    def test_it_gets_single_messages(self):
        server = self.run_without_groups(200, json.dumps({"code": 6000, "message": "<NotFound '404: Not Found'>"}).encode())
        # The route changes, and so may what is there.
        self.guest.api.post("/v2/site/route/add", party_id=harness.HOST, url=self.host.peer_url())
        self.assertEqual(self.guest.psql("SELECT count(*) FROM norn.site_route WHERE single_until IS NOT NULL"), [["0"]])
        before = len(server.asked)
        self.guest.api.wait_job(self.guest.api.submit(job({"a": noop()})), "success")
        self.assertEqual(len(server.asked), before)

    def test_a_gateway_that_lets_no_groups_through(self):
        for status in (403, 405, 413):
            self.run_without_groups(status, b"<html>no</html>")
