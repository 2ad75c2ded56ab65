"""Who may use the API: signatures, roles, permissions of other parties, the record of changes, HTTPS, the key store."""

import hashlib
import http.client
import json
import os
import re
import ssl
import stat
import subprocess
import time

import harness
from harness import FederationTest, job, noop, wait_until


def now_ms():
    return int(time.time() * 1000)


class Signer:
    """Signs requests as FATE's client does, or wrongly on purpose."""

    count = 0

    def __init__(self, api, app_id, token, user="tester"):
        self.api, self.app_id, self.token, self.user = api, app_id, token, user

    def headers(self, **change):
        """The headers of one request; change replaces some before (values) or after (None: left out) signing."""
        Signer.count += 1
        h = {"appId": self.app_id, "userName": self.user, "Nonce": f"{Signer.count % 10000:04d}",
             "Timestamp": str(now_ms())}
        h.update({k: v for k, v in change.items() if v is not None})
        key = hashlib.md5((h["appId"] + h["userName"] + h["Nonce"] + h["Timestamp"]).encode()).hexdigest()
        h.setdefault("Signature", hashlib.md5((key + self.token).encode()).hexdigest())
        return {k: v for k, v in h.items() if not (k in change and change[k] is None)}

    def envelope(self, method, path, body=None, query=None, **change):
        return self.api.envelope(method, path, body, query, headers=self.headers(**change))

    def get(self, path, **query):
        return harness.good(self.envelope("GET", path, None, query), path)

    def post(self, path, **body):
        return harness.good(self.envelope("POST", path, body), path)


def token_of(site, job_id):
    """The token of a component of the job that runs, or None."""
    for pid in site.processes_of(job_id):
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                found = re.search(r"NORN_TASK_TOKEN=([0-9a-f]{64})", f.read().decode(errors="replace"))
        except OSError:
            continue
        if found:
            return found.group(1)
    return None


def create_admin(node, name="root"):
    r = subprocess.run([harness.program("nornd"), "--config", node.conf_file, "--create-admin", name],
                       capture_output=True, text=True, check=False, env=harness.child_env())
    if r.returncode != 0:
        raise AssertionError("create-admin: " + r.stderr)
    values = [line.split(":", 1)[1].strip() for line in r.stdout.splitlines()]
    return values[0], values[1]


