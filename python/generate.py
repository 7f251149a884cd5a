#!/usr/bin/env python3
"""Writes kiosklink/_abi.py and kiosklink/enums.py from include/kiosklink.h, and kiosklink/_texts.py from src/codes.tsv.

    python3 python/generate.py            writes them
    python3 python/generate.py --check    says what differs, exit code 1 if anything does

The header is generated too and keeps one form, so a small parser is enough; what it does not understand is an error
and never left out. What comes out is compared with the C compiler's own view in tests/python/test_abi.py.
"""

import os
import re
import sys
import textwrap
from typing import Dict, List, NamedTuple, Optional, Tuple

HERE = os.path.dirname(os.path.abspath(__file__))
HEADER = os.path.join(HERE, os.pardir, "include", "kiosklink.h")
CODES = os.path.join(HERE, os.pardir, "src", "codes.tsv")

# The sets of numbers that become enumerations, and what each is about. A set's type in C, its constants and its
# class have one name: kl_door_state, KL_DOOR_STATE_OPEN, DoorState.OPEN. How much is logged is said in logging's numbers.
ENUMS = [
    ("Outcome", "What became of a command or another write."),
    ("Advice", "What to do about an error."),
    ("TaskState", "How far a job is."),
    ("TimeSource", "Where a client's time comes from."),
    ("CodeState", "The state of a pickup code."),
    ("CodeKind", "What a pickup code is for."),
    ("EventKind", "What a callback is about."),
    ("HttpAction", "What to do with a connection on which callbacks come."),
    ("SignedWith", "What a callback was signed with."),
    ("SaleState", "Whether a cabinet sells."),
    ("OrderKind", "Which kind of machine an order is of."),
    ("PaymentState", "Whether an order is paid."),
    ("ServiceState", "How far a customer's visit is."),
    ("DoorState", "What is known of a door."),
    ("DeliveryState", "What became of goods that a machine pushes out."),
    ("PaymentResult", "What is reported of a payment."),
    ("CommandKind", "What a command is."),
    ("CommandFilter", "Which commands to list."),
    ("Verb", "What a platform may be asked for."),
    ("PhysicalState", "Whether something moved after a command."),
    ("SettledBy", "Who settled what became of a command."),
    ("Status", "What a call answers."),
]

# The sets that become none.
PLAIN = ("kl_log_level",)

# Those whose names have no beginning in common.
EXACT = {
    "KL_OK": ("Status", "OK"),
    "KL_DONE": ("Outcome", "DONE"),
    "KL_NOT_DONE": ("Outcome", "NOT_DONE"),
    "KL_UNKNOWN": ("Outcome", "UNKNOWN"),
}

# Numbers that belong to no set.
ALONE = (
    "KL_ABI_VERSION",
    "KL_VERSION_NUMBER",
    "KL_REQUEST_ID_MAX",
    "KL_VISIT_ID_MAX",
    "KL_CONTEXT_MAX",
    "KL_TEXT_MAX",
    "KL_EXTRA_JSON_MAX",
)

SCALARS = {
    "int32_t": "c_int32",
    "uint32_t": "c_uint32",
    "int64_t": "c_int64",
    "uint64_t": "c_uint64",
    "size_t": "c_size_t",
    "double": "c_double",
}


def beginning(name: str) -> str:
    """How the constants of an enumeration begin: "DoorState" as "KL_DOOR_STATE_"."""
    return "KL_E_" if name == "Status" else "KL%s_" % re.sub("([A-Z])", r"_\1", name).upper()


class Constant(NamedTuple):
    name: str
    value: str
    doc: str


class Function(NamedTuple):
    result: str
    params: List[Tuple[str, str]]


class Header(NamedTuple):
    """What the header declares: fields and parameters are pairs of C type and name."""

    constants: List[Constant]
    structs: Dict[str, List[Tuple[str, str]]]
    handles: List[str]
    sets: List[str]
    callbacks: Dict[str, Function]
    functions: Dict[str, Function]


def declaration(text: str) -> Tuple[str, str]:
    """"const char *x" as ("const char *", "x"); an array keeps its brackets in the type."""
    found = re.match(r"^(.*?[\s*])(\w+)(\[\d+\])?$", text.strip())
    if found is None:
        raise ValueError("not understood: %r" % text)
    return re.sub(r"\s+", " ", found.group(1)).strip() + (found.group(3) or ""), found.group(2)


def parameters(text: str) -> List[Tuple[str, str]]:
    text = re.sub(r"\s+", " ", text).strip()
    return [] if text in ("", "void") else [declaration(p) for p in text.split(",")]


