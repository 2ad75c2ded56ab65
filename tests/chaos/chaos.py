#!/usr/bin/env python3
"""The chaos run: three sites of three nodes, jobs at all of them, and something bad every second. Afterwards a
checker reads the history. Exit status 0 when it finds nothing, 1 otherwise. ./dev chaos calls it.
"""

import argparse
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../api"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import forge  # noqa: E402
import harness  # noqa: E402
import schedule  # noqa: E402
from checker import Checker  # noqa: E402
from load import Clients  # noqa: E402
from samples import Samples  # noqa: E402
from world import World  # noqa: E402

# Bounds that only what hangs reaches: a machine may be slow.
QUIET_S = 300  # for everything to end, once the faults are over
JOIN_S = 300
OWN_RULES = ("the_run_itself", "the_checker_finds_forgeries", "nodes_end_in_order", "sanitizers")  # beside the checker's
SHOWN = 12  # violations of one rule that are printed

UNREST = "SELECT " + " + ".join(f"(SELECT count(*) FROM norn.{t})" for t in (
    "job_work", "task_work", "run_work", "outbox", "reservation"))


def arguments():
    p = argparse.ArgumentParser(prog="./dev chaos", description=__doc__)
    p.add_argument("--minutes", type=float, default=2.0, help="how long the faults go on [2]")
    p.add_argument("--seed", type=int, default=1, help="draws jobs and faults [1]")
    p.add_argument("--rate", type=float, default=0.8, help="jobs a second [0.8]")
    p.add_argument("--schedule", action="store_true", help="only print what would happen when")
    p.add_argument("--verbose", action="store_true", help="say every action when it happens")
    a = p.parse_args()
    if not 0 < a.minutes <= 1440 or not 0 < a.rate <= 100:
        p.error("--minutes must be within 0 and 1440, --rate within 0 and 100")
    return a


class Run:
    def __init__(self, args):
        self.args = args
        self.jobs, self.actions = schedule.draw(args.seed, args.minutes, args.rate)
        self.threads = []
        self.errors = []
        self.skipped = 0
        self.began = time.monotonic()
        self.world = World()
        self.clients = Clients(self.world, self.jobs, args.seed)
        self.samples = Samples(self.world)

    def say(self, text):
        print(f"{time.monotonic() - self.began:7.1f} s  {text}", flush=True)

    def carry_out(self, action):
        try:
            if action.kind in schedule.FAULTS:
                self.world.hit(action)
            else:
                self.clients.carry_out(action)
        except Exception as e:  # a fault of the test itself must not pass unseen
            self.errors.append(f"{action}: {type(e).__name__}: {e}")

    def rage(self):
        """Everything in the schedule, each action in a thread of its own."""
        start = time.monotonic()
        for action in self.actions:
            wait_s = start + action.at_s - time.monotonic()
            if wait_s > 0:
                time.sleep(wait_s)
            if self.args.verbose:
                self.say(str(action))
            t = threading.Thread(target=self.carry_out, args=(action,), daemon=True)
            t.start()
            self.threads.append(t)
            self.world.look_after()
        end = time.monotonic() + JOIN_S
        for t in self.threads:
            t.join(max(0.1, end - time.monotonic()))
            if t.is_alive():
                self.errors.append("an action did not end")

    def unrest(self):
        """Rows of work left, as a text; empty when all is quiet."""
        parts = []
        for s in self.world.sites.values():
            rows, error = s.try_psql(UNREST)
            if error is not None:
                parts.append(f"{s.name}: {error}")
            elif rows[0][0] != "0":
                parts.append(f"{s.name}: {rows[0][0]}")
        return ", ".join(parts)

    def wait_quiet(self):
        end = time.monotonic() + QUIET_S
        while True:
            self.world.look_after()
            left = self.unrest()
            if not left and not self.world.processes():
                return True
            if time.monotonic() > end:
                self.say(f"not quiet after {QUIET_S} s: rows of work {left or 'none'}, "
                         f"{len(self.world.processes())} processes")
                return False
            time.sleep(0.5)

    def go(self):
        """How many rules did not hold."""
        self.world.start()
        self.say(f"three sites of {schedule.NODES} nodes are up; {len(self.jobs)} jobs and "
                 f"{sum(a.kind in schedule.FAULTS for a in self.actions)} faults in {self.args.minutes:g} minutes")
        self.samples.start()
        self.rage()
        self.say("the faults are over")
        self.world.heal()
        healed = time.monotonic()
        self.clients.settle()
        self.say("every wish is accepted" if not self.clients.wrong else "not every wish was accepted")
        quiet = self.wait_quiet()
        self.samples.stop()
        if quiet:
            self.say(f"quiet {time.monotonic() - healed:.1f} s after everything was up again")
        else:
            self.errors.append(f"not quiet {QUIET_S} s after everything was up again")
        checker = Checker(self.world, self.clients, self.samples)
        bad = checker.violations()
        bad += [("the_run_itself", e) for e in self.errors]
        self.skipped = 1 if bad else 0
        if not bad:
            bad += [("the_checker_finds_forgeries", t) for t in forge.missed(checker)]
        bad += [("nodes_end_in_order", t) for t in self.world.stop()]
        harness.look_for_sanitizer_reports(self.world.dir)
        bad += [("sanitizers", t) for t in harness.Run.sanitizer_reports]
        self.report(checker, bad)
        return len({rule for rule, _ in bad})

    def report(self, checker, bad):
        def table(title, counts):
            print(f"{title:18}" + ", ".join(f"{n} {k}" for k, n in sorted(counts.items(), key=lambda x: -x[1])))

        runs, lost, stale = checker.attempts()
        took = checker.recoveries()
        print()
        table("jobs", checker.outcomes())
        table("faults", self.world.done)
        print(f"{'runs':18}{runs} started, {lost} lost with their nodes, {stale} stale reports refused")
        print(f"{'cores at most':18}" + ", ".join(f"{v} of {schedule.CORES} at {k}" for k, v in self.samples.most_used.items())
              + f" in {self.samples.taken} samples")
        if took:
            print(f"{'killed nodes':18}a lost run's next attempt was claimed after {took[len(took) // 2]:.1f} s (median), "
                  f"{took[-1]:.1f} s (longest) of {len(took)}; the lease is {schedule.LEASE_MS / 1000:g} s")
        for rule in dict.fromkeys(r for r, _ in bad):
            texts = [t for r, t in bad if r == rule]
            print(f"\nVIOLATED {rule}: {len(texts)}")
            for t in texts[:SHOWN]:
                print("    " + t.replace("\n", "\n    "))


def again(args):
    """How to have the same jobs and faults once more, and the directory afterwards."""
    return (f"\nagain: NORN_KEEP=1 ./dev chaos --minutes {args.minutes:g} --seed {args.seed} --rate {args.rate:g} --verbose"
            "\n(the seed draws what happens when; what it meets depends on the machine: try it more than once)")


def main():
    args = arguments()
    if args.schedule:
        for action in schedule.draw(args.seed, args.minutes, args.rate)[1]:
            print(action)
        return 0
    try:
        run = Run(args)
        failed = run.go()
        harness.clean_up()
    except BaseException:
        print(again(args), file=sys.stderr)
        raise
    if failed:
        print(again(args))
    n_rules = len(Checker.RULES) + len(OWN_RULES)
    print(f"\nchaos of {args.minutes:g} minutes with seed {args.seed}, rules that held or did not:")
    print(f"{n_rules - failed - run.skipped} passed, {failed} failed, {run.skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
