import json
import os
import tempfile
import unittest
from unittest import mock

import norn
from norn import keys

TEXT = json.dumps(
    {
        "http://127.0.0.1:9380": {"app_id": "app1", "app_token": "hush1"},
        "https://node.example/": {"app_id": "app2", "app_token": "hush2"},
    }
)


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

    def test_only_a_plain_file_is_taken(self):
        self.write(TEXT)
        link = self.path + ".link"
        os.symlink(self.path, link)
        with self.assertRaises(norn.ConfigurationError):
            keys.find("http://127.0.0.1:9380", link)
        pipe = self.path + ".pipe"
        os.mkfifo(pipe, 0o600)
        with self.assertRaisesRegex(norn.ConfigurationError, "no regular file"):
            keys.find("http://127.0.0.1:9380", pipe)

    def test_what_is_wrong_is_told_without_the_token(self):
        for text in (
            '{"http://127.0.0.1:9380": hush}',
            '["hush"]',
            '{"http://127.0.0.1:9380": "hush"}',
            '{"http://127.0.0.1:9380": {"app_id": 1, "app_token": "hush"}}',
        ):
            self.write(text)
            with self.subTest(text), self.assertRaisesRegex(norn.ConfigurationError, "damaged") as caught:
                keys.find("http://127.0.0.1:9380", self.path)
            self.assertNotIn("hush", str(caught.exception))
        self.assertNotIn("hush", repr(keys.Key("a", "hush")))


if __name__ == "__main__":
    unittest.main()
