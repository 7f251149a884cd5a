"""The build backend of this package: PEP 517 with nothing but Python, so that it works without a package index.

What goes into a wheel is the package and the native library beside it. The library comes from

* the file that ``KIOSKLINK_LIBRARY`` names, if it is set: the way for other machines (``make arm`` builds for boards), and
* else from cargo, out of the sources around this folder. ``KIOSKLINK_PROFILE`` is cargo's profile: ``release`` if it is not
  set, ``dev`` to be quick.

The wheel's tag tells what the library itself asks for: its machine, and the newest glibc symbol that it needs.

``build_backend.py --simulator PROGRAM FOLDER`` writes the wheel of the simulator, which ``make arm`` and its like have built static.
"""

import base64
import hashlib
import io
import json
import os
import re
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from typing import Any, Dict, Iterator, List, NoReturn, Optional, Tuple

Settings = Optional[Dict[str, Any]]

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = "kiosklink"
SUMMARY = "Open doors, check stock and redeem pickup codes on the platforms behind kiosks, lockers and vending cabinets"
SONAME = "libkiosklink.so.1"
REQUIRES_PYTHON = ">=3.8"
# What the library is built from, as it lies in the repository. In a source distribution it is in the folder LIBRARY.
LIBRARY = "library"
SOURCES = ["Cargo.toml", "Cargo.lock", "README.md", "build.rs", "src", "include/kiosklink.h"]
# What gives its symbols their versions.
SOURCES += [".cargo/config.toml", "abi/kiosklink.map", "scripts/rustc-versioned", "scripts/link-versioned"]
LICENSES = ["LICENSE-APACHE", "LICENSE-MIT"]


def _read(*path: str) -> str:
    with open(os.path.join(HERE, *path), encoding="utf-8") as file:
        return file.read()


def _version() -> str:
    found = re.search(r'^VERSION = "(.+)"$', _read(PACKAGE, "_version.py"), re.M)
    return found.group(1) if found else _fail("_version.py names no version")


def _root() -> str:
    """The folder with Cargo.toml: around this one in the repository, inside it in a source distribution."""
    inside = os.path.join(HERE, LIBRARY)
    return inside if os.path.isdir(inside) else os.path.dirname(HERE)


def _fail(message: str) -> NoReturn:
    raise SystemExit("kiosklink: " + message)


# ---- The native library ----


def _library() -> str:
    """The file of the native library."""
    given = os.environ.get("KIOSKLINK_LIBRARY")
    if given:
        if not os.path.isfile(given):
            _fail("KIOSKLINK_LIBRARY names %s, which is no file" % given)
        return given
    root = _root()
    if not os.path.exists(os.path.join(root, "build.rs")):
        _fail(
            "the sources of the library are not around this folder (pip before 21.3 copies it away from them). "
            "Use a newer pip, or name a built library with KIOSKLINK_LIBRARY"
        )
    profile = os.environ.get("KIOSKLINK_PROFILE") or "release"
    command = [os.environ.get("CARGO") or "cargo", "rustc", "--locked", "-p", "kiosklink", "--lib"]
    if root != os.path.dirname(HERE):
        command.remove("--locked")  # The lock file speaks of the whole workspace.
    command += ["--profile", profile, "--crate-type", "cdylib", "--message-format", "json-render-diagnostics"]
    if profile == "release":
        command += ["--", "-C", "strip=symbols"]
    try:
        built = subprocess.run(command, cwd=root, stdout=subprocess.PIPE)
    except FileNotFoundError:
        _fail(
            "cargo is missing, and it builds the native library: install Rust from https://rustup.rs, or name a built "
            "library with KIOSKLINK_LIBRARY"
        )
    if built.returncode != 0:
        _fail("cargo could not build the native library: " + " ".join(command))
    for line in str(built.stdout, "utf-8").splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message["target"]["name"] == "kiosklink":
            for name in message["filenames"]:
                if name.endswith(".so"):
                    return str(name)
    _fail("cargo built no shared library")


