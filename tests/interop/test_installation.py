"""What `meson install` puts where, and that it works there."""

import pathlib
import shutil
import subprocess
import tempfile
import unittest

from lib.gateway import program

PROGRAMS = ("sbin/espgated", "bin/espgatectl")
DOCUMENTS = ("man/man8/espgated.8", "man/man5/espgate.conf.5", "man/man8/espgatectl.8",
             "bash-completion/completions/espgatectl", "zsh/site-functions/_espgatectl")


class Installation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="espgate-test-"))
        cls.addClassCleanup(shutil.rmtree, cls.root)
        cls.run_program("meson", "install", "-C", program("espgated").parents[2], "--no-rebuild", "--quiet",
                        "--destdir", cls.root)
        cls.prefix = cls.root / "usr/local"

    @staticmethod
    def run_program(*command):
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60, check=False)
        assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
        return result.stdout + result.stderr

    def test_programs_start(self):
        for name in PROGRAMS:
            self.assertIn("usage: ", self.run_program(self.prefix / name, "--help").lower())

    def test_documents_and_completions_are_there(self):
        for name in DOCUMENTS:
            self.assertGreater((self.prefix / "share" / name).stat().st_size, 0, name)
        self.run_program("bash", "-n", self.prefix / "share/bash-completion/completions/espgatectl")

    @unittest.skipUnless(shutil.which("systemd-analyze"), "without systemd")
    def test_systemd_takes_the_service(self):
        text = (self.prefix / "lib/systemd/system/espgated.service").read_text()
        self.assertIn(f"ExecStart=/usr/local/{PROGRAMS[0]} ", text)
        unit = self.root / "espgated.service"  # that finds the programs where they are now
        unit.write_text(text.replace("/usr/local", str(self.prefix)))
        said = self.run_program("systemd-analyze", "--man=no", "verify", unit)
        self.assertEqual([line for line in said.splitlines() if "espgated" in line], [])


if __name__ == "__main__":
    unittest.main()
