"""How the demonstration speaks, and that it stops where a promise is not kept."""


class DemoFailed(Exception):
    """The gateway did not do what the demonstration says it does."""


def heading(number, text):
    print(f"\n[{number}] {text}", flush=True)


def told(text):
    print(f"    {text}", flush=True)


def require(condition, what):
    """Says that a promise was kept, or ends the demonstration."""
    if not condition:
        raise DemoFailed(what)
    told(f"ok: {what}")


def show(gateway, *words):
    code, out, err = gateway.ctl(*words)
    print(f"\n    $ espgatectl {' '.join(words)}")
    print("".join(f"      {line}\n" for line in (out + err).splitlines()), end="", flush=True)
    if code != 0:
        raise DemoFailed(f"espgatectl {' '.join(words)} ended with {code}")