class Elf:
    """What a shared library says of itself: machine, word size, needed libraries, versions of symbols."""

    def __init__(self, data: bytes) -> None:
        if data[:4] != b"\x7fELF" or data[4] not in (1, 2) or data[5] not in (1, 2):
            raise ValueError("this is no ELF file")
        self.data = data
        self.wide = data[4] == 2
        self.order = "<" if data[5] == 1 else ">"
        (self.machine,) = self._unpack("H", 18)
        if self.wide:
            self.flags, size, number, offset = self._unpack("I", 48) + self._unpack("HH", 58) + self._unpack("Q", 40)
        else:
            self.flags, size, number, offset = self._unpack("I", 36) + self._unpack("HH", 46) + self._unpack("I", 32)
        # A program that asks for a loader has a segment that names it.
        at, step = self._unpack("Q", 32) + self._unpack("H", 54) if self.wide else self._unpack("I", 28) + self._unpack("H", 42)
        (count,) = self._unpack("H", 56 if self.wide else 44)
        self.interpreted = any(self._unpack("I", at + i * step) == (3,) for i in range(count))
        form = "IIQQQQIIQQ" if self.wide else "IIIIIIIIII"
        self.sections = [self._unpack(form, offset + i * size) for i in range(number)]
        self.soname: Optional[str] = None
        self.needed: List[str] = []
        self.versions: List[str] = []
        for section in self.sections:
            if section[1] == 6:
                self._dynamic(section)
            elif section[1] == 0x6FFFFFFE:
                self._verneed(section)

    def _unpack(self, form: str, offset: int) -> Tuple[int, ...]:
        return struct.unpack_from(self.order + form, self.data, offset)

    def _text(self, section: Tuple[int, ...], offset: int) -> str:
        start = self.sections[section[6]][4] + offset
        return str(self.data[start : self.data.index(b"\0", start)], "ascii")

    def _dynamic(self, section: Tuple[int, ...]) -> None:
        size = 16 if self.wide else 8
        for at in range(section[4], section[4] + section[5], size):
            tag, value = self._unpack("QQ" if self.wide else "II", at)
            if tag == 1:
                self.needed.append(self._text(section, value))
            elif tag == 14:
                self.soname = self._text(section, value)

    def _verneed(self, section: Tuple[int, ...]) -> None:
        at = section[4]
        for _ in range(section[7]):
            _, number, _, first, following = self._unpack("HHIII", at)
            one = at + first
            for _ in range(number):
                _, _, _, name, step = self._unpack("IHHII", one)
                self.versions.append(self._text(section, name))
                one += step
            at += following


# What manylinux lets a library need, of which ours needs a few.
_MANYLINUX = re.compile(r"^(libc\.so\.6|libpthread\.so\.0|libdl\.so\.2|libm\.so\.6|librt\.so\.1|libgcc_s\.so\.1|ld-linux.*)$")


def _architecture(elf: Elf) -> Tuple[str, bool]:
    """The machine's name in wheels, and whether floats are passed as there."""
    names = {62: "x86_64", 183: "aarch64", 3: "i686", 243: "riscv64"}
    little = elf.order == "<"
    if elf.machine == 40 and little:
        # pip asks for armv7l whatever the float ABI, but glibc's manylinux is hard float only.
        hard = bool(elf.flags & 0x400)
        return ("armv7l" if hard or not _armv5(elf.data) else "armv5tel"), hard
    if elf.machine in names and little and elf.wide == (elf.machine != 3):
        return names[elf.machine], True
    raise ValueError("its machine (%d) has no name in wheels" % elf.machine)


def program_tag(data: bytes) -> str:
    """The platform tag of a wheel with this program, which is static and so fits every libc."""
    elf = Elf(data)
    if elf.needed or elf.interpreted:
        raise ValueError("it is not static")
    arch, _ = _architecture(elf)
    return "manylinux_2_17_%s.manylinux2014_%s.musllinux_1_1_%s" % (arch, arch, arch)


def platform_tag(data: bytes) -> str:
    """The platform tag of a wheel with this library, as its bytes tell."""
    elf = Elf(data)
    if elf.soname != SONAME:
        raise ValueError("its SONAME is %s, not %s" % (elf.soname, SONAME))
    arch, hard = _architecture(elf)
    musl = any(n == "libc.so" or n.startswith("libc.musl") or n.startswith("ld-musl") for n in elf.needed)
    if musl:
        return "musllinux_1_2_" + arch
    glibc = [tuple(int(n) for n in v[6:].split(".")) for v in elf.versions if re.match(r"GLIBC_\d[\d.]*$", v)]
    if not glibc or not hard or not all(_MANYLINUX.match(n) for n in elf.needed):
        return "linux_" + arch
    floor = max(max(glibc)[:2], (2, 17))
    if floor == (2, 17):
        # The second is the same in the words of pip 19.3 to 20.2.
        return "manylinux_2_17_%s.manylinux2014_%s" % (arch, arch)
    return "manylinux_%d_%d_%s" % (floor[0], floor[1], arch)


