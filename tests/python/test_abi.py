"""The bindings against the header, the header against the C compiler, and the package against itself."""

import ast
import ctypes
import dataclasses
import importlib.util
import os
import re
import struct
import subprocess
import sys
import unittest
import zipfile

import kiosklink
import layout
from kiosklink import _abi, _native, enums, models
from support import LIBRARY, ROOT

PYTHON = os.path.join(ROOT, "python")
PACKAGE = os.path.join(PYTHON, "kiosklink")
TARGET = os.environ["KIOSKLINK_TEST_TARGET"]


def load(name):
    """A module of python/ that is not part of the package."""
    spec = importlib.util.spec_from_file_location(name, os.path.join(PYTHON, name + ".py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


HEADER = read(ROOT, "include", "kiosklink.h")

def told_by_the_compiler(header):
    """The layout as the C compiler has it, for this text of the header. A field that is not there fails to compile."""
    folder = os.path.join(TARGET, "layout")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "kiosklink.h"), "w", encoding="utf-8") as file:
        file.write(header)
    source, program = os.path.join(folder, "layout.c"), os.path.join(folder, "layout")
    with open(source, "w", encoding="utf-8") as file:
        file.write(layout.source())
    subprocess.run(["cc", "-std=c11", "-Wall", "-Werror", "-I", folder, source, "-o", program], check=True)
    return layout.facts(subprocess.run([program], check=True, stdout=subprocess.PIPE).stdout.decode())


# What the names in the table of docs/python.md stand for.
TABLE = {
    "client": kiosklink.Client,
    "event": kiosklink.Event,
    "connection": kiosklink.HttpConnection,
    "task": kiosklink.Task,
    "tasks": kiosklink.Tasks,
}


class Layout(unittest.TestCase):
    maxDiff = None

    def test_every_struct_is_as_the_compiler_says(self):
        ours = layout.told_by_ctypes()
        self.assertEqual(ours, told_by_the_compiler(HEADER))
        self.assertGreater(len(ours), 150)

    def test_a_moved_field_is_found_out(self):
        first, second = "  kl_outcome outcome;\n", "  kl_advice advice;\n"
        struct = HEADER[HEADER.index("typedef struct kl_error {") :]
        struct = struct[: struct.index("} kl_error;")]
        self.assertIn(first, struct)
        swapped = struct.replace(first, "\0").replace(second, first).replace("\0", second)
        moved = told_by_the_compiler(HEADER.replace(struct, swapped))
        ours = layout.told_by_ctypes()
        self.assertEqual(
            {name for name in ours if ours[name] != moved[name]}, {"kl_error.outcome", "kl_error.advice"}
        )
        # The same place, another type.
        signed = HEADER.replace("  uint32_t retry_after_ms;\n", "  int32_t retry_after_ms;\n")
        moved = told_by_the_compiler(signed)
        self.assertEqual({name for name in ours if ours[name] != moved[name]}, {"kl_error.retry_after_ms"})
        # One more in the middle.
        more = told_by_the_compiler(HEADER.replace(first, first + "  int32_t more;\n"))
        self.assertIn("kl_error.message", {name for name in ours if ours[name] != more[name]})

    def test_the_bindings_are_written_from_this_header(self):
        generate = load("generate")
        for name, text in generate.outputs(HEADER).items():
            self.assertEqual(read(PACKAGE, name), text, "python3 python/generate.py writes %s" % name)
        self.assertEqual(generate.main(["--check"]), 0)
        moved = generate.outputs(HEADER.replace("KL_E_LOST 203", "KL_E_LOST 204"))
        self.assertNotEqual(moved["enums.py"], read(PACKAGE, "enums.py"))
        for strange in ("#define KL_X (1 << 3)\n", "union kl_x { int a; };\n", "kl_status kl_x(int32_t (*f)(void));\n"):
            with self.assertRaises(ValueError):
                generate.outputs(HEADER.replace("/** A list of goods. Opaque. */\n", strange))

    def test_every_function_is_bound(self):
        exported = read(ROOT, "abi", "exports.txt").split()
        self.assertEqual(sorted(_abi.FUNCTIONS), exported)
        library = _native.library()
        for name, (result, params) in _abi.FUNCTIONS.items():
            function = library.function(name)
            self.assertIs(function.restype, result)
            self.assertEqual(tuple(function.argtypes), params)

    def test_every_function_is_reached(self):
        """Each is called by name somewhere in the package; names of result functions are put together of two."""
        text = "".join(read(PACKAGE, n) for n in sorted(os.listdir(PACKAGE)) if n.endswith(".py") and n != "_abi.py")
        together = re.findall(r'_(list|view)\(made, "(kl_\w+)"', text)
        parts = {"list": ("count", "at", "total", "more", "free"), "view": ("view", "free")}
        reached = {"%s_%s" % (name, part) for kind, name in together for part in parts[kind]}
        reached |= set(re.findall(r'"(kl_\w+)"', text))
        # Jobs are for C: Python has threads of its own, see kiosklink/tasks.py.
        reached |= {name for name in _abi.FUNCTIONS if name.startswith("kl_task_") or name == "kl_client_fd"}
        self.assertEqual([name for name in _abi.FUNCTIONS if name not in reached], [])

    def test_every_constant_has_a_name_in_python(self):
        generate = load("generate")
        plain = generate.ALONE + ("KL_KEY_", "KL_PLATFORM_", "KL_LOG_LEVEL_")
        for name in (n for n in vars(_abi) if n.startswith("KL_") and not n.startswith(plain)):
            begun = [(generate.beginning(kind), kind) for kind, _ in generate.ENUMS]
            kinds = [(kind, name[len(p) :]) for p, kind in begun if name.startswith(p)]
            self.assertTrue(
                len(kinds) == 1 or name in generate.EXACT, "%s belongs to no enumeration: see ENUMS in generate.py" % name
            )
            kind, member = generate.EXACT[name] if name in generate.EXACT else kinds[0]
            self.assertEqual(getattr(enums, kind)[member], getattr(_abi, name))
            self.assertIs(getattr(kiosklink, kind), getattr(enums, kind))
        self.assertEqual(enums.Outcome(0).name, "NONE")
        self.assertEqual(enums.Outcome(99).name, "UNKNOWN_99")
        self.assertEqual(enums.Outcome(99), 99)

    @staticmethod
    def told(field):
        """Whether a field says something."""
        return field not in ("struct_size", "reserved") and not field.endswith(("line_count", "command_count"))

    def test_every_field_is_copied(self):
        pairs = {
            "kl_cabinet": models.Cabinet,
            "kl_stock_item": models.StockItem,
            "kl_order": models.Order,
            "kl_order_line": models.OrderLine,
            "kl_pickup_code": models.PickupCode,
            "kl_command_info": models.Command,
            "kl_visit": models.Visit,
            "kl_event_info": models.EventInfo,
            "kl_user_info": models.User,
            "kl_company_info": models.Company,
            "kl_stats": models.Stats,
            "kl_journal_info": models.JournalInfo,
        }
        requests = {n for n in _abi.STRUCTS if re.search(r"_(request|query|ref|page|options|create_line|error)$", n)}
        # Those are no plain copies: test_events.py and the tests of jobs look at them.
        self.assertEqual(set(pairs) | requests | {"kl_http_step", "kl_task_info"}, set(_abi.STRUCTS))
        for name, kind in pairs.items():
            fields = [f for f, _ in _abi.STRUCTS[name]._fields_ if self.told(f)]
            self.assertEqual([f.name for f in dataclasses.fields(kind)], fields)
            self.assertTrue(kind.__dataclass_params__.frozen)