def parse(text: str) -> Header:
    """The header's text taken apart. ValueError for what is not understood."""
    constants = []
    defines = re.compile(r'(?:/\*\*((?:[^*]|\*(?!/))*)\*/\s*)?#define (KL_\w+) (-?\d+|"[^"]*")\n')
    for found in defines.finditer(text):
        doc = re.sub(r"\s*\n\s*\*\s?", " ", found.group(1) or "")
        constants.append(Constant(found.group(2), found.group(3), re.sub(r"\s+", " ", doc).strip()))
    plain = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    plain = re.sub(r"//[^\n]*", " ", plain)
    named = {c.name for c in constants}
    for found in re.finditer(r"^#define (\w+)(.*)$", plain, flags=re.M):
        if found.group(1) not in named and not re.match(r"KIOSKLINK_H$|KL_MUST_USE$|KL_\w+_INIT$", found.group(1)):
            raise ValueError("not understood: %s" % found.group(0))
    plain = re.sub(r"^#.*$", "", plain, flags=re.M)
    plain = plain.replace('extern "C" {', "").replace("KL_MUST_USE ", "")

    structs: Dict[str, List[Tuple[str, str]]] = {}

    def struct(found: "re.Match[str]") -> str:
        if found.group(1) != found.group(3):
            raise ValueError("struct %s is called %s" % (found.group(1), found.group(3)))
        structs[found.group(1)] = [declaration(f) for f in found.group(2).split(";") if f.strip()]
        return ""

    plain = re.sub(r"typedef struct (\w+) \{([^}]*)\} (\w+);", struct, plain)
    handles: List[str] = []
    sets: List[str] = []
    callbacks: Dict[str, Function] = {}
    functions: Dict[str, Function] = {}
    for statement in plain.replace("}", "").split(";"):
        statement = re.sub(r"\s+", " ", statement).strip()
        handle = re.match(r"^typedef struct (\w+) (\w+)$", statement)
        callback = re.match(r"^typedef (.+?)\(\*(\w+)\)\((.*)\)$", statement)
        function = re.match(r"^(?!typedef)(.+?[\s*])(\w+)\((.*)\)$", statement)
        number = re.match(r"^typedef int32_t (\w+)$", statement)
        if number:
            sets.append(number.group(1))
        if not statement or number:
            continue
        if handle and handle.group(1) == handle.group(2):
            handles.append(handle.group(1))
        elif callback:
            callbacks[callback.group(2)] = Function(callback.group(1).strip(), parameters(callback.group(3)))
        elif function:
            functions[function.group(2)] = Function(function.group(1).strip(), parameters(function.group(3)))
        else:
            raise ValueError("not understood: %r" % statement)
    return Header(constants, structs, handles, sets, callbacks, functions)


def ctype(header: Header, kind: str) -> str:
    """The name in ctypes of a C type. Handles are numbers, so they stay opaque."""
    array = re.match(r"^char\[(\d+)\]$", kind)
    if array:
        return "c_char * %s" % array.group(1)
    if kind in SCALARS or kind in header.sets:
        return SCALARS.get(kind, "c_int32")
    if kind in header.callbacks:
        return kind
    if kind in ("const char *", "char *", "const uint8_t *"):
        return "c_char_p"
    if kind == "void *":
        return "c_void_p"
    pointed = re.match(r"^(?:const )?(\w+) (\*+)$", kind.replace("*const *", "**"))
    if pointed:
        name, stars = pointed.groups()
        inner: Optional[str] = None
        if name in header.handles:
            inner, stars = "c_void_p", stars[1:]
        elif name in header.structs:
            inner = name
        elif name in SCALARS or name in header.sets:
            inner = SCALARS.get(name, "c_int32")
        if inner is not None:
            for _ in stars:
                inner = "POINTER(%s)" % inner
            return inner
    raise ValueError("no type in ctypes for %r" % kind)


def abi(header: Header) -> str:
    """The text of kiosklink/_abi.py."""
    out = [
        '"""What include/kiosklink.h declares, for ctypes. Written by generate.py; do not edit."""',
        "",
        "from ctypes import (",
        "    CFUNCTYPE,",
        "    POINTER,",
        "    Structure,",
        "    c_char,",
        "    c_char_p,",
        "    c_double,",
        "    c_int32,",
        "    c_int64,",
        "    c_size_t,",
        "    c_uint32,",
        "    c_uint64,",
        "    c_void_p,",
        ")",
        "from typing import Any, Dict, Tuple, Type",
        "",
    ]
    out += ["%s = %s" % (c.name, c.value) for c in header.constants]
    out += ["", '"""The keys of a client\'s settings."""', "KEYS = ("]
    out += ["    %s," % c.value for c in header.constants if c.name.startswith("KL_KEY_")]
    out += [")", ""]
    for name, function in header.callbacks.items():
        result = "None" if function.result == "void" else ctype(header, function.result)
        kinds = "".join(", " + ctype(header, kind) for kind, _ in function.params)
        out += ["%s = CFUNCTYPE(%s%s)" % (name, result, kinds)]
    for name, fields in header.structs.items():
        out += ["", "", "class %s(Structure):" % name, "    _fields_ = ["]
        # As a field, c_char_p would end at the first NUL.
        typed = [(field, "c_void_p" if kind == "const uint8_t *" else ctype(header, kind)) for kind, field in fields]
        out += ['        ("%s", %s),' % pair for pair in typed]
        out += ["    ]"]
    out += ["", "", '"""Every struct."""', "STRUCTS: Dict[str, Type[Structure]] = {"]
    out += ['    "%s": %s,' % (name, name) for name in header.structs]
    out += ["}", "", '"""Every function: its result, and its parameters."""']
    out += ["FUNCTIONS: Dict[str, Tuple[Any, Tuple[Any, ...]]] = {"]
    for name, function in header.functions.items():
        result = "None" if function.result == "void" else ctype(header, function.result)
        kinds = "".join(ctype(header, kind) + ", " for kind, _ in function.params)
        line = '    "%s": (%s, (%s)),' % (name, result, kinds.rstrip() if len(function.params) == 1 else kinds[:-2])
        if len(line) > 118:
            out += ['    "%s": (' % name, "        %s," % result, "        (%s)," % kinds[:-2], "    ),"]
        else:
            out += [line]
    out += ["}", "", '"""The functions that answer what became of an act, not a status."""', "ACTS = ("]
    out += ['    "%s",' % name for name, function in header.functions.items() if function.result == "kl_outcome"]
    out += [")", ""]
    return "\n".join(out)


