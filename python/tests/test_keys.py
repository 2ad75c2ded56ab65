import os
import tempfile
import unittest
from unittest import mock

import norn
from norn import keys

TEXT = """# who calls where
http://127.0.0.1:9380 app1 hush1

https://node.example/ app2 hush2
"""


class Keys(unittest.TestCase):
    def setUp(self):
        d = tempfile.TemporaryDirectory()
        self.addCleanup(d.cleanup)
        self.dir = d.name
        self.path = os.path.join(d.name, "norn", "keys")
        os.mkdir(os.path.dirname(self.path))

    def write(self, text, mode=0o600):
        with open(self.path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(self.path, mode)

    def test_the_url_finds_the_key(self):
        self.write(TEXT)
        self.assertEqual(keys.find("http://127.0.0.1:9380/", self.path), ("app1", "hush1"))
        self.assertEqual(keys.find("https://node.example", self.path), ("app2", "hush2"))
        self.assertIsNone(keys.find("http://127.0.0.1:9381", self.path))

    def test_others_must_not_read_it(self):
        for mode in (0o640, 0o604, 0o620):
            self.write(TEXT, mode)
            with self.subTest(oct(mode)), self.assertRaisesRegex(norn.ConfigurationError, "chmod 600"):
                keys.find("http://127.0.0.1:9380", self.path)

    def test_it_need_not_be_there(self):
        with mock.patch.dict(os.environ, {"XDG_CONFIG_HOME": self.dir}):
            self.assertIsNone(keys.find("http://127.0.0.1:9380"))
            self.write(TEXT)
            c = norn.Client("http://127.0.0.1:9380")
            self.assertEqual(c.transport._app_id, "app1")
            self.assertIsNone(norn.Client("http://127.0.0.1:9380", key_store="").transport._app_id)
        with self.assertRaisesRegex(norn.ConfigurationError, "no key store"):
            keys.find("http://127.0.0.1:9380", self.path + ".no")

    def test_what_is_wrong_is_told_without_the_token(self):
        self.write("http://127.0.0.1:9380 app1 hush more\n")
        with self.assertRaisesRegex(norn.ConfigurationError, "line 1") as caught:
            keys.find("http://127.0.0.1:9380", self.path)
        self.assertNotIn("hush", str(caught.exception))
        self.assertNotIn("hush", repr(keys.Key("a", "hush")))


if __name__ == "__main__":
    unittest.main()
