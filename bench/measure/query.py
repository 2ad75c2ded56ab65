"""Queries and submissions beside nginx with a file of the same size, all asked by wrk over loopback."""

import glob
import json
import os
import re
import shutil
import subprocess
import time
import typing

from . import sites

SECTION = "Query API"
NGINX = """worker_processes {workers};
pid {dir}/nginx.pid;
error_log {dir}/error.log;
daemon off;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    default_type application/json;
    open_file_cache max=16;
    client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
    uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
    server {{ listen 127.0.0.1:{port}; root {dir}/files; }}
}}
"""


class Asked(typing.NamedTuple):
    """What wrk says."""

    rate: float
    requests: int
    p50_ms: float
    p99_ms: float
    note: str


def wrk(bench, url, connections, body_file=None):
    """Asks for some seconds; with body_file: submits the job in it."""
    seconds = bench.scale.query_s
    script = ["-s", os.path.join(os.path.dirname(__file__), "submit.lua")] if body_file else []
    command = ["wrk", "-t", str(min(2, connections)), "-c", str(connections), "-d", f"{seconds}s", "--latency"]
    r = subprocess.run([*command, *script, url], capture_output=True, text=True, check=False, timeout=seconds + 30,
                       env={**os.environ, "NORN_BENCH_BODY": body_file or ""})
    bench.results.command(" ".join(command + (["-s", "bench/measure/submit.lua"] if script else [])) + " URL")
    rate = re.search(r"Requests/sec:\s*([\d.]+)", r.stdout)
    requests = re.search(r"(\d+) requests in", r.stdout)
    if r.returncode != 0 or rate is None or requests is None:
        raise RuntimeError("wrk: " + (r.stderr or r.stdout).strip()[-300:])
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", r.stdout) or re.search(r"Socket errors: (.*)", r.stdout)
    scale = {"us": 1e-3, "ms": 1, "s": 1e3}

    def percentile(which):
        m = re.search(which + r"%\s+([\d.]+)(us|ms|s)", r.stdout)
        return float(m.group(1)) * scale[m.group(2)] if m else None

    return Asked(float(rate.group(1)), int(requests.group(1)), percentile("50"), percentile("99"),
                 "errors: " + bad.group(1) if bad else None)


def find_nginx(bench):
    """nginx of the system, or Debian's package unpacked, not installed, into the cache directory."""
    found = shutil.which("nginx") or next(iter(glob.glob("/usr/sbin/nginx")), None)
    if found:
        return found
    there = os.path.join(bench.cache, "nginx")
    program = os.path.join(there, "usr/sbin/nginx")
    if not os.access(program, os.X_OK) and shutil.which("apt-get") and shutil.which("dpkg-deb"):
        os.makedirs(there, exist_ok=True)
        r = subprocess.run(["apt-get", "download", "-q", "nginx"], cwd=there, capture_output=True, check=False, timeout=120)
        for package in glob.glob(os.path.join(there, "*.deb")) if r.returncode == 0 else []:
            subprocess.run(["dpkg-deb", "-x", package, there], check=False, capture_output=True, timeout=60)
    runs = os.access(program, os.X_OK) and subprocess.run([program, "-v"], capture_output=True, check=False).returncode == 0
    return program if runs else None


class Nginx:
    """Serves files = {name: content}."""

    def __init__(self, program, files, workers=1):
        self.dir = os.path.join(sites.harness.root_dir(), "nginx")
        os.makedirs(os.path.join(self.dir, "files"), exist_ok=True)
        os.chmod(self.dir, 0o755)
        for name, body in files.items():
            with open(os.path.join(self.dir, "files", name), "wb") as f:
                f.write(body)
        self.port = sites.harness.free_port()
        with open(os.path.join(self.dir, "nginx.conf"), "w", encoding="utf-8") as f:
            f.write(NGINX.format(dir=self.dir, port=self.port, workers=workers))
        with open(os.path.join(self.dir, "error.log"), "ab") as log:
            self.process = subprocess.Popen([program, "-p", self.dir, "-c", "nginx.conf"], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL)
        time.sleep(0.5)
        if self.process.poll() is not None:
            raise RuntimeError("nginx did not start: " + sites.harness.tail_of(self.dir + "/error.log", 3))

    def url(self, name):
        return f"http://127.0.0.1:{self.port}/{name}"

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