class Clients(FederationTest):
    """auth.client is on."""

    sites = ("guest",)
    conf = {"auth.client": True}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.node = cls.guest.nodes[0]
        cls.admin = Signer(cls.node.api, *create_admin(cls.node))

    def new_client(self, role="client", name="c"):
        v = self.admin.post("/v2/app/client/create", app_name=name)
        if role:
            self.assertEqual(self.admin.post("/v2/permission/grant", app_id=v["app_id"], role=role), {"status": True})
        return Signer(self.node.api, v["app_id"], v["app_token"])

    def refusal(self, code, message, signer=None, method="GET", path="/v2/site/info/query", **change):
        v = (signer or self.client()).envelope(method, path, **change)
        self.assertEqual(v["code"], code, v)
        self.assertTrue(v["message"].startswith(message), v)
        self.assertIn("request_id", v)
        return v

    def client(self):
        if "one" not in self.__class__.__dict__:
            self.__class__.one = self.new_client()
        return self.__class__.one

    # ---- the signature

    def test_signed(self):
        self.assertEqual(self.client().get("/v2/site/info/query")["party_id"], harness.GUEST)

    def test_user_may_be_empty(self):
        c = self.client()
        self.assertEqual(Signer(c.api, c.app_id, c.token, "").envelope("GET", "/v2/site/info/query")["code"], 0)

    def test_missing_headers(self):
        for name in ("appId", "Timestamp", "Nonce", "Signature"):
            with self.subTest(name):
                self.refusal(5001, f"Invalid parameter: name[{name}]", **{name: None})
        v = self.node.api.envelope("GET", "/v2/site/info/query")
        self.assertEqual((v["code"], v["message"]), (5001, "Invalid parameter: name[appId]"))

    def test_user_name_must_be_there(self):
        self.refusal(6000, "TypeError", userName=None)

    def test_nonce_has_four_characters(self):
        for nonce in ("123", "12345", ""):
            with self.subTest(nonce):
                self.refusal(5001, "Invalid parameter: name[Nonce]", Nonce=nonce)

    def test_timestamp_is_a_number(self):
        for t in ("now", "-1", "1e13", "", "99999999999999999999999"):
            with self.subTest(t):
                self.refusal(5001, "Invalid parameter: name[Timestamp]", Timestamp=t)

    def test_window_on_both_sides(self):
        self.refusal(5000, "Request has expired", Timestamp=str(now_ms() - 62000))
        self.refusal(5000, "Request has expired", Timestamp=str(now_ms() + 62000))
        for ms in (-50000, 50000):
            self.assertEqual(self.client().envelope("GET", "/v2/site/info/query",
                                                    Timestamp=str(now_ms() + ms))["code"], 0)

    def test_unknown_app(self):
        self.refusal(5005, "No Permission", Signer(self.node.api, "12345678", "x" * 16))

    def test_providers_are_for_super_clients(self):
        body = {"name": "mine", "device": "local", "version": "1", "metadata": {"program": "/bin/true"}}
        for path in ("/v2/provider/register", "/v2/provider/delete"):
            v = self.client().envelope("POST", path, body)
            self.assertEqual(v["code"], 5005, v)
            self.assertIn("components.allow_register", v["message"])
        self.assertEqual(self.admin.envelope("POST", "/v2/provider/register", body)["message"], "create success")
        self.assertIs(self.admin.post("/v2/provider/delete", name="mine"), True)

    def test_app_without_role(self):
        self.refusal(5005, "No Permission", self.new_client(role=None))

    def test_wrong_token_and_digest(self):
        c = self.client()
        self.refusal(5003, "varify failed!", Signer(c.api, c.app_id, c.token + "x"))
        self.refusal(5003, "varify failed!", Signature="0" * 32)
        self.refusal(5003, "varify failed!", Signature="0" * 31)
        good = c.headers()["Signature"]
        self.refusal(5003, "varify failed!", Signature=good.upper())

    def test_checks_in_order(self):
        """Of several faults the first is answered: header, age, role, digest, route."""
        stranger = Signer(self.node.api, "12345678", "x")
        old = str(now_ms() - 120000)
        self.refusal(5001, "Invalid parameter: name[Timestamp]", stranger, Timestamp=None, Nonce="1", Signature=None)
        self.refusal(5001, "Invalid parameter: name[Nonce]", stranger, Timestamp=old, Nonce="1", Signature=None)
        self.refusal(5000, "Request has expired", stranger, Timestamp=old)
        self.refusal(5005, "No Permission", stranger, path="/v2/app/list")
        self.refusal(5003, "varify failed!", path="/v2/app/list", Signature="0" * 32)

    def test_replay(self):
        h = self.client().headers()
        first = self.node.api.envelope("GET", "/v2/site/info/query", headers=h)
        self.assertEqual(first["code"], 0)
        for path in ("/v2/site/info/query", "/v2/server/nodes"):
            again = self.node.api.envelope("GET", path, headers=h)
            self.assertEqual(again["code"], 5000)
            self.assertIn("used before", again["message"])

    def test_replay_of_a_change_changes_nothing(self):
        h = self.admin.headers()
        body = {"app_name": "replayed"}
        self.assertEqual(self.node.api.envelope("POST", "/v2/app/client/create", body, headers=h)["code"], 0)
        self.assertEqual(self.node.api.envelope("POST", "/v2/app/client/create", body, headers=h)["code"], 5000)
        self.assertEqual(len(self.admin.get("/v2/app/client/query", app_name="replayed")), 1)

    def test_expired_signatures_are_forgotten(self):
        self.guest.psql("INSERT INTO norn.signature_used SELECT 'old', g::text, now() - interval '1 s' "
                        "FROM generate_series(1, 20) g")
        for _ in range(5):
            self.client().get("/v2/site/info/query")
        self.assertEqual(self.guest.psql("SELECT count(*) FROM norn.signature_used WHERE app_id = 'old'"), [["0"]])

    def test_health_needs_no_signature(self):
        for path in ("/livez", "/readyz", "/metrics"):
            self.assertEqual(self.node.api.call("GET", path)[0], 200)

    # ---- roles

    def test_client_may_not_manage(self):
        for method, path in (("GET", "/v2/app/list"), ("POST", "/v2/app/client/create"),
                             ("GET", "/v2/permission/role/query"), ("POST", "/v2/permission/resource/grant"),
                             ("GET", "/v2/server/audit")):
            with self.subTest(path):
                self.refusal(5004, "Authentication Failed", method=method, path=path)

    def test_super_client_manages_clients_only(self):
        boss = self.new_client("super_client")
        made = boss.post("/v2/app/client/create", app_name="by boss")
        self.assertEqual((made["app_type"], made["app_name"]), ("client", "by boss"))
        self.assertRegex(made["app_id"], r"^\d{8}$")
        self.assertRegex(made["app_token"], r"^[A-Za-z0-9]{16}$")
        self.assertEqual(boss.post("/v2/permission/grant", app_id=made["app_id"], role="client"), {"status": True})
        v = boss.envelope("POST", "/v2/permission/grant", {"app_id": made["app_id"], "role": "super_client"})
        self.assertEqual(v["code"], 5005)
        v = boss.envelope("POST", "/v2/permission/delete", {"app_id": boss.app_id, "role": "client"})
        self.assertEqual(v["code"], 5005)
        self.assertEqual(boss.post("/v2/app/client/delete", app_id=self.admin.app_id), {"status": False})

    def test_grant_replaces(self):
        c = self.new_client("super_client")
        self.admin.post("/v2/permission/grant", app_id=c.app_id, role="client")
        roles = self.admin.get("/v2/permission/query", app_id=c.app_id)
        self.assertEqual(list(roles), ["client"])
        self.assertIn(["client", "/v2/job/submit", "POST"], roles["client"])
        self.assertNotIn(["client", "/v2/app/list", "GET"], roles["client"])
        self.assertEqual(self.admin.post("/v2/permission/delete", app_id=c.app_id, role="client"), {"status": True})
        self.assertEqual(self.admin.post("/v2/permission/delete", app_id=c.app_id, role="client"), {"status": False})
        self.refusal(5005, "No Permission", c)

    def test_role_errors(self):
        c = self.client()
        for body, path, code in (
                ({"app_id": c.app_id, "role": "site"}, "/v2/permission/grant", 5009),
                ({"app_id": c.app_id, "role": "emperor"}, "/v2/permission/grant", 5009),
                ({"app_id": c.app_id, "role": "emperor"}, "/v2/permission/delete", 5001),
                ({"app_id": "12345678", "role": "client"}, "/v2/permission/grant", 5002),
                ({"app_id": self.admin.app_id, "role": "client"}, "/v2/permission/grant", 5005),
                ({"role": "client"}, "/v2/permission/grant", 5001)):
            with self.subTest(body=body, path=path):
                v = self.admin.envelope("POST", path, body)
                self.assertEqual(v["code"], code, v)
        self.assertEqual(self.admin.get("/v2/permission/role/query"), ["client", "super_client", "site"])

    def test_deleted_app_is_out_at_once(self):
        c = self.new_client()
        c.get("/v2/site/info/query")
        self.assertEqual(self.admin.post("/v2/app/client/delete", app_id=c.app_id), {"status": True})
        self.assertEqual(self.admin.post("/v2/app/client/delete", app_id=c.app_id), {"status": False})
        self.refusal(5005, "No Permission", c)

    def test_site_and_partner_apps(self):
        made = self.admin.post("/v2/app/site/create", party_id="10000")
        self.assertEqual((made["app_name"], made["app_type"]), ("10000", "site"))
        self.assertEqual(self.admin.post("/v2/app/site/create", party_id="10000"), made)
        self.assertEqual(self.admin.get("/v2/app/site/query", party_id="10000")[0]["app_id"], made["app_id"])
        v = self.admin.envelope("POST", "/v2/permission/grant", {"app_id": made["app_id"], "role": "client"})
        self.assertEqual(v["code"], 5009)
        self.assertEqual(self.admin.post("/v2/app/site/delete", party_id="10000"), {"status": True})
        row = {"party_id": "10000", "app_id": "1", "app_token": "t"}
        self.assertEqual(self.admin.post("/v2/app/partner/create", **row), row)
        self.assertEqual(self.admin.post("/v2/app/partner/create", **row), {})
        self.assertEqual(self.admin.get("/v2/app/partner/query", party_id="10000")[0]["app_token"], "t")
        self.assertEqual(self.admin.get("/v2/app/partner/query"), [])
        self.assertEqual(self.admin.post("/v2/app/partner/delete", party_id="10000"), {"status": True})

    def test_app_parameters(self):
        for body in ({}, {"app_name": ""}, {"app_name": "x" * 101}, {"app_name": 7}, {"app_name": None}):
            with self.subTest(body):
                self.assertEqual(self.admin.envelope("POST", "/v2/app/client/create", body)["code"], 5001)
        self.assertEqual(self.admin.get("/v2/app/client/query"), [])

    def test_tokens_out_of_sight(self):
        """Not in the list, the server log, the audit, nor for the role that may look."""
        c = self.new_client(name="secret")
        c.get("/v2/site/info/query")
        self.assertNotIn("app_token", json.dumps(self.admin.get("/v2/app/list")))
        for token in (c.token, self.admin.token):
            self.assertNotIn(token, self.guest.log_text())
            self.assertNotIn(token, json.dumps(self.admin.get("/v2/server/audit", limit=1000)))
        granted = self.guest.psql("SELECT has_table_privilege('norn_read', 'norn.app', 'SELECT'), "
                                  "has_table_privilege('norn_read', 'norn.partner_app', 'SELECT'), "
                                  "has_table_privilege('norn_read', 'norn.app_view', 'SELECT'), "
                                  "has_table_privilege('norn_read', 'norn.audit_view', 'SELECT')")
        self.assertEqual(granted, [["f", "f", "t", "t"]])

    # ---- audit

    def audit_of(self, contains):
        def ended():
            rows = self.admin.get("/v2/server/audit", contains=contains)
            return rows if rows and all(r["code"] is not None for r in rows) else None
        return wait_until(f"the audit of {contains} is complete", ended)

    def test_audit_of_a_change(self):
        c = self.client()
        v = c.envelope("POST", "/v2/job/submit", {"dag_schema": job({"a": noop()}, ("guest",))})
        self.assertEqual(v["code"], 0, v)
        row = self.audit_of(v["job_id"])[0]
        self.assertEqual((row["app_id"], row["user_name"], row["method"], row["path"], row["code"]),
                         (c.app_id, "tester", "POST", "/v2/job/submit", 0))
        self.assertTrue(row["remote"].startswith("127.0.0.1:"), row)
        self.assertTrue(row["request_id"])
        self.assertLess(abs(row["at_ms"] - now_ms()), 600000)

    def test_audit_of_a_refusal(self):
        v = self.client().envelope("POST", "/v2/job/stop", {"job_id": "no-such-job"})
        row = self.audit_of("no-such-job")[0]
        self.assertEqual((row["code"], row["request_id"]), (v["code"], v["request_id"]))

    def test_strangers_leave_no_rows(self):
        before = self.guest.psql("SELECT count(*) FROM norn.audit")
        self.refusal(5005, "No Permission", Signer(self.node.api, "12345678", "x"), "POST", "/v2/job/stop")
        self.refusal(5003, "varify failed!", None, "POST", "/v2/job/stop", Signature="0" * 32)
        self.assertEqual(self.guest.psql("SELECT count(*) FROM norn.audit"), before)

    def test_reading_leaves_no_rows(self):
        before = self.guest.psql("SELECT count(*) FROM norn.audit")
        self.client().get("/v2/site/info/query")
        self.assertEqual(self.guest.psql("SELECT count(*) FROM norn.audit"), before)


