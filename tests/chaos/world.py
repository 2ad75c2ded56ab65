"""Three sites of three nodes, each with a PostgreSQL cluster of its own, and everything that can be done to them."""

import atexit
import os
import signal
import subprocess
import threading
import time

import harness
from load import TABLE
from proxy import Network
from schedule import CORES, LEASE_MS, NODES, SITES

CONF = {
    "resources.cores": CORES,
    "cluster.lease_ms": LEASE_MS,
    "database.pool_size": 3,
    "exec.grace_ms": 1000,
    "jobs.create_timeout_s": 900,  # no link is cut for that long: no creation is given up
    "jobs.reserve_ttl_ms": 10000,
    "peer.timeout_ms": 2500,
}
READY_S = 180  # for a node to start or end: a bound, the machine may be slow
# As ps(1) shows them; by its program, a supervisor of a built-in component cannot be told from the component.
COMPONENT, SUPERVISOR, SPAWNER = "norn-component", "norn-run", "norn-spawn"


class SiteCluster(harness.Cluster):
    """A site's own PostgreSQL. It keeps its word over a crash of the server, though not of the machine."""

    def __init__(self, directory):
        self.dir = directory
        self.known = {}
        self.start()
        for sql in ("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"):
            self.psql("postgres", sql)

    def conninfo(self, database):
        """The same for ever, and asked for with every statement."""
        if database not in self.known:
            self.known[database] = super().conninfo(database)
        return self.known[database]

    def start(self):
        r = subprocess.run([harness.PGCLUSTER, "start", self.dir], capture_output=True, text=True, check=False)
        if r.returncode == harness.NO_POSTGRESQL:
            raise SystemExit("no PostgreSQL server programs")
        if r.returncode != 0:
            raise AssertionError("PostgreSQL did not start: " + r.stderr)


class ChaosSite(harness.Site):
    """A site in a cluster of its own."""

    def __init__(self, name, directory, ca_dir):
        os.makedirs(directory)
        self.cluster = SiteCluster(os.path.join(harness.root_dir(), "pg-" + name))
        self.party = harness.PARTY_OF[name]
        before, harness.Run.cluster = harness.Run.cluster, self.cluster
        try:
            super().__init__(name, directory, ca_dir, [self.party], NODES, CONF)
        finally:
            harness.Run.cluster = before
        self.locks = [threading.Lock() for _ in self.nodes]
        self.db_lock = threading.Lock()
        self.wanted = [True] * NODES  # what should be running

    def psql(self, sql):
        return self.cluster.psql(self.database, sql)

    def try_psql(self, sql):
        return self.cluster.try_psql(self.database, sql)