def start_nginx(bench, files):
    program = find_nginx(bench)
    if program is None:
        bench.results.skipped(SECTION, "nginx", "it is neither there nor to be had")
        return None
    return Nginx(program, files)


def measure(bench):
    if shutil.which("wrk") is None:
        bench.results.skipped(SECTION, "requests", "wrk is missing")
        return
    queries(bench)
    submissions(bench)


def queries(bench):
    with sites.Bed() as bed:
        api = bed.start_nodes()
        job_id = api.submit(sites.chain(2))  # an answer of 1.3 KB
        api.wait_job(job_id)
        path = f"/v2/job/query?job_id={job_id}"
        status, _, body = api.call("GET", path)
        if status != 200:
            raise RuntimeError(f"{path} answers {status}")
        bench.results.add(SECTION, "size of the answer", len(body), "bytes")
        nginx = start_nginx(bench, {"job.json": body})
        try:
            for connections in (2, 64):
                base = beside(bench, nginx, "job.json", "a file of that size", connections)
                for what, p, budget in (("one job", path, 10000), ("/livez", "/livez", None)):
                    asked = wrk(bench, f"http://127.0.0.1:{api.port}{p}", connections)
                    more = {}
                    if budget and connections == 64:
                        more = {"budget": f"at least {budget} requests/s on 2 cores",
                                "ok": asked.rate >= budget and asked.note is None}
                    add(bench, f"{what}, {connections} connections", asked, base, **more)
        finally:
            if nginx:
                nginx.stop()


def submissions(bench):
    """Jobs of one task, taken in by a node while nobody works on them."""
    body_file = os.path.join(sites.harness.root_dir(), "submit.json")
    with open(body_file, "w", encoding="utf-8") as f:
        json.dump({"dag_schema": sites.chain(1)}, f)
    with sites.Bed() as bed:
        api = bed.open_front()
        with open(body_file, "rb") as f:
            status, _, answer = api.call("POST", "/v2/job/submit", f.read(), headers={"Content-Type": "application/json"})
        if status != 200 or json.loads(answer)["code"] != 0:
            raise RuntimeError(f"a job is refused: {answer[:300]!r}")
        nginx = start_nginx(bench, {"answer.json": answer})
        try:
            for connections in (2, 64):
                base = beside(bench, nginx, "answer.json", "a file as long as the answer to a submission", connections)
                before = bed.last_job_no()
                asked = wrk(bench, f"http://127.0.0.1:{api.port}/v2/job/submit", connections, body_file)
                taken = int(bed.site.psql(f"SELECT count(*) FROM norn.job WHERE job_no > {before}")[0][0])
                if taken < asked.requests:
                    asked = asked._replace(note=f"only {taken} of {asked.requests} jobs were taken")
                add(bench, f"submit a job, {connections} connections", asked, base)
        finally:
            if nginx:
                nginx.stop()


def beside(bench, nginx, name, what, connections):
    """nginx's rate with that file, None without nginx."""
    if nginx is None:
        return None
    asked = wrk(bench, nginx.url(name), connections)
    add(bench, f"nginx, {what}, {connections} connections", asked, None)
    return asked.rate


def add(bench, what, asked, base, **more):
    bench.results.add(SECTION, what, asked.rate, "requests/s", note=asked.note, p50_ms=asked.p50_ms, p99_ms=asked.p99_ms,
                      ratios={"nginx": asked.rate / base} if base else None, **more)
