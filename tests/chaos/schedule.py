"""What happens when. Everything is drawn from the seed before the run, so that a seed means the same actions again;
only which process stands there to be hit depends on the moment.
"""

import random
from dataclasses import dataclass, field

SITES = ("guest", "host", "arbiter")
NODES = 3
CORES = 6
LEASE_MS = 3000

# kind: weight
FAULTS = {
    "kill_node": 4,
    "end_node": 2,
    "stop_node": 2,
    "kill_component": 4,
    "kill_supervisor": 2,
    "restart_db_fast": 1,
    "restart_db_immediate": 1,
    "cut_link": 2,
    "freeze_link": 2,
    "slow_link": 2,
    "break_link": 3,
}


@dataclass
class Action:
    at_s: float
    kind: str
    args: dict = field(default_factory=dict)

    def __str__(self):
        return f"{self.at_s:7.2f} s  {self.kind:20} " + " ".join(f"{k}={v}" for k, v in self.args.items())


@dataclass
class Job:
    number: int
    site: str
    shape: str
    parties: tuple
    tasks: dict  # name: {parents, sleep_ms, fail, parties}; sleep_ms None: it reads a table
    cores: int
    auto_retries: int = 0
    priority: int = 0

    @property
    def endless(self):
        return self.shape == "endless"

    @property
    def fails(self):
        return any(t["fail"] for t in self.tasks.values())


def fault(rng, at_s):
    kind = rng.choices(list(FAULTS), list(FAULTS.values()))[0]
    site = rng.choice(SITES)
    other = rng.choice([s for s in SITES if s != site])
    node = rng.randrange(NODES)
    pick = round(rng.random(), 4)
    if kind in ("kill_node", "end_node"):
        args = {"site": site, "node": node, "pause_s": round(rng.choice((0.0, 0.5, 2.0, 5.0)) * rng.random(), 2)}
    elif kind == "stop_node":
        args = {"site": site, "node": node, "pause_s": round(LEASE_MS / 1000 * rng.uniform(1.2, 2.2), 2)}
    elif kind in ("kill_component", "kill_supervisor"):
        args = {"site": site, "pick": pick}
    elif kind.startswith("restart_db"):
        args = {"site": site}
    else:
        args = {"site": site, "to": other}
        if kind == "break_link":
            args["bytes"] = rng.choice((0, 1, 100, 700, 3000))
        else:
            args["for_s"] = round(rng.uniform(0.5, 7.0), 2)
        if kind == "slow_link":
            args["delay_s"] = round(rng.choice((0.05, 0.3, 1.5)) * rng.uniform(0.5, 1.5), 3)
    return Action(at_s, kind, args)


def task(rng, parents=(), parties=None, longest_ms=1200):
    return {"parents": list(parents), "sleep_ms": rng.randrange(0, longest_ms, 50), "fail": 0, "parties": parties}


def chain(rng):
    n = rng.randint(2, 5)
    return {f"t{i}": task(rng, [f"t{i - 1}"] if i else []) for i in range(n)}, rng.randint(1, 2)


def diamond(rng, parties):
    one = rng.choice(parties)
    return {"top": task(rng), "left": task(rng, ["top"], [one]), "right": task(rng, ["top"]),
            "bottom": task(rng, ["left", "right"])}, 2


def wide(rng):
    n = rng.randint(4, 8)
    tasks = {"first": task(rng, longest_ms=300)}
    for i in range(n):
        tasks[f"w{i}"] = task(rng, ["first"], longest_ms=800)
    tasks["last"] = task(rng, list(tasks)[1:], longest_ms=300)
    return tasks, rng.randint(2, 4)


def data(rng):
    """Tasks that hand a table on: what they leave is recorded together with their ends."""
    tasks = {"read": task(rng)}
    tasks["read"]["sleep_ms"] = None
    for i in range(rng.randint(1, 3)):
        tasks[f"copy{i}"] = task(rng, [list(tasks)[-1]], longest_ms=600)
    return tasks, rng.randint(1, 2)


def job(rng, number):
    site = rng.choice(SITES)
    others = [s for s in SITES if s != site]
    rng.shuffle(others)
    parties = tuple(s for s in SITES if s in [site] + others[:rng.choices((0, 1, 2), (2, 5, 3))[0]])
    shape = rng.choices(("single", "chain", "diamond", "wide", "data", "greedy", "failing", "endless"),
                        (2, 4, 4, 3, 3, 2, 3, 1))[0]
    retries = rng.choice((0, 1, 3))
    if shape == "chain":
        tasks, cores = chain(rng)
    elif shape == "diamond":
        tasks, cores = diamond(rng, parties)
    elif shape == "wide":
        tasks, cores = wide(rng)
    elif shape == "data":
        tasks, cores = data(rng)
    elif shape == "greedy":
        tasks, cores = {"a": task(rng, longest_ms=2000), "b": task(rng, longest_ms=2000)}, CORES
    elif shape == "failing":
        tasks, cores = chain(rng)
        tasks[rng.choice(list(tasks))]["fail"] = rng.choice((1, 3, 64))
        retries = rng.choice((0, 1))
    elif shape == "endless":
        tasks, cores = {"a": task(rng, longest_ms=500), "b": task(rng, ["a"])}, 1
        tasks["b"]["sleep_ms"] = 3600000
    else:
        tasks, cores = {"only": task(rng)}, rng.randint(1, 3)
    return Job(number, site, shape, parties, tasks, cores, retries, rng.choice((0, 0, 0, 1, 5)))


def wishes(rng, j, at_s):
    """What clients want of a job besides its end: actions on it, from sites that take part."""
    def at(first, last):
        return at_s + rng.uniform(first, last)

    def who():
        return rng.choice(j.parties)

    out = []
    if j.endless or rng.random() < 0.15:
        out.append(Action(at(0.0, 8.0), "stop", {"job": j.number, "site": who()}))
    if rng.random() < 0.15:
        first = at(0.0, 4.0)
        out.append(Action(first, "suspend", {"job": j.number, "site": j.site}))
        out.append(Action(first + rng.uniform(0.5, 5.0), "resume", {"job": j.number, "site": j.site}))
    if rng.random() < 0.3:
        how = rng.choice(("rest", "all", "from", "parameters"))
        out.append(Action(at(3.0, 15.0), "rerun", {"job": j.number, "site": j.site, "how": how,
                                                   "task": rng.choice(list(j.tasks))}))
    if rng.random() < 0.2:
        out.append(Action(at(0.0, 3.0), "submit_again", {"job": j.number}))
    return out


def draw(seed, minutes, rate):
    """(jobs, actions in the order of time): a fault every second, and rate jobs a second."""
    end_s = minutes * 60
    faults = random.Random(f"faults {seed}")
    load = random.Random(f"load {seed}")
    actions = [fault(faults, i + faults.random()) for i in range(2, int(end_s))]
    jobs = []
    at_s = 0.0
    while True:
        at_s += load.expovariate(rate)
        if at_s >= end_s - 1:
            break
        j = job(load, len(jobs))
        jobs.append(j)
        actions.append(Action(at_s, "submit", {"job": j.number}))
        actions += wishes(load, j, at_s + 0.1)
    return jobs, sorted((a for a in actions if a.at_s < end_s), key=lambda a: a.at_s)