class World:
    def __init__(self):
        self.dir = os.path.join(harness.root_dir(), "chaos")
        os.makedirs(self.dir)
        self.ca_dir = harness.make_ca(os.path.join(self.dir, "ca"))
        atexit.register(self.clean_up)
        self.sites = {}
        for name in SITES:
            self.sites[name] = ChaosSite(name, os.path.join(self.dir, name), self.ca_dir)
        self.network = Network()
        self.links = {}
        self.done = {}  # kind: how often
        self.kills = []  # (node name, wall time)
        self.deaths = []  # nodes that ended by themselves
        self.first_jobs = []  # those that have brought the tables
        self.count_lock = threading.Lock()

    def start(self):
        nodes = [n for s in self.sites.values() for n in s.nodes]
        for n in nodes:
            n.start()
        for n in nodes:
            n.wait_ready(READY_S)
        for s in self.sites.values():
            for o in self.sites.values():
                if s is o:
                    continue
                link = self.network.link(s.name, o.name, [n.peer_port for n in o.nodes])
                self.links[s.name, o.name] = link
                s.api.post("/v2/site/route/add", party_id=o.party, url=link.url)
        rows = "id,y,x\n" + "".join(f"{i},{i % 2},{i * i}\n" for i in range(50))
        for s in self.sites.values():
            s.upload(rows, TABLE["name"], TABLE["namespace"], id="id", label="y")
            self.first_jobs += [r[0] for r in s.psql("SELECT job_id FROM norn.job")]

    def note(self, kind):
        with self.count_lock:
            self.done[kind] = self.done.get(kind, 0) + 1

    # ---- processes

    def processes(self, names=(COMPONENT, SUPERVISOR), top=None):
        """Ids of component processes and supervisors whose directory is below the one of the run, or top, by id."""
        top = os.path.join(top or self.dir, "")
        found = []
        for pid in sorted(int(p) for p in os.listdir("/proc") if p.isdigit()):
            try:
                with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as f:
                    name = f.read().rstrip("\n")
                cwd = os.path.join(os.readlink(f"/proc/{pid}/cwd"), "")
            except OSError:
                continue
            if name in names and cwd.startswith(top):
                found.append(pid)
        return found

    # ---- faults

    def pick_node(self, site, number):
        """The lock of a running node that nothing else is done to: the given one, or the next. None: there is none."""
        for i in range(NODES):
            k = (number + i) % NODES
            if site.locks[k].acquire(blocking=False):
                if site.nodes[k].running:
                    return k
                site.locks[k].release()
        return None

    @staticmethod
    def end_in_order(node):
        try:
            node.stop(READY_S)
        except AssertionError:
            if node.process.returncode != -signal.SIGTERM:  # it had only begun to start, and had nothing to end
                raise

    def kill_node(self, site, node, pause_s, in_order=False):
        s = self.sites[site]
        k = self.pick_node(s, node)
        if k is None:
            return False
        try:
            s.wanted[k] = False
            if in_order:
                self.end_in_order(s.nodes[k])
            else:
                self.kills.append((s.nodes[k].name, time.time()))
                s.nodes[k].kill()
            time.sleep(pause_s)
            s.nodes[k].start()
            s.wanted[k] = True
        finally:
            s.locks[k].release()
        return True

    def stop_node(self, site, node, pause_s):
        s = self.sites[site]
        k = self.pick_node(s, node)
        if k is None:
            return False
        try:
            s.nodes[k].signal(signal.SIGSTOP)
            try:
                time.sleep(pause_s)
            finally:
                s.nodes[k].signal(signal.SIGCONT)
        finally:
            s.locks[k].release()
        return True

    def kill_process(self, site, pick, names):
        # Components of tasks: a node that starts asks the program what it can do, and does not start without an answer.
        below = ("data", "work") if COMPONENT in names else ()
        pids = self.processes(names, os.path.join(self.sites[site].dir, *below))
        if not pids:
            return False
        try:
            os.kill(pids[int(pick * len(pids))], signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def restart_db(self, site, mode):
        s = self.sites[site]
        with s.db_lock:
            try:
                s.cluster.restart(mode)
            except AssertionError:
                s.cluster.start()
        return True

    def change_link(self, kind, site, to, **args):
        link = self.links[site, to]
        if kind == "break_link":
            link.break_next(args["bytes"])
            return True
        if kind == "cut_link":
            link.cut()
        elif kind == "freeze_link":
            link.freeze()
        else:
            link.slow(args["delay_s"])
        time.sleep(args["for_s"])
        link.heal()
        return True

    def hit(self, action):
        """Carries one fault out; takes as long as it lasts."""
        a = action.args
        if action.kind == "kill_node":
            hit = self.kill_node(**a)
        elif action.kind == "end_node":
            hit = self.kill_node(in_order=True, **a)
        elif action.kind == "stop_node":
            hit = self.stop_node(**a)
        elif action.kind == "kill_component":
            hit = self.kill_process(names=(COMPONENT,), **a)
        elif action.kind == "kill_supervisor":
            hit = self.kill_process(names=(SUPERVISOR, SPAWNER), **a)
        elif action.kind == "restart_db_fast":
            hit = self.restart_db(mode="fast", **a)
        elif action.kind == "restart_db_immediate":
            hit = self.restart_db(mode="immediate", **a)
        else:
            hit = self.change_link(action.kind, **a)
        self.note(action.kind if hit else "nothing to hit")

    # ---- watching and healing

    def look_after(self):
        """Nodes that ended although nobody killed them are noted, and started again."""
        for s in self.sites.values():
            for k, n in enumerate(s.nodes):
                if not s.wanted[k] or n.running or not s.locks[k].acquire(blocking=False):
                    continue
                try:
                    if s.wanted[k] and not n.running:
                        self.deaths.append(f"{n.name} ended by itself with {n.process.returncode}:\n{n.tail(60)}")
                        n.start()
                finally:
                    s.locks[k].release()

    def heal(self):
        """All faults are over: everything is up."""
        self.network.heal()
        for s in self.sites.values():
            s.cluster.start()
            for n in s.nodes:
                if not n.running:
                    n.start()
        for s in self.sites.values():
            for n in s.nodes:
                n.wait_ready(READY_S)

    def stop(self):
        """Every node in order. What went wrong, as texts."""
        wrong = []
        for s in self.sites.values():
            for n in s.nodes:
                try:
                    n.stop(READY_S)
                except AssertionError as e:
                    wrong.append(str(e))
        return wrong

    def clean_up(self):
        for s in self.sites.values():
            s.kill()
            command = ["stop"] if os.environ.get("NORN_KEEP") else ["destroy"]
            subprocess.run([harness.PGCLUSTER, *command, s.cluster.dir], capture_output=True, check=False)