class Package(unittest.TestCase):
    def sources(self):
        for folder in (PYTHON, PACKAGE):
            for name in sorted(os.listdir(folder)):
                if name.endswith(".py"):
                    yield os.path.join(folder, name)

    def test_it_is_python_3_8(self):
        found = list(self.sources())
        self.assertGreater(len(found), 9)
        for path in found:
            ast.parse(read(path), path, feature_version=(3, 8))
        with self.assertRaises(SyntaxError):
            ast.parse("match x:\n  case 1: pass\n", feature_version=(3, 8))

    def test_all_that_is_public_is_explained(self):
        bare = []
        for path in (p for p in self.sources() if PACKAGE in p and not p.endswith("_abi.py")):
            for node in ast.walk(ast.parse(read(path))):
                if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_"):
                    overload = any(getattr(d, "id", "") == "overload" for d in node.decorator_list)
                    if ast.get_docstring(node) is None and not overload:
                        bare.append("%s: %s" % (os.path.basename(path), node.name))
        self.assertEqual(bare, [])

    def test_names_are_exported_and_real(self):
        self.assertEqual(len(kiosklink.__all__), len(set(kiosklink.__all__)))
        for name in kiosklink.__all__:
            getattr(kiosklink, name)

    def test_the_version_is_that_of_the_library(self):
        cargo = re.search(r'\[workspace\.package\]\nversion = "(.+)"', read(ROOT, "Cargo.toml")).group(1)
        self.assertEqual(kiosklink.__version__, cargo)

    def test_the_list_of_verbs_in_the_documentation_is_whole(self):
        page = read(ROOT, "docs", "python.md")
        rows = dict(re.findall(r"^\| `(kl_\w+)` \| `(.+?)`", page, re.M))
        helpers = r"_(free|count|at|total|more|view|next|json)$|^kl_(config_|stock_fetch_page|client_new)"
        self.assertEqual([n for n in _abi.FUNCTIONS if not re.search(helpers, n) and n not in rows], [])
        for name, told in rows.items():
            self.assertIn(name, _abi.FUNCTIONS)
            where = kiosklink
            for part in re.match(r"[\w.]+", told).group(0).split("."):
                where = TABLE.get(part) or getattr(where, part)


