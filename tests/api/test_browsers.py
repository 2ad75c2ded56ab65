"""What a web page that some browser shows can do with a site that asks nobody who he is: nothing."""

from harness import FederationTest

FOREIGN = ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://evil.example.org"},
           {"Origin": "null"}, {"Sec-Fetch-Site": "none", "Origin": "http://127.0.0.1:1"})


class Asking(FederationTest):
    """Requests with headers as browsers send them."""

    sites = ("guest",)

    def code(self, method, path, headers, body=None):
        return self.guest.api.envelope(method, path, body, headers=headers)["code"]

    def jobs(self):
        return self.guest.psql("SELECT count(*) FROM norn.job")

    def audits(self):
        return self.guest.psql("SELECT count(*) FROM norn.audit")


class Loopback(Asking):
    """As a site is by default: on the loopback interface, auth.client off."""

    def test_pages_of_other_sites(self):
        before = self.jobs() + self.audits()
        for headers in FOREIGN:
            for method, path in (("GET", "/v2/site/info/query"), ("POST", "/v2/job/stop"), ("POST", "/v2/job/submit"),
                                 ("POST", "/v2/provider/register")):
                with self.subTest((headers, path)):
                    body = {"job_id": "1"} if method == "POST" else None
                    v = self.guest.api.envelope(method, path, body, headers=headers)
                    self.assertEqual(v["code"], 5005, v)
                    self.assertRegex(v["message"], "^No Permission: a page of another web site .*(Sec-Fetch-Site|Origin)")
                    self.assertIn("request_id", v)
        self.assertEqual(self.jobs() + self.audits(), before)
        self.guest.wait_log("refused POST /v2/job/submit from 127.0.0.1:.*another web site")

    def test_forms_need_no_json_type(self):
        """What a page may send without asking first: a form with a file."""
        body = b"--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\nid,x\r\n--B--\r\n"
        for headers in FOREIGN:
            with self.subTest(headers):
                status, _, text = self.guest.api.call(
                    "POST", "/v2/data/component/upload/file", body,
                    headers={**headers, "Content-Type": "multipart/form-data; boundary=B"})
                self.assertEqual(status, 200)
                self.assertIn(b"5005", text)

    def test_own_pages_and_programs(self):
        own = f"127.0.0.1:{self.guest.api.port}"
        for headers in ({}, {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://" + own},
                        {"Sec-Fetch-Site": "same-origin", "Origin": "http://" + own}):
            with self.subTest(headers):
                self.assertEqual(self.code("GET", "/v2/site/info/query", headers), 0)
                self.assertNotEqual(self.code("POST", "/v2/job/stop", headers, {"job_id": "1"}), 5005)

    def test_names_that_were_made_to_lead_here(self):
        for host in ("evil.example.org", f"evil.example.org:{self.guest.api.port}", "127.0.0.1.example.org", "x", ""):
            with self.subTest(host):
                v = self.guest.api.envelope("GET", "/v2/site/info/query", headers={"Host": host})
                self.assertEqual(v["code"], 5005, v)
                self.assertIn("Host", v["message"])
        for host in ("localhost", "127.0.0.1", "127.1.1.1:80", "[::1]:9380"):
            with self.subTest(host):
                self.assertEqual(self.code("GET", "/v2/site/info/query", {"Host": host}), 0)

    def test_outside_the_api(self):
        status, _, text = self.guest.api.call("GET", "/metrics", headers=FOREIGN[0])
        self.assertEqual(status, 403)
        self.assertIn(b"another web site", text)
        for path in ("/livez", "/readyz"):
            self.assertEqual(self.guest.api.call("GET", path, headers={"Host": "10.1.2.3:9380"})[0], 200)


class BehindProxy(Asking):
    """With http.allow_remote any host may lead here; pages of other sites are refused all the same."""

    conf = {"http.allow_remote": True}

    def test_hosts(self):
        self.assertEqual(self.code("GET", "/v2/site/info/query", {"Host": "norn.example.org"}), 0)
        self.assertEqual(self.code("GET", "/v2/site/info/query", {"Host": "norn.example.org",
                                                                  "Origin": "https://norn.example.org"}), 0)
        for headers in FOREIGN:
            with self.subTest(headers):
                self.assertEqual(self.code("GET", "/v2/site/info/query", {"Host": "norn.example.org", **headers}), 5005)


class Signed(Asking):
    """With auth.client the signature decides, which no page can make."""

    conf = {"auth.client": True}

    def test_pages(self):
        for headers in FOREIGN + ({"Host": "evil.example.org"},):
            with self.subTest(headers):
                self.assertEqual(self.code("GET", "/v2/site/info/query", headers), 5001)
