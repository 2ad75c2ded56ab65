"""What needs pandas; skipped where it is not installed."""

import importlib.util
import io
import tempfile
import unittest

from norn import frames
from norn.component import DataInput, DataOutput
from norn.site import DataGroup


@unittest.skipUnless(importlib.util.find_spec("pandas"), "pandas is not installed")
class Pandas(unittest.TestCase):
    def test_rows_become_a_frame(self):
        f = frames.from_rows([{"id": "1", "x": "2", "s": "q"}, {"id": "2", "x": "0.5", "s": "3"}])
        self.assertEqual((f.index.name, list(f.index)), ("id", ["1", "2"]))
        self.assertEqual((list(f["x"]), list(f["s"])), ([2.0, 0.5], ["q", "3"]))
        self.assertEqual(len(frames.from_rows([])), 0)

    def test_tables_of_a_component(self):
        pd = frames.pandas()
        frame = pd.DataFrame({"x": [1, 2], "y": [0.5, 1.5], "s": ["p", "q"], "b": [True, False]}, index=["a", "b"])
        frame.index.name = "id"
        with tempfile.TemporaryDirectory() as d:
            out = DataOutput("out", f"file://{d}/t")
            self.assertEqual(out.write_pandas(frame), 2)
            back = DataInput("in", out.uri, "dataframe", out.result)
            self.assertEqual([f.dtype for f in back.features], ["int64", "float64", "np_object", "bool"])
            pd.testing.assert_frame_equal(back.to_pandas(), frame)

    def test_a_frame_is_uploaded_as_csv(self):
        pd = frames.pandas()
        sent = {}

        class Group(DataGroup):
            def __init__(self):
                """Has no client."""

            def upload(self, source, namespace, name, meta, **more):
                sent.update(text=source.read().decode(), meta=meta, more=more)

        Group().upload_pandas(pd.DataFrame({"x": [1]}, index=["a"]), "n", "t", partitions=2)
        self.assertEqual(next(io.StringIO(sent["text"])).strip(), "id,x")
        self.assertEqual((sent["meta"]["sample_id_name"], sent["more"]), ("id", {"partitions": 2}))


if __name__ == "__main__":
    unittest.main()