class Wheels(unittest.TestCase):
    def setUp(self):
        self.backend = load("build_backend")
        with open(LIBRARY, "rb") as file:
            self.data = file.read()

    def test_the_tag_is_what_the_library_needs(self):
        tag = self.backend.platform_tag(self.data)
        self.assertRegex(tag, r"^manylinux_2_\d+_\w+(\.manylinux2014_\w+)?$")
        elf = self.backend.Elf(self.data)
        versions = subprocess.run(["readelf", "-VW", LIBRARY], stdout=subprocess.PIPE, check=True).stdout.decode()
        needs = sorted(set(re.findall(r"Name: (GLIBC_[\d.]+)", versions)))
        self.assertEqual(sorted({v for v in elf.versions if v.startswith("GLIBC_")}), needs)
        dynamic = subprocess.run(["readelf", "-dW", LIBRARY], stdout=subprocess.PIPE, check=True).stdout.decode()
        self.assertEqual(elf.needed, re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
        newest = max(tuple(int(n) for n in v[6:].split(".")) for v in needs)
        self.assertIn("manylinux_%d_%d_" % max(newest, (2, 17)), tag)

    def test_what_is_no_library_of_ours_is_refused(self):
        with open(sys.executable, "rb") as file:
            program = file.read()
        for data in (b"", b"text", program, self.data.replace(b"libkiosklink.so.1\0", b"libkiosklink.so.9\0")):
            with self.assertRaises(ValueError):
                self.backend.platform_tag(data)

    def test_a_wheel_holds_what_it_says(self):
        folder = os.path.join(TARGET, "wheels")
        os.makedirs(folder, exist_ok=True)
        os.environ["KIOSKLINK_LIBRARY"] = LIBRARY
        self.addCleanup(os.environ.pop, "KIOSKLINK_LIBRARY")
        name = self.backend.build_wheel(folder)
        with open(os.path.join(folder, name), "rb") as file:
            first = file.read()
        self.assertEqual(self.backend.build_wheel(folder), name)
        with open(os.path.join(folder, name), "rb") as file:
            self.assertEqual(file.read(), first, "the same sources give the same bytes")
        with zipfile.ZipFile(os.path.join(folder, name)) as wheel:
            self.assertIsNone(wheel.testzip())
            self.assertEqual(wheel.read("kiosklink/libkiosklink.so.1"), self.data)
            self.assertEqual(wheel.getinfo("kiosklink/libkiosklink.so.1").external_attr >> 16 & 0o777, 0o755)
            self.assertIn("kiosklink/py.typed", wheel.namelist())
            info = "kiosklink-%s.dist-info/" % kiosklink.__version__
            metadata = wheel.read(info + "METADATA").decode()
            self.assertIn("\nVersion: %s\n" % kiosklink.__version__, metadata)
            self.assertIn("Requires-Python: >=3.8", metadata)
            tags = re.findall(r"^Tag: (.+)$", wheel.read(info + "WHEEL").decode(), re.M)
            self.assertEqual("py3-none-" + ".".join(t[9:] for t in tags), name[len("kiosklink-0.2.0-") : -4])
            recorded = [line.split(",")[0] for line in wheel.read(info + "RECORD").decode().splitlines()]
            self.assertEqual(sorted(recorded), sorted(wheel.namelist()))

    def test_the_simulator_is_for_every_libc_or_refused(self):
        # A header alone: no segment, no section, so no loader and no library.
        program = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 64, 0, 64, 56, 0, 64, 0, 0)
        tag = "manylinux_2_17_x86_64.manylinux2014_x86_64.musllinux_1_1_x86_64"
        self.assertEqual(self.backend.program_tag(program), tag)
        with open("/bin/sh", "rb") as file:
            dynamic = file.read()
        for data in (self.data, dynamic):
            with self.assertRaisesRegex(ValueError, "not static"):
                self.backend.program_tag(data)
        # One that asks for a loader and for no library.
        asking = program[:54] + struct.pack("<HHHHH", 56, 1, 64, 0, 0) + struct.pack("<IIQQQQQQ", 3, 4, 0, 0, 0, 0, 0, 1)
        with self.assertRaisesRegex(ValueError, "not static"):
            self.backend.program_tag(asking)

        path = os.path.join(TARGET, "kiosklink-sim")
        with open(path, "wb") as file:
            file.write(program)
        name = self.backend.build_simulator(path, TARGET)
        self.assertEqual(name, "kiosklink_simulator-%s-py3-none-%s.whl" % (kiosklink.__version__, tag))
        with zipfile.ZipFile(os.path.join(TARGET, name)) as wheel:
            self.assertEqual(wheel.getinfo("kiosklink_simulator/kiosklink-sim").external_attr >> 16 & 0o777, 0o755)
            info = "kiosklink_simulator-%s.dist-info/" % kiosklink.__version__
            self.assertIn("kiosklink-sim = kiosklink_simulator:main\n", wheel.read(info + "entry_points.txt").decode())
            self.assertIn("\nName: kiosklink-simulator\n", wheel.read(info + "METADATA").decode())

    def test_a_missing_library_is_told(self):
        os.environ["KIOSKLINK_LIBRARY"] = "/no/such/library.so"
        self.addCleanup(os.environ.pop, "KIOSKLINK_LIBRARY")
        with self.assertRaises(SystemExit) as caught:
            self.backend.build_wheel(TARGET)
        self.assertIn("/no/such/library.so", str(caught.exception))
