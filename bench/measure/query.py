"""Queries of the API beside nginx with a file of the same size, both asked by wrk over loopback."""

import glob
import os
import re
import shutil
import subprocess
import time

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


def wrk(bench, url, connections):
    seconds = bench.scale.query_s
    command = ["wrk", "-t", str(min(2, connections)), "-c", str(connections), "-d", f"{seconds}s", "--latency"]
    r = subprocess.run([*command, url], capture_output=True, text=True, check=False, timeout=seconds + 30)
    bench.results.command(" ".join(command) + " URL")
    rate = re.search(r"Requests/sec:\s*([\d.]+)", r.stdout)
    if r.returncode != 0 or rate is None:
        raise RuntimeError("wrk: " + (r.stderr or r.stdout).strip()[-300:])
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", r.stdout)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", r.stdout) or re.search(r"Socket errors: (.*)", r.stdout)
    scale = {"us": 1e-3, "ms": 1, "s": 1e3}
    return (float(rate.group(1)), float(p99.group(1)) * scale[p99.group(2)] if p99 else None,
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
    def __init__(self, program, body, workers=1):
        self.dir = os.path.join(sites.harness.root_dir(), "nginx")
        os.makedirs(os.path.join(self.dir, "files"), exist_ok=True)
        os.chmod(self.dir, 0o755)
        with open(os.path.join(self.dir, "files/job.json"), "wb") as f:
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

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


def measure(bench):
    if shutil.which("wrk") is None:
        bench.results.skipped(SECTION, "requests", "wrk is missing")
        return
    program = find_nginx(bench)
    with sites.Bed() as bed:
        api = bed.start_nodes()
        job_id = api.submit(sites.chain(2))  # an answer of 1.3 KB
        api.wait_job(job_id)
        path = f"/v2/job/query?job_id={job_id}"
        status, _, body = api.call("GET", path)
        if status != 200:
            raise RuntimeError(f"{path} answers {status}")
        bench.results.add(SECTION, "size of the answer", len(body), "bytes")
        nginx = None
        if program is None:
            bench.results.skipped(SECTION, "nginx", "it is neither there nor to be had")
        else:
            nginx = Nginx(program, body)
        try:
            for connections in (2, 64):
                one(bench, api, path, nginx, connections)
        finally:
            if nginx:
                nginx.stop()


def one(bench, api, path, nginx, connections):
    base = None
    if nginx:
        base, p99, note = wrk(bench, f"http://127.0.0.1:{nginx.port}/job.json", connections)
        bench.results.add(SECTION, f"nginx, a file of that size, {connections} connections", base, "requests/s", note=note,
                          p99_ms=p99)
    for what, p, budget in (("one job", path, 10000), ("/livez", "/livez", None)):
        rate, p99, note = wrk(bench, f"http://127.0.0.1:{api.port}{p}", connections)
        more = {}
        if budget and connections == 64:
            more = {"budget": f"at least {budget} requests/s on 2 cores", "ok": rate >= budget and note is None}
        bench.results.add(SECTION, f"{what}, {connections} connections", rate, "requests/s", note=note, p99_ms=p99,
                          ratios={"nginx": rate / base} if base else None, **more)
