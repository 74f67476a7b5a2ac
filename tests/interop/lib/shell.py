"""Running programs, with errors that show what the program said."""

import subprocess


class CommandFailed(Exception):
    """A program ended with an exit code that its caller did not expect."""

    def __init__(self, arguments, code, output):
        super().__init__(f"`{' '.join(map(str, arguments))}` ended with {code}:\n{output}")
        self.code = code
        self.output = output


def run(*arguments, check=True, stdin=None, timeout_s=60):
    """Runs a program and returns (exit code, stdout, stderr) as text."""
    done = subprocess.run(
        [str(argument) for argument in arguments],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_s,
    )
    if check and done.returncode != 0:
        raise CommandFailed(arguments, done.returncode, done.stdout + done.stderr)
    return done.returncode, done.stdout, done.stderr
