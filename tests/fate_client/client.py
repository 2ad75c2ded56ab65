"""The official FATE client as it is published, in a virtual environment of the build directory.

Each site of a test gets a copy of the installed package of its own, since the client keeps the address of its
server in a file beside its code. Nothing of the code is changed, which check_unmodified() proves by the hashes
that the package itself brings.
"""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import unittest

import harness

PACKAGE = "fate-client==2.2.0"
# What the package asks for, without torch, transformers and accelerate, which only its neural networks import. It
# names no versions; these are the last in which what it calls still exists.
NEEDS = ["click<8.2", "networkx", "pandas<3", "psutil", "pydantic<2", "requests", "requests-toolbelt", "ruamel.yaml<0.18",
         "setuptools<81"]
UNREACHABLE = ("NewConnectionError", "ConnectTimeoutError", "Name or service not known", "name resolution",
               "Network is unreachable", "Connection refused", "ProxyError", "ReadTimeoutError", "Max retries exceeded",
               "(from versions: none)")  # which is all that a quiet pip says of an index that does not answer
SETTINGS = "fate_client/settings.yaml"


def _pip(env, *args):
    r = subprocess.run([os.path.join(env, "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check",
                        *args], capture_output=True, text=True, check=False)
    if r.returncode == 0:
        return
    if any(sign in r.stderr for sign in UNREACHABLE):
        raise unittest.SkipTest("the package registry cannot be reached: " + r.stderr.strip().splitlines()[-1])
    raise AssertionError(f"pip install {' '.join(args)}: {r.stderr}")


def install():
    """The virtual environment; made once for a build directory."""
    harness.root_dir()
    env = os.path.join(harness.Run.build, "tests", "fate-client-2.2.0")
    done = os.path.join(env, "complete")
    if os.path.exists(done):
        return env
    shutil.rmtree(env, ignore_errors=True)
    os.makedirs(os.path.dirname(env), exist_ok=True)
    r = subprocess.run([sys.executable, "-m", "venv", env], capture_output=True, text=True, check=False)
    if r.returncode != 0:
        raise unittest.SkipTest("python3 cannot make a virtual environment: " + (r.stderr or r.stdout).strip())
    _pip(env, "--no-deps", PACKAGE)
    _pip(env, *NEEDS)
    with open(done, "w", encoding="utf-8"):
        pass
    return env


class Client:
    """The programs and the library of the FATE client, set up for one site."""

    def __init__(self, env, site, role):
        self.env = env
        self.site = site
        self.dir = os.path.join(site.dir, "fate-client")
        self.python = os.path.join(env, "bin/python")
        lib = os.path.join(env, "lib")
        self.packages = os.path.join(lib, os.listdir(lib)[0], "site-packages")
        os.makedirs(self.dir)
        shutil.copytree(os.path.join(self.packages, "fate_client"), os.path.join(self.dir, "fate_client"))
        self.init_answer = self.flow("init", "--ip", "127.0.0.1", "--port", str(site.api.port))
        self._run("pipeline", "init", "--ip", "127.0.0.1", "--port", str(site.api.port))
        self._run("pipeline", "site-info", "--role", role, "--party", site.parties[0])

    def _environment(self):
        e = harness.child_env()
        e.update(PYTHONPATH=self.dir, PYTHONDONTWRITEBYTECODE="1", LC_ALL="C.UTF-8")
        return e

    def _run(self, program, *args, timeout_s=300):
        r = subprocess.run([os.path.join(self.env, "bin", program), *args], capture_output=True, text=True,
                           check=False, timeout=timeout_s, env=self._environment(), cwd=self.site.dir)
        if r.returncode != 0:
            raise AssertionError(f"{program} {' '.join(args)}: {r.stdout}{r.stderr}")
        return r.stdout

    def flow_text(self, *args):
        """What `flow` prints."""
        return self._run("flow", *args)

    def flow(self, *args):
        """The answer that `flow` prints as JSON."""
        text = self.flow_text(*args)
        try:
            return json.loads(text)
        except ValueError as e:
            raise AssertionError(f"flow {' '.join(args)}: no JSON: {text}") from e

    def pipeline(self, *args):
        return self._run("pipeline", *args)

    def script(self, name, *args, timeout_s=600):
        """Runs a script of this directory with the client's library."""
        path = os.path.join(harness.SRC, "tests/fate_client", name)
        r = subprocess.run([self.python, path, *args], capture_output=True, text=True, check=False, timeout=timeout_s,
                           env=self._environment(), cwd=self.site.dir)
        if r.returncode != 0:
            raise AssertionError(f"{name}: {r.stdout[-6000:]}\n{r.stderr[-6000:]}")
        return r.stdout

    def check_unmodified(self):
        """How many files of the package are as its maker has hashed them; an error for one that is not."""
        record = os.path.join(self.packages, "fate_client-2.2.0.dist-info/RECORD")
        n = 0
        with open(record, encoding="utf-8") as f:
            for line in f:
                name, digest, _ = line.rstrip("\n").rsplit(",", 2)
                if not name.startswith("fate_client/") or not digest or name == SETTINGS:
                    continue
                kind, want = digest.split("=", 1)
                with open(os.path.join(self.dir, name), "rb") as code:
                    have = base64.urlsafe_b64encode(hashlib.new(kind, code.read()).digest()).rstrip(b"=").decode()
                if have != want:
                    raise AssertionError(f"{name} is not as it was published")
                n += 1
        return n
