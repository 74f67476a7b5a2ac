"""The guest: Debian's cloud kernel and an initramfs of busybox, iproute2 and the IPsec modules.

Built from installed packages only (linux-image-cloud-amd64, busybox-static, iproute2, cpio), kept in a
cache folder under a name that changes when any ingredient does.
"""

import gzip
import hashlib
import os
import pathlib
import re
import shutil
import tempfile

from lib.shell import run

_HERE = pathlib.Path(__file__).resolve().parent
_MODULES = """virtio_pci virtio_net esp4 esp6 xfrm_user xfrm_algo authenc authencesn gcm ccm cbc ctr hmac sha1_generic
    sha256_generic sha512_generic ghash_generic aes_generic aesni_intel cryptomgr crypto_null seqiv echainiv drbg
    jitterentropy_rng chacha20poly1305 chacha_generic poly1305_generic af_packet tun xfrm_interface""".split()


def kernel():
    """The newest installed cloud kernel as (image path, release)."""
    def version_key(path):
        return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]

    images = sorted(pathlib.Path("/boot").glob("vmlinuz-*-cloud-amd64"), key=version_key)
    if not images:
        raise FileNotFoundError("no cloud kernel in /boot; run scripts/setup (linux-image-cloud-amd64)")
    return images[-1], images[-1].name.removeprefix("vmlinuz-")


def initramfs(cache):
    """Path of the initramfs, built when the cache has none that fits."""
    _, release = kernel()
    busybox, ip = shutil.which("busybox"), os.path.realpath(shutil.which("ip"))
    key = hashlib.sha256(release.encode())
    for ingredient in (busybox, ip, _HERE / "init", __file__):
        key.update(pathlib.Path(ingredient).read_bytes())
    cached = pathlib.Path(cache) / f"guest-{key.hexdigest()[:16]}.cpio.gz"
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as root:
            _fill(pathlib.Path(root), release, busybox, ip)
            _pack(root, cached)
    return cached


def _fill(root, release, busybox, ip):
    for folder in ("bin", "sbin", "dev", "proc", "sys", "run", "tmp", "etc"):
        (root / folder).mkdir()
    _copy(busybox, root / "bin/busybox")
    # The kernel loads crypto by calling /sbin/modprobe itself.
    (root / "sbin/modprobe").symlink_to("/bin/busybox")
    (root / "bin/sh").symlink_to("/bin/busybox")
    _copy(ip, root / "sbin/ip")
    for library in _libraries(ip):
        _copy(library, root / library.lstrip("/"))
    _copy(_HERE / "init", root / "init")
    (root / "init").chmod(0o755)
    for module in _module_files(release):
        _copy(module, root / "lib/modules" / release / pathlib.Path(module).relative_to(f"/lib/modules/{release}"))
    for index in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        _copy(f"/lib/modules/{release}/{index}", root / "lib/modules" / release / index)
    run("/sbin/depmod", "-b", root, release)


def _copy(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def _libraries(program):
    _, text, _ = run("ldd", program)
    return re.findall(r"(?:=> )?(/\S+) \(0x", text)


def _module_files(release):
    files = []
    for module in _MODULES:
        _, text, _ = run("/sbin/modprobe", "-S", release, "--show-depends", module)
        files += [line.split()[1] for line in text.splitlines() if line.startswith("insmod ")]
    return sorted(set(files))


def _pack(root, target):
    _, names, _ = run("find", root, "-mindepth", "1", "-printf", "%P\\n")
    partial = f"{target}.{os.getpid()}"
    run("sh", "-c", f"cd '{root}' && cpio -o -H newc --quiet -R 0:0 > '{partial}'", stdin=names)
    archive = pathlib.Path(partial).read_bytes()
    pathlib.Path(partial).write_bytes(gzip.compress(archive, 1))
    os.replace(partial, target)