def _armv5(data: bytes) -> bool:
    """Whether the attributes of an ARM library name an architecture before ARMv7 (Tag_CPU_arch below 10)."""
    at = data.find(b"aeabi\0\x01")
    if at < 0:
        return False
    body = data[at + 11 : at + 11 + 200]
    i = 0
    while i < len(body) - 1:
        tag, i = body[i], i + 1
        if tag in (4, 5, 67):  # texts
            i = body.index(0, i) + 1
        elif tag == 6:
            return body[i] < 10
        else:
            i += 1
    return False


# ---- Metadata ----


def _metadata(name: str = PACKAGE, summary: str = SUMMARY, readme: str = "README.md") -> str:
    lines = [
        "Metadata-Version: 2.1",
        "Name: " + name,
        "Version: " + _version(),
        "Summary: " + summary,
        "Keywords: kiosk,vending,locker,embedded",
        "License: MIT OR Apache-2.0",
        "Classifier: Development Status :: 3 - Alpha",
        "Classifier: Intended Audience :: Developers",
        "Classifier: License :: OSI Approved :: MIT License",
        "Classifier: License :: OSI Approved :: Apache Software License",
        "Classifier: Operating System :: POSIX :: Linux",
        "Classifier: Programming Language :: Python :: 3",
        "Classifier: Typing :: Typed",
        "Requires-Python: " + REQUIRES_PYTHON,
        "Description-Content-Type: text/markdown",
    ]
    return "\n".join(lines) + "\n\n" + _read(*readme.split("/"))


def _wheel(tag: str) -> str:
    lines = ["Wheel-Version: 1.0", "Generator: kiosklink build_backend", "Root-Is-Purelib: false"]
    return "\n".join(lines + ["Tag: py3-none-" + one for one in tag.split(".")]) + "\n"


def _licenses() -> Iterator[Tuple[str, str]]:
    for name in LICENSES:
        for folder in (HERE, _root()):
            path = os.path.join(folder, name)
            if os.path.exists(path):
                yield name, path
                break


def _modules(*place: str) -> Iterator[Tuple[str, str]]:
    folder = os.path.join(HERE, *(place or (PACKAGE,)))
    for name in sorted(os.listdir(folder)):
        if name.endswith(".py") or name == "py.typed":
            yield name, os.path.join(folder, name)


def _date() -> int:
    """The time of files in archives: the same sources give the same bytes."""
    return int(os.environ.get("SOURCE_DATE_EPOCH") or 315619200)  # 1980-01-02; a zip knows nothing before 1980


# ---- PEP 517 ----


def get_requires_for_build_wheel(config_settings: Settings = None) -> List[str]:
    """Nothing: Python is enough."""
    return []


def get_requires_for_build_sdist(config_settings: Settings = None) -> List[str]:
    """Nothing: Python is enough."""
    return []


def get_requires_for_build_editable(config_settings: Settings = None) -> List[str]:
    """Nothing: Python is enough."""
    return []


