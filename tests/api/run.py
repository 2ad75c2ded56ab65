#!/usr/bin/env python3
"""Runs the black-box tests: run.py [NAME...], a NAME being a module, class or test (test_jobs.Graph.test_chain).

The last line says how many passed, failed and were skipped; the exit status is 0 when none failed. A report
of a sanitizer anywhere in what nodes and components have written is a failure too.
"""

import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402


class Result(unittest.TextTestResult):
    """Says how long each test took, and what the logs say when one fails."""

    def __init__(self, stream, descriptions, verbosity):
        super().__init__(stream, descriptions, 0)
        self.out = stream
        self.passed = 0
        self.began = 0.0

    def say(self, word, test, more=""):
        took = time.monotonic() - self.began if self.began else 0.0
        name = test.id() if hasattr(test, "id") else str(test)
        self.out.writeln(f"{word:5} {took:6.2f} s  {name}{more}")
        self.out.flush()

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1
        self.say("ok", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.say("skip", test, ": " + reason)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.tell(test, self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.tell(test, self.errors[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.tell(subtest, self._exc_info_to_string(err, test))

    def tell(self, test, text):
        self.say("FAIL", test)
        self.out.writeln(text)
        self.out.writeln(harness.log_tails())
        self.out.writeln("")

    def printErrors(self):
        """Each was told when it happened."""


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    loader = unittest.TestLoader()
    names = sys.argv[1:]
    suite = loader.loadTestsFromNames(names) if names else loader.discover(here, "test_*.py")
    runner = unittest.TextTestRunner(stream=sys.stdout, resultclass=Result, verbosity=0)
    runner.stream.writeln(f"testing {harness.find_build()}")
    result = suite.run(runner._makeResult())
    harness.clean_up()
    failed = len(result.failures) + len(result.errors)
    for report in harness.Run.sanitizer_reports:
        failed += 1
        print("FAIL  sanitizer report in", report)
    print(f"tests/api: {result.passed} passed, {failed} failed, {len(result.skipped)} skipped")
    return 1 if failed or not (result.passed or result.skipped) else 0


if __name__ == "__main__":
    sys.exit(main())