def enums(header: Header) -> str:
    """The text of kiosklink/enums.py."""
    groups: Dict[str, List[Tuple[str, str, str]]] = {}
    named = {"kl" + re.sub("([A-Z])", r"_\1", name).lower() for name, _ in ENUMS}
    if named ^ set(header.sets) != set(PLAIN):
        raise ValueError("no class, or no type: %s" % ", ".join(sorted(named ^ set(header.sets) ^ set(PLAIN))))
    groups["Outcome"] = [("NONE", "0", "The call only read.")]
    for constant in header.constants:
        if constant.value.startswith('"') or constant.name in ALONE:
            continue
        if constant.name in EXACT:
            name, label = EXACT[constant.name]
            groups.setdefault(name, []).append((label, constant.value, constant.doc))
            continue
        for name, _ in ENUMS:
            prefix = beginning(name)
            if constant.name.startswith(prefix):
                member = (constant.name[len(prefix) :], constant.value, constant.doc)
                groups.setdefault(name, []).append(member)
                break
    out = [
        '"""The numbers of the C header as enumerations. Written by generate.py; do not edit.',
        "",
        "They may grow: a number that this version has no name for becomes a member called ``UNKNOWN_n``, so a value that",
        "comes from the library never raises. Write an ``else`` for what you do not expect.",
        '"""',
        "",
        "from enum import IntEnum",
        "from typing import Any",
        "",
        "",
        "class _Open(IntEnum):",
        '    """An enumeration that takes numbers it does not know."""',
        "",
        "    @classmethod",
        "    def _missing_(cls, value: object) -> Any:",
        "        if not isinstance(value, int):",
        "            return None",
        "        member = int.__new__(cls, value)",
        '        member._name_ = "UNKNOWN_%d" % value',
        "        member._value_ = value",
        "        return member",
    ]
    for name, about in ENUMS:
        if name not in groups:
            continue
        out += ["", "", "class %s(_Open):" % name, '    """%s"""' % about]
        for label, value, doc in groups[name]:
            out += ["", "    %s = %s" % (label, value)]
            if doc:
                lines = textwrap.wrap('"""%s"""' % doc.replace("\\", ""), 114)
                out += ["    " + line for line in lines]
    return "\n".join(out) + "\n"


def plain(text: str) -> str:
    """A sentence without Markdown."""
    return re.sub(r"[`*]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text))


def texts(table: str) -> str:
    """The text of kiosklink/_texts.py: what each code means and what is done about it, in both languages."""
    out = [
        '"""What the codes mean. Written by generate.py from src/codes.tsv; do not edit."""',
        "",
        "from typing import Dict, Tuple",
        "",
        '"""By the name in C: what it means and what is done about it, in English, and both in Chinese."""',
        "TEXTS: Dict[str, Tuple[str, str, str, str]] = {",
    ]
    for line in table.splitlines():
        if not line or line.startswith("#"):
            continue
        name, _, _, meaning, cure, meaning_zh, cure_zh = line.split("\t")
        out += ['    "%s": (' % name]
        for text in (meaning, cure, meaning_zh, cure_zh):
            out += ['        "%s",' % plain(text).replace("\\", "\\\\").replace('"', '\\"')]
        out += ["    ),"]
    return "\n".join(out + ["}", ""])


def read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def outputs(text: str) -> Dict[str, str]:
    """The files that belong to a header, by their name in the package."""
    header = parse(text)
    return {"_abi.py": abi(header), "enums.py": enums(header), "_texts.py": texts(read(CODES))}


def main(arguments: List[str]) -> int:
    if arguments not in ([], ["--check"]):
        sys.stderr.write("use: generate.py [--check]\n")
        return 64
    wanted = outputs(read(HEADER))
    differs = 0
    for name, text in wanted.items():
        path = os.path.join(HERE, "kiosklink", name)
        try:
            with open(path, encoding="utf-8") as file:
                found = file.read()
        except FileNotFoundError:
            found = ""
        if found == text:
            continue
        differs = 1
        if arguments:
            sys.stderr.write("python/kiosklink/%s is not what the header says: python3 python/generate.py\n" % name)
        else:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
    return differs if arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
