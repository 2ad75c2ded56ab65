"""How to test a component without a node: python -m unittest, with the package norn installed."""

import unittest

from column_statistics import column_statistics
from norn.component.testing import run, run_parties

ROWS = [{"id": "a", "x": 1.0, "name": "p"}, {"id": "b", "x": 3.0, "name": "q"}]


class ColumnStatistics(unittest.TestCase):
    def test_numbers_are_described(self):
        result = run(column_statistics, inputs={"input_data": ROWS})
        self.assertTrue(result.ok, result.error)
        self.assertEqual(
            result.tables["output_data"],
            [{"column": "x", "rows": 2, "mean": 2.0, "deviation": 2.0**0.5, "least": 1.0, "greatest": 3.0}],
        )
        self.assertEqual(result.metric("rows"), 2)

    def test_an_unknown_column(self):
        result = run(column_statistics, inputs={"input_data": ROWS}, parameters={"columns": ["y"]})
        self.assertIn("no column 'y'", result.error)

    def test_two_parties(self):
        given = {"inputs": {"input_data": ROWS}, "parameters": {"compare": True}}
        results = run_parties(column_statistics, {("guest", "9999"): given, ("host", "10000"): given})
        for result in results.values():
            self.assertEqual(result.metric("rows_of_parties"), {"guest 9999": 2, "host 10000": 2})


if __name__ == "__main__":
    unittest.main()