class SeveralNodes(FederationTest):
    """What one node has seen, the others know."""

    sites = ("guest",)
    nodes = 2
    conf = {"auth.client": True}

    def test_replay_at_another_node(self):
        one, two = self.guest.nodes
        admin = Signer(one.api, *create_admin(one))
        h = admin.headers()
        self.assertEqual(one.api.envelope("GET", "/v2/server/nodes", headers=h)["code"], 0)
        v = two.api.envelope("GET", "/v2/server/nodes", headers=h)
        self.assertEqual(v["code"], 5000, v)
        made = admin.post("/v2/app/client/create", app_name="c")
        admin.post("/v2/permission/grant", app_id=made["app_id"], role="client")
        c = Signer(two.api, made["app_id"], made["app_token"])
        self.assertEqual(c.envelope("GET", "/v2/server/nodes")["code"], 0)
        admin.post("/v2/app/client/delete", app_id=made["app_id"])
        self.assertEqual(c.envelope("GET", "/v2/server/nodes")["code"], 5005)


class CommandLine(FederationTest):
    """norn signs its requests with a key that only its user may read."""

    sites = ("guest",)
    conf = {"auth.client": True}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.app_id, cls.token = create_admin(cls.guest.nodes[0])
        cls.keys = os.path.join(harness.root_dir(), ".config/norn/keys")

    def setUp(self):
        self.login()

    def tearDown(self):
        if os.path.lexists(self.keys):
            os.remove(self.keys)

    def login(self):
        r = self.guest.norn("client", "login", self.app_id, stdin=self.token + "\n")
        self.assertEqual((r.returncode, r.stderr), (0, ""))

    def good(self, *args):
        r = self.guest.norn(*args)
        self.assertEqual(r.returncode, 0, r.stderr)
        return r.stdout

    def test_login_and_logout(self):
        self.assertIn(self.app_id, self.good("client", "whoami"))
        self.good("server", "nodes")
        self.assertIn("forgotten", self.good("client", "logout"))
        r = self.guest.norn("server", "nodes")
        self.assertEqual(r.returncode, 1)
        self.assertIn("name[appId]", r.stderr)
        self.assertIn("no key", self.good("client", "logout"))

    def test_file_is_of_its_owner_only(self):
        self.assertEqual(stat.S_IMODE(os.stat(self.keys).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.dirname(self.keys)).st_mode) & 0o022, 0)
        for mode in (0o640, 0o604, 0o620, 0o601):
            with self.subTest(oct(mode)):
                os.chmod(self.keys, mode)
                r = self.guest.norn("server", "nodes")
                self.assertEqual(r.returncode, 1)
                self.assertIn("chmod 600", r.stderr)
                self.assertNotIn(self.token, r.stderr)
        os.chmod(self.keys, 0o600)
        self.good("server", "nodes")

    def test_damaged_file(self):
        for text in ("[]", "{", "\0\0"):
            with self.subTest(text):
                with open(self.keys, "w", encoding="utf-8") as f:
                    f.write(text)
                r = self.guest.norn("server", "nodes")
                self.assertEqual(r.returncode, 1)
                self.assertIn("damaged", r.stderr)

    def test_a_link_is_no_key_file(self):
        os.rename(self.keys, self.keys + ".real")
        os.symlink(self.keys + ".real", self.keys)
        r = self.guest.norn("server", "nodes")
        self.assertEqual(r.returncode, 1)
        self.assertIn("cannot be opened", r.stderr)
        os.remove(self.keys + ".real")

    def test_wrong_token_is_not_kept(self):
        r = self.guest.norn("client", "login", self.app_id, stdin="wrong\n")
        self.assertEqual(r.returncode, 1)
        self.assertIn("varify failed!", r.stderr)
        self.good("server", "nodes")
        for text in ("", "\n", "x" * 129 + "\n"):
            self.assertEqual(self.guest.norn("client", "login", self.app_id, stdin=text).returncode, 2)

    def test_clients_and_roles(self):
        made = json.loads(self.good("--json", "client", "create", "alice", "--role", "client"))
        self.assertIn("alice", self.good("client", "list"))
        self.assertNotIn(made["app_token"], self.good("client", "list"))
        self.assertIn(made["app_token"], self.good("client", "query", made["app_id"]))
        self.assertIn("/v2/job/submit", self.good("permission", "query", made["app_id"]))
        self.assertIn("super_client", self.good("permission", "roles"))
        self.good("permission", "revoke", made["app_id"], "client")
        self.good("permission", "grant", made["app_id"], "super_client")
        self.good("client", "delete", made["app_id"])
        r = self.guest.norn("client", "delete", made["app_id"])
        self.assertEqual(r.returncode, 1)
        r = self.guest.norn("permission", "grant", made["app_id"], "client")
        self.assertIn("5002", r.stderr)

    def test_permissions_of_a_party(self):
        self.good("permission", "allow", "10000", "--component", "psi", "--dataset", "test/mine")
        shown = self.good("permission", "show", "10000")
        self.assertRegex(shown, r"component +psi")
        self.assertRegex(shown, r"dataset +test/mine")
        self.good("permission", "deny", "10000", "--component", "*", "--dataset", "test/mine")
        self.assertNotIn("psi", self.good("permission", "show", "10000"))
        self.assertEqual(self.guest.norn("permission", "allow", "10000").returncode, 2)
        self.assertEqual(self.guest.norn("permission", "allow", "10000", "--dataset", "mine").returncode, 2)

    def test_audit(self):
        self.good("permission", "allow", "10077", "--component", "psi")
        rows = wait_until("the row is complete", lambda: [
            r for r in json.loads(self.good("--json", "server", "audit", "--contains", "10077"))
            if r["code"] is not None])
        self.assertEqual((rows[0]["app_id"], rows[0]["path"]), (self.app_id, "/v2/permission/resource/grant"))
        self.assertIn("/v2/permission/resource/grant", self.good("server", "audit", "--limit", "5"))

    def test_a_whole_job(self):
        path = os.path.join(self.guest.dir, "signed.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(job({"a": noop(), "b": noop("a")}, ("guest",)), f)
        self.good("run", path)


class Https(FederationTest):
    """The client API over TLS; components go on over loopback."""

    sites = ("guest",)

    def setUp(self):
        node = self.guest.nodes[0]
        self.ca = os.path.join(self.fed.dir, "web")
        if not os.path.exists(self.ca):
            harness.make_ca(self.ca)
            cert = harness.make_cert(self.ca, "web", ["1"], os.path.join(self.fed.dir, "webcert"))
            node.stop()
            with open(node.conf_file, encoding="utf-8") as f:
                conf = json.load(f)
            conf["http"].update(tls_cert=cert["cert"], tls_key=cert["key"])
            with open(node.conf_file, "w", encoding="utf-8") as f:
                json.dump(conf, f)
            node.start()
            wait_until("the node answers over HTTPS", lambda: self.norn("server", "ready").returncode == 0)
        self.node = node

    def norn(self, *args, host="127.0.0.1", ca=None):
        return subprocess.run([harness.program("norn"), "--url", f"https://{host}:{self.guest.nodes[0].port}",
                               *(["--ca", ca or os.path.join(self.ca, "ca.crt")] if ca != "" else []), *args],
                              capture_output=True, text=True, check=False, env=harness.child_env(), timeout=120)

    def test_components_reach_the_node(self):
        """At the address that the task's configuration names, which has the worker API and nothing else."""
        path = os.path.join(self.guest.dir, "https.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(job({"hold": noop(sleep_ms=60000)}, ("guest",)), f)
        r = self.norn("--json", "job", "submit", path)
        self.assertEqual(r.returncode, 0, r.stderr)
        job_id = re.search(r"\d{20,}", r.stdout).group()
        token = wait_until("the component runs", lambda: token_of(self.guest, job_id))
        texts = []
        for base, _, names in os.walk(os.path.join(self.guest.dir, "data/work", job_id)):
            for name in names:
                with open(os.path.join(base, name), encoding="utf-8", errors="replace") as f:
                    texts.append(f.read())
        port = int(re.search(r"http://127\.0\.0\.1:(\d+)", "\n".join(texts)).group(1))
        self.assertNotEqual(port, self.node.port)
        api = harness.Api(port)
        v = api.envelope("POST", "/v2/worker/task/status",
                         {"execution_id": f"{job_id}_hold_0_guest_{harness.GUEST}", "status": "running"},
                         headers={"Authorization": "Bearer " + token})
        self.assertEqual(v["code"], 0, v)
        self.assertEqual(api.envelope("GET", "/v2/site/info/query")["code"], 6000)
        self.assertEqual(self.norn("job", "stop", job_id).returncode, 0)

    def test_other_clients(self):
        context = ssl.create_default_context(cafile=os.path.join(self.ca, "ca.crt"))
        conn = http.client.HTTPSConnection("127.0.0.1", self.node.port, context=context, timeout=20)
        conn.request("GET", "/v2/site/info/query")
        self.assertEqual(json.loads(conn.getresponse().read())["code"], 0)
        conn.close()

    def test_wrong_ca_and_wrong_host(self):
        r = self.norn("server", "nodes", ca=os.path.join(self.fed.ca_dir, "ca.crt"))
        self.assertEqual(r.returncode, 3, r.stderr)
        self.assertEqual(self.norn("server", "nodes", ca="").returncode, 3)
        r = self.norn("server", "nodes", host="localhost")
        self.assertEqual(r.returncode, 3, r.stderr)
        self.assertIn("hostname mismatch", r.stderr.lower())

    def test_plain_http_is_not_answered(self):
        with self.assertRaises((OSError, http.client.HTTPException)):
            self.node.api.call("GET", "/livez", timeout_s=10)


class Listening(FederationTest):
    """What a node refuses to start with."""

    sites = ("guest",)

    def check(self, *sets):
        node = self.guest.nodes[0]
        return subprocess.run([harness.program("nornd"), "--config", node.conf_file,
                               *[x for s in sets for x in ("--set", s)], "--check"],
                              capture_output=True, text=True, check=False, env=harness.child_env())

    def test_open_to_others(self):
        r = self.check("http.listen=0.0.0.0:1")
        self.assertEqual(r.returncode, 1)
        self.assertIn("auth.client", r.stderr)
        for also in ("auth.client=true", "http.allow_remote=true"):
            self.assertEqual(self.check("http.listen=0.0.0.0:1", also).returncode, 0)

    def test_workers_behind_a_proxy(self):
        r = self.check("auth.worker=false", "http.allow_remote=true")
        self.assertEqual(r.returncode, 1)
        self.assertIn("auth.worker", r.stderr)
        self.assertEqual(self.check("auth.worker=false").returncode, 0)

    def test_export_dirs(self):
        for bad in ("exports", "/a/../b"):
            r = self.check(f"dirs.export=[{bad}]")
            self.assertEqual(r.returncode, 1)
            self.assertIn(f"dirs.export: '{bad}'", r.stderr)
        self.assertEqual(self.check("dirs.export=[/srv/models, /mnt/b]").returncode, 0)

    def test_https_needs_both(self):
        r = self.check("http.tls_cert=/nowhere")
        self.assertIn("http.tls_cert is set without http.tls_key", r.stderr)
        r = self.check("http.tls_cert=/nowhere", "http.tls_key=/nowhere")
        self.assertEqual(r.returncode, 1)
        self.assertIn("cannot read the certificate /nowhere", r.stderr)


class Workers(FederationTest):
    """The worker API wants the token of a task that runs."""

    sites = ("guest",)

    def running(self):
        """A running task: execution id and token."""
        api = self.guest.api
        job_id = api.submit(job({"hold": noop(sleep_ms=60000)}, ("guest",)))
        self.addCleanup(api.stop, job_id)

        token = wait_until("the component runs", lambda: token_of(self.guest, job_id))
        return job_id, f"{job_id}_hold_0_guest_{harness.GUEST}", token

    def calls(self, execution_id):
        track = {"execution_id": execution_id, "meta_data": {}, "uri": "", "output_key": "k", "namespace": "n",
                 "name": "n", "overview": {}, "source": {}, "data_type": "table", "index": 0}
        model = {"model_id": "m", "model_version": "0", "role": "guest", "party_id": harness.GUEST,
                 "task_name": "hold", "output_key": "k"}
        return (("POST", "/v2/worker/task/status", {"execution_id": execution_id, "status": "running"}, {}, 0),
                ("POST", "/v2/worker/data/tracking/save", track, {}, 0),
                ("POST", "/v2/worker/metric/save", {"execution_id": execution_id, "data": [{"name": "m"}]}, {}, 0),
                ("GET", "/v2/worker/data/tracking/query", None, {"namespace": "x", "name": "y"}, 7001),
                ("GET", "/v2/worker/model/download", None, model, 5008))

    def test_every_call(self):
        _, execution_id, token = self.running()
        other = self.running()[2]
        for method, path, body, query, good in self.calls(execution_id):
            with self.subTest(path):
                def code(headers, **more):
                    return self.guest.api.envelope(method, path, body, {**query, **more}, headers=headers)["code"]
                self.assertEqual(code({}), 5003)
                self.assertEqual(code({"Authorization": "Bearer " + "0" * 64}), 5003)
                self.assertEqual(code({"Authorization": "Bearer " + token}), good)
                self.assertEqual(code({}, token=token), good)
                if method == "POST":
                    self.assertEqual(code({"Authorization": "Bearer " + other}), 5003)

    def test_a_token_ends_with_its_task(self):
        job_id, execution_id, token = self.running()
        self.guest.api.stop(job_id)
        self.guest.api.wait_job(job_id, None)
        bearer = {"Authorization": "Bearer " + token}
        codes = [self.guest.api.envelope(m, p, b, q, headers=bearer)["code"]
                 for m, p, b, q, _ in self.calls(execution_id)]
        self.assertEqual(codes, [0, 2002, 2002, 5003, 5003])

    def test_status(self):
        job_id, execution_id, token = self.running()
        bearer = {"Authorization": "Bearer " + token}

        def status(**body):
            return self.guest.api.envelope("POST", "/v2/worker/task/status", body, headers=bearer)
        v = status(execution_id=job_id + "_other_0_guest_9999", status="success")
        self.assertEqual(v["code"], 2000)
        self.assertIn("No found task: execution_id[", v["message"])
        self.assertEqual(status(execution_id=execution_id)["code"], 5001)
        self.assertEqual(status(execution_id=execution_id, status="success")["code"], 0)
        self.assertEqual(self.guest.api.status(job_id), "running")

    def save_model(self, token, tar, **change):
        fields = {"model_version": "0", "output_key": "saved", "type_name": "json_model", **change}
        body = b"".join(f'--xyz\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode()
                        for k, v in fields.items() if v is not None)
        if tar is not None:
            body += (b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="m.tar"\r\n'
                     b'Content-Type: application/x-tar\r\n\r\n' + tar + b"\r\n")
        return self.guest.api.envelope("POST", "/v2/worker/model/save", body + b"--xyz--\r\n", headers={
            "Content-Type": "multipart/form-data; boundary=xyz", "Authorization": "Bearer " + token})

    def test_model_comes_back_as_it_was_saved(self):
        job_id, execution_id, token = self.running()
        tar = os.urandom(700000)
        right = {"execution_id": execution_id, "model_id": job_id}
        for code, data, change in ((5001, tar, {"output_key": None}), (5001, tar, {"output_key": "../x"}),
                                   (5001, tar, {"model_id": "a/b"}), (5008, None, {}), (5008, tar, {"model_id": "other"}),
                                   (2000, tar, {"execution_id": job_id + "_other_0_guest_9999"})):
            with self.subTest(change=change, file=data is not None):
                v = self.save_model(token, data, **{**right, **change})
                self.assertEqual(v["code"], code, v)
        self.assertEqual(self.save_model("0" * 64, tar, **right)["code"], 5003)
        self.assertEqual(self.save_model(token, tar, **right)["code"], 0)
        _, headers, body = self.guest.api.call(
            "GET", "/v2/worker/model/download", query={
                "model_id": job_id, "model_version": "0", "role": "guest", "party_id": harness.GUEST,
                "task_name": "hold", "output_key": "saved"}, headers={"Authorization": "Bearer " + token})
        self.assertEqual(headers["Content-Type"], "application/x-tar")
        self.assertEqual(body, tar)
        shown = self.guest.api.refused("GET", "/v2/output/model/query", job_id=job_id, role="guest",
                                       party_id=harness.GUEST, task_name="hold")
        self.assertIn("saved as an archive", shown["message"])
        self.assertEqual(os.listdir(os.path.join(self.guest.dir, "data/uploads")), [])

    def test_failure_is_believed(self):
        """A component that says it has failed, and then ends with 0, has failed."""
        api = self.guest.api
        job_id = api.submit(job({"hold": noop(sleep_ms=4000)}, ("guest",)))
        execution_id = f"{job_id}_hold_0_guest_{harness.GUEST}"
        api.wait_started(job_id, "hold")
        token = wait_until("the component runs", lambda: token_of(self.guest, job_id))
        v = api.envelope("POST", "/v2/worker/task/status",
                         {"execution_id": execution_id, "status": "failed", "error": "no such column: caf\u00e9"},
                         headers={"Authorization": "Bearer " + token})
        self.assertEqual(v["code"], 0, v)
        api.wait_job(job_id, "failed")
        self.assertIn("no such column: caf\u00e9", json.dumps(api.get("/v2/job/why", job_id=job_id), ensure_ascii=False))


class TrustingWorkers(Workers):
    """auth.worker is off: calls from this machine without a token are taken, with a wrong one never."""

    conf = {"auth.worker": False}

    def test_every_call(self):
        _, execution_id, token = self.running()
        for method, path, body, query, good in self.calls(execution_id):
            with self.subTest(path):
                for headers, code in (({}, good), ({"Authorization": "Bearer " + token}, good),
                                      ({"Authorization": "Bearer " + "0" * 64}, 5003)):
                    self.assertEqual(self.guest.api.envelope(method, path, body, query, headers=headers)["code"], code)
                for by in ("Forwarded", "X-Forwarded-For", "Via"):
                    self.assertEqual(self.guest.api.envelope(method, path, body, query, headers={by: "x"})["code"], 5003)


class Open(FederationTest):
    """Nothing is switched on."""

    sites = ("guest",)

    def test_nobody_registers_providers(self):
        body = {"name": "mine", "device": "local", "version": "1", "metadata": {"program": "/bin/true"}}
        for path in ("/v2/provider/register", "/v2/provider/delete"):
            v = self.guest.api.envelope("POST", path, body)
            self.assertEqual(v["code"], 5005, v)
            self.assertIn("components.allow_register", v["message"])
        self.assertEqual(self.guest.psql("SELECT count(*) FROM norn.provider WHERE name = 'mine'"), [["0"]])

    def test_restricted(self):
        api = self.guest.api
        for method, path, body, query in (
                ("POST", "/v2/app/client/create", {"app_name": "x"}, {}),
                ("GET", "/v2/app/client/query", None, {}),
                ("POST", "/v2/app/partner/create", {"party_id": "1", "app_id": "1", "app_token": "t"}, {}),
                ("POST", "/v2/permission/grant", {"app_id": "1", "role": "client"}, {}),
                ("GET", "/v2/permission/query", None, {"app_id": "1"})):
            with self.subTest(path):
                v = api.envelope(method, path, body, query)
                self.assertEqual(v["code"], 6001, v)
                self.assertIn("function restricted", v["message"])
        self.assertEqual(api.get("/v2/permission/role/query"), [])

    def test_resource_permissions(self):
        api = self.guest.api
        tables = [{"name": "a", "namespace": "n"}, {"namespace": "n", "name": "b", "more": 1}]
        self.assertIsNone(api.post("/v2/permission/resource/grant", party_id="10000", component="psi, reader",
                                   dataset=tables))
        self.assertEqual(api.get("/v2/permission/resource/query", party_id="10000"),
                         {"component": ["psi", "reader"],
                          "dataset": [{"name": "a", "namespace": "n"}, {"name": "b", "namespace": "n"}]})
        api.post("/v2/permission/resource/delete", party_id="10000", component="psi", dataset=tables[1:])
        self.assertEqual(api.get("/v2/permission/resource/query", party_id="10000"),
                         {"component": ["reader"], "dataset": [{"name": "a", "namespace": "n"}]})
        api.post("/v2/permission/resource/grant", party_id="10000", component="*")
        self.assertIn("coordinated_lr", api.get("/v2/permission/resource/query", party_id="10000")["component"])
        api.post("/v2/permission/resource/delete", party_id="10000", component="*")
        self.assertEqual(api.get("/v2/permission/resource/query", party_id="10000")["component"], [])

    def test_resource_errors(self):
        api = self.guest.api
        v = api.refused("POST", "/v2/permission/resource/grant", {"party_id": "1", "component": "psi,nope"})
        self.assertEqual(v["code"], 5006)
        self.assertIn("type[component],value[['nope']]", v["message"])
        for body, code in (({"party_id": "1", "dataset": {"name": "a"}}, 5001), ({"component": "psi"}, 5001),
                           ({"party_id": "1", "dataset": ["a"]}, 5006), ({"party_id": "../x"}, 5001),
                           ({"party_id": "1", "dataset": [{"name": "a"}]}, 5006)):
            with self.subTest(body):
                self.assertEqual(api.refused("POST", "/v2/permission/resource/grant", body)["code"], code)
        self.assertEqual(api.get("/v2/permission/resource/query", party_id="1"), {"component": [], "dataset": []})

    def test_audit_without_apps(self):
        self.guest.api.envelope("POST", "/v2/job/stop", {"job_id": "who-was-it"}, headers={"userName": "me\u00e9"})
        rows = wait_until("the audit row has its code", lambda: [
            r for r in self.guest.api.get("/v2/server/audit", contains="who-was-it") if r["code"] is not None])
        self.assertEqual(rows[0]["app_id"], None)
        self.assertTrue(rows[0]["user_name"].startswith("me"))


class Permission(FederationTest):
    """auth.permission is on at the host: jobs of the guest use what was granted to 9999."""

    sites = ("guest", "host")
    site_conf = {"host": {"auth.permission": True}}

    def setUp(self):
        self.host.psql("DELETE FROM norn.party_permission")

    def grant(self, **what):
        self.host.api.post("/v2/permission/resource/grant", party_id=harness.GUEST, **what)

    def refused(self, dag, text):
        v = self.guest.api.submit_raw(dag)
        self.assertEqual(v["code"], 1002, v)
        self.assertIn("No Permission", v["message"])
        self.assertIn(text, v["message"])
        self.assertEqual(self.host.psql(f"SELECT count(*) FROM norn.party_job WHERE job_id = '{v['job_id']}'"), [["0"]])

    def reader_job(self, **named):
        read = {"component_ref": "reader", "parameters": named}
        return job({"read": read}, **{})

    def test_component(self):
        dag = job({"a": noop()})
        self.refused(dag, "type[component],component_name[noop]")
        self.grant(component="noop")
        self.guest.api.wait_job(self.guest.api.submit(dag))

    def test_dataset(self):
        for s in (self.guest, self.host):
            s.upload("id,x0\n1,2\n3,4\n", "mine")
        dag = self.reader_job(name="mine", namespace="test")
        self.grant(component="reader")
        self.refused(dag, 'type[dataset],dataset[{"name": "mine", "namespace": "test"}]')
        self.grant(dataset=[{"name": "mine", "namespace": "other"}])
        self.refused(dag, "type[dataset]")
        self.grant(dataset=[{"name": "mine", "namespace": "test"}])
        self.guest.api.wait_job(self.guest.api.submit(dag))

    def test_earlier_jobs_of_others(self):
        """A job cannot take over what this site's own jobs have left."""
        own = self.host.api.submit(job({"a": noop()}))
        self.host.api.wait_job(own)
        self.grant(component="noop")
        self.refused(job({"a": noop(), "b": noop("a")}, inheritance={"job_id": own, "task_list": ["a"]}),
                     '{"job_id": "' + own + '"}')

    def test_tables_and_models_as_inputs(self):
        """What is named as an input of a task is checked like what a reader names."""
        own = self.host.api.submit(job({"a": noop()}))
        self.host.api.wait_job(own)
        self.host.psql("INSERT INTO norn.model (model_id, model_version, role, party_id, task_name, output_key, job_id, "
                       "component, type_name, path, sha256, size_bytes) VALUES ('shared', '1', 'host', "
                       f"'{harness.HOST}', 'a', 'm', '{own}', 'x', 'json_model', 'models/none', '', 0) "
                       "ON CONFLICT DO NOTHING")
        granted = {"namespace": "test", "name": "granted"}
        self.grant(component="feature_scale", dataset=[granted])
        table = {"namespace": "test", "name": "mine"}
        of_job = {"job_id": own, "producer_task": "a", "output_artifact_key": "output_data"}
        model = {"model_id": own, "model_version": "0", "producer_task": "a", "output_artifact_key": "m"}
        for data, of_model, text in ((table, None, '[{"name": "mine", "namespace": "test"}]'),
                                     ([table], None, '[{"name": "mine", "namespace": "test"}]'),
                                     (of_job, None, '{"job_id": "' + own + '"}'),
                                     (None, model, f"type[model],model_id[{own}]"),
                                     (None, [{**model, "model_id": "shared", "model_version": "1"}],
                                      "type[model],model_id[shared]")):
            inputs = {"data": {"train_data": {"data_warehouse": data}}}
            if of_model:
                inputs = {"data": {"test_data": {"data_warehouse": granted}},
                          "model": {"input_model": {"model_warehouse": of_model}}}
            with self.subTest(inputs):
                self.refused(job({"a": {"component_ref": "feature_scale", "inputs": inputs}},
                                 stage="predict" if of_model else "train"), text)
        self.grant(component="noop")
        self.refused(job({"a": noop()}, model_id="shared", model_version="1"), "type[model],model_id[shared]")
        self.guest.api.wait_job(self.guest.api.submit(job({"a": noop()}, model_id="fresh", model_version="1")))

    def test_own_jobs_need_nothing(self):
        self.host.api.wait_job(self.host.api.submit(job({"a": noop()}, ("host",))))
        self.host.api.wait_job(self.host.api.submit(job({"a": noop()})))

    def test_revoked(self):
        self.grant(component="noop")
        self.guest.api.wait_job(self.guest.api.submit(job({"a": noop()})))
        self.host.api.post("/v2/permission/resource/delete", party_id=harness.GUEST, component="noop")
        self.refused(job({"a": noop()}), "type[component]")

    def test_scheduled_at_the_host(self):
        dag = job({"a": noop()}, scheduler_party_id=harness.HOST)
        v = self.guest.api.submit_raw(dag)
        self.assertEqual(v["code"], 5005, v)
        self.assertIn("component_name[noop]", v["message"])
        self.grant(component="noop")
        self.guest.api.wait_job(self.guest.api.submit(dag))

    def test_rerun_with_other_data(self):
        """New parameters of a rerun are checked like those of a new job."""
        for s in (self.guest, self.host):
            s.upload("id,x0\n1,2\n3,4\n", "first")
            s.upload("id,x0\n1,2\n3,4\n", "second")
        self.grant(component="reader", dataset=[{"name": "first", "namespace": "test"}])
        job_id = self.guest.api.submit(self.reader_job(name="first", namespace="test"))
        self.guest.api.wait_job(job_id)
        self.guest.api.post("/v2/job/rerun", job_id=job_id, all=True, parameters={"read": {"name": "second"}})
        why = wait_until("the rerun was refused by the host", lambda: self.guest.psql(
            f"SELECT detail FROM norn.event WHERE job_id = '{job_id}' AND detail LIKE '%No Permission%'") or None)
        self.assertIn("second", why[0][0])
