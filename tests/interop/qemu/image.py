"""What a guest boots from: Debian's cloud kernel, and an initramfs of busybox and what the guest is to run.

Built from installed packages only (linux-image-cloud-amd64, busybox-static, iproute2, cpio) within a second.
"""

import dataclasses
import os
import pathlib
import re
import shutil
import tempfile

from lib.shell import run

# For the shell on a socket; a serial port would now and then lose a byte on a busy machine.
_SHELL_MODULES = ("virtio_pci", "virtio_console")
_HERE = pathlib.Path(__file__).resolve().parent


@dataclasses.dataclass(frozen=True)
class Contents:
    """What the guest has beside busybox and iproute2's ip.

    modules: kernel modules by name; what they depend on comes along. loaded: those that /init loads; the others
    wait for `modprobe`, or for the kernel to ask for them. files: {path in the guest: path here}; programs and
    plugins bring their shared libraries.
    """

    modules: tuple
    loaded: tuple
    files: dict = dataclasses.field(default_factory=dict)


def kernel():
    """The newest installed cloud kernel as (image path, release)."""
    def version_key(path):
        return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]

    images = sorted(pathlib.Path("/boot").glob("vmlinuz-*-cloud-amd64"), key=version_key)
    if not images:
        raise FileNotFoundError("no cloud kernel in /boot; run scripts/setup (linux-image-cloud-amd64)")
    return images[-1], images[-1].name.removeprefix("vmlinuz-")


def initramfs(target, contents):
    """Builds it at `target`, uncompressed: an emulated CPU unpacks slowly."""
    _, release = kernel()
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name in ("bin", "sbin", "dev", "proc", "sys", "run", "tmp", "etc", "var"):
            (root / name).mkdir()
        (root / "var/run").symlink_to("/run")
        _place(root, "/bin/busybox", shutil.which("busybox"))
        # The kernel loads crypto by calling /sbin/modprobe itself.
        (root / "sbin/modprobe").symlink_to("/bin/busybox")
        (root / "bin/sh").symlink_to("/bin/busybox")
        _place(root, "/init", _HERE / "init")
        (root / "init").chmod(0o755)
        (root / "etc/modules").write_text("".join(f"{module}\n" for module in (*_SHELL_MODULES, *contents.loaded)))
        for path, source in {"/sbin/ip": os.path.realpath(shutil.which("ip")), **contents.files}.items():
            _place(root, path, source)
            for library in _libraries(source):
                _place(root, library, library)
        _add_modules(root, release, (*_SHELL_MODULES, *contents.modules))
        _, names, _ = run("find", root, "-mindepth", "1", "-printf", "%P\\n")
        run("sh", "-c", f"cd '{root}' && cpio -o -H newc --quiet -R 0:0 > '{target}'", stdin=names)
    return target


def _place(root, path, source):
    """Copies a file to `path` of the guest; one that is a link here becomes a link there.

    The dynamic loader takes two copies of a library for two libraries, and DPDK does not survive that.
    """
    target = root / path.lstrip("/")
    if target.exists() or target.is_symlink():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    real = os.path.realpath(source)
    if path == str(source) and path != real:
        _place(root, real, real)
        target.symlink_to(real)
    else:
        shutil.copy(source, target)


def _libraries(file):
    """Of a program; what is none has none."""
    _, text, _ = run("ldd", file, check=False)
    return re.findall(r"(?:=> )?(/\S+) \(0x", text)


def _add_modules(root, release, modules):
    folder = pathlib.Path("/lib/modules") / release
    files = {folder / index for index in ("modules.builtin", "modules.builtin.modinfo", "modules.order")}
    for module in modules:
        _, text, _ = run("/sbin/modprobe", "-S", release, "--show-depends", module)
        files |= {pathlib.Path(line.split()[1]) for line in text.splitlines() if line.startswith("insmod ")}
    for file in files:
        _place(root, str(file), file)
    run("/sbin/depmod", "-b", root, release)
