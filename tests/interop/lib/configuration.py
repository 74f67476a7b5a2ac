"""Configuration files for espgated, written from Python values.

Keys are written as they stand in the file except that underscores become hyphens. Lists of
dictionaries become lists of groups, lists of plain values become arrays.
"""

import os


class Hex(int):
    """An integer that reads better in hexadecimal, such as an SPI."""


def cpus():
    """(control's, workers') CPU of those that this process may use: two where there are two."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[min(1, len(allowed) - 1)]


def text(settings):
    return "".join(f"{_key(key)} = {_value(value, '')};\n" for key, value in settings.items())


def _key(key):
    return key.replace("_", "-")


def _value(value, indent):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Hex):
        return f"{value:#x}"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return f'"0x{value.hex()}"'
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    deeper = indent + "  "
    if isinstance(value, dict):
        inner = "".join(f"{deeper}{_key(key)} = {_value(item, deeper)};\n" for key, item in value.items())
        return "{\n" + inner + indent + "}"
    if value and isinstance(value[0], dict):
        return "(\n" + ",\n".join(deeper + _value(item, deeper) for item in value) + "\n" + indent + ")"
    if not value:
        return "( )"
    return "[ " + ", ".join(_value(item, deeper) for item in value) + " ]"


def gateway(ports, *, connections=(), tunnels=(), policies=(), routes=(), workers=1, **settings):
    """A complete file for a test: one worker that sleeps when idle, so a shared machine stays usable."""
    control_cpu, worker_cpu = cpus()
    complete = {
        "control_cpu": control_cpu,
        "worker_cpus": [worker_cpu] * workers,
        "idle": "sleep",
        "idle_sleep_us": 50,
        "log_level": "debug",
    }
    complete.update(settings)
    complete["ports"] = list(ports)
    for name, items in (("routes", routes), ("policies", policies), ("connections", connections),
                        ("tunnels", tunnels)):
        if items:
            complete[name] = list(items)
    return complete


def connection(name, local, remote, local_networks, remote_networks, *, inbound=None, outbound=None, **settings):
    """inbound, outbound: (SPI, keymat) or None."""
    group = {"name": name, "local": local, "remote": remote, "local_networks": list(local_networks),
             "remote_networks": list(remote_networks)}
    if not local_networks and not remote_networks:
        del group["local_networks"], group["remote_networks"]
    group.update(settings)
    for direction, keys in (("inbound", inbound), ("outbound", outbound)):
        if keys is not None:
            group[direction] = {"spi": Hex(keys[0]), "key": keys[1]}
    return group