def _pack(
    wheel_directory: str,
    tag: str,
    content: List[Tuple[str, bytes, int]],
    package: str = PACKAGE,
    metadata: Optional[str] = None,
    scripts: str = "",
) -> str:
    """Writes the wheel: content is (name, bytes, mode)."""
    info = "%s-%s.dist-info" % (package, _version())
    files = list(content)
    files.append((info + "/METADATA", (metadata or _metadata()).encode(), 0o644))
    if scripts:
        files.append((info + "/entry_points.txt", ("[console_scripts]\n" + scripts).encode(), 0o644))
    files.append((info + "/WHEEL", _wheel(tag).encode(), 0o644))
    for name, path in _licenses():
        with open(path, "rb") as file:
            files.append((info + "/licenses/" + name, file.read(), 0o644))
    record = ""
    for name, data, _ in files:
        digest = str(base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"="), "ascii")
        record += "%s,sha256=%s,%d\n" % (name, digest, len(data))
    record += info + "/RECORD,,\n"
    files.append((info + "/RECORD", record.encode(), 0o644))
    wheel = "%s-%s-py3-none-%s.whl" % (package, _version(), tag)
    date = time.gmtime(max(_date(), 315532800))
    with zipfile.ZipFile(os.path.join(wheel_directory, wheel), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data, mode in files:
            entry = zipfile.ZipInfo(name, (date[0], date[1], date[2], date[3], date[4], date[5]))
            entry.external_attr = (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return wheel


def _native() -> Tuple[bytes, str]:
    path = _library()
    with open(path, "rb") as file:
        data = file.read()
    try:
        return data, platform_tag(data)
    except (ValueError, IndexError, struct.error) as error:
        _fail("%s cannot go into a wheel: %s" % (path, error))


def build_wheel(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: Optional[str] = None
) -> str:
    """Writes the wheel and gives its name."""
    library, tag = _native()
    files = []
    for name, path in _modules():
        with open(path, "rb") as file:
            files.append((PACKAGE + "/" + name, file.read(), 0o644))
    files.append((PACKAGE + "/" + SONAME, library, 0o755))
    return _pack(wheel_directory, tag, files)


def build_editable(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: Optional[str] = None
) -> str:
    """A wheel that leads to this folder. The library is put beside the sources, where git does not look."""
    library, tag = _native()
    target = os.path.join(HERE, PACKAGE, SONAME)
    with open(target + ".new", "wb") as file:
        file.write(library)
    os.replace(target + ".new", target)
    return _pack(wheel_directory, tag, [(PACKAGE + ".pth", (HERE + "\n").encode(), 0o644)])


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    """The package with the sources of the library, from which a wheel can be built anywhere that has cargo."""
    root = _root()
    base = "%s-%s" % (PACKAGE, _version())
    files = {"PKG-INFO": _metadata().encode()}
    for name in ["pyproject.toml", "README.md", "build_backend.py"]:
        files[name] = _read(name).encode()
    for name, path in _modules():
        with open(path, "rb") as file:
            files[PACKAGE + "/" + name] = file.read()
    for name, path in _licenses():
        with open(path, "rb") as file:
            files[name] = file.read()
    for source in SOURCES:
        start = os.path.join(root, source)
        found = [start]
        if os.path.isdir(start):
            found = [os.path.join(folder, name) for folder, _, names in os.walk(start) for name in names]
        for path in sorted(found):
            with open(path, "rb") as file:
                files[LIBRARY + "/" + os.path.relpath(path, root).replace(os.sep, "/")] = file.read()
    # The library alone is a workspace of one: the simulator, which only tests need, is not in here.
    manifest = str(files[LIBRARY + "/Cargo.toml"], "utf-8")
    manifest = re.sub(r"(?m)^members = .*\n", "", manifest)
    manifest = re.sub(r"(?m)^\[dev-dependencies\]\n(?:[^\[\n].*\n)*", "", manifest)
    files[LIBRARY + "/Cargo.toml"] = manifest.encode()
    name = base + ".tar.gz"
    with tarfile.open(os.path.join(sdist_directory, name), "w:gz", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(files):
            entry = tarfile.TarInfo(base + "/" + path)
            entry.size, entry.mtime = len(files[path]), _date()
            entry.mode = 0o755 if path.startswith(LIBRARY + "/scripts/") else 0o644
            archive.addfile(entry, io.BytesIO(files[path]))
    return name


def build_simulator(program: str, wheel_directory: str) -> str:
    """Writes the wheel of the simulator and gives its name."""
    package = "kiosklink_simulator"
    with open(program, "rb") as file:
        data = file.read()
    try:
        tag = program_tag(data)
    except (ValueError, IndexError, struct.error) as error:
        _fail("%s cannot go into a wheel: %s" % (program, error))
    files = []
    for name, path in _modules("simulator", package):
        with open(path, "rb") as file:
            files.append((package + "/" + name, file.read(), 0o644))
    files.append((package + "/kiosklink-sim", data, 0o755))
    summary = "The platforms behind kiosks, lockers and vending cabinets on the loopback, for tests: doors that open, and faults on demand"
    metadata = _metadata("kiosklink-simulator", summary, "simulator/README.md")
    return _pack(wheel_directory, tag, files, package, metadata, "kiosklink-sim = kiosklink_simulator:main\n")


def main(arguments: List[str]) -> int:
    """Without pip, which a board's build machine may not have: build_backend.py FOLDER writes the wheel there."""
    if len(arguments) == 3 and arguments[0] == "--simulator" and os.path.isdir(arguments[2]):
        print(os.path.join(arguments[2], build_simulator(arguments[1], arguments[2])))
        return 0
    if len(arguments) != 1 or not os.path.isdir(arguments[0]):
        sys.stderr.write("use: build_backend.py FOLDER, or build_backend.py --simulator PROGRAM FOLDER\n")
        return 64
    print(os.path.join(arguments[0], build_wheel(arguments[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
