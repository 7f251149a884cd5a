"""The layout of all structs, told by the bindings and by the C compiler, in the same words.

`layout.py source` prints a C program that tells what its compiler has, `layout.py ctypes` what the bindings have on the machine
that runs this; the two are to be equal, line by line.
"""

import ctypes
import sys

from kiosklink import _abi

# The letters that the C program gives the types of fields.
KINDS = {
    ctypes.c_int32: "i4",
    ctypes.c_uint32: "u4",
    ctypes.c_int64: "i8",
    ctypes.c_uint64: "u8",
    ctypes.c_double: "d8",
    ctypes.c_char_p: "s",
}


def told_by_ctypes():
    """Sizes, and offsets, sizes and types of all fields, as the bindings have them."""
    told = {}
    for name, struct in _abi.STRUCTS.items():
        told[name] = (0, ctypes.sizeof(struct), "")
        for field, kind in struct._fields_:
            at = getattr(struct, field)
            told["%s.%s" % (name, field)] = (at.offset, at.size, KINDS.get(kind, "p"))
    return told


def source():
    """The C program. What is not in the header fails to compile."""
    lines = [
        "#include <kiosklink.h>",
        "#include <stdio.h>",
        '#define KIND(x) _Generic((x), int32_t: "i4", uint32_t: "u4", int64_t: "i8", uint64_t: "u8", \\',
        '  double: "d8", const char *: "s", default: "p")',
        "int main(void) {",
    ]
    for name, struct in _abi.STRUCTS.items():
        lines.append('printf("%s 0 %%zu \\n", sizeof(%s));' % (name, name))
        for field, _ in struct._fields_:
            there = "((%s *)0)->%s" % (name, field)
            lines.append(
                'printf("%s.%s %%zu %%zu %%s\\n", offsetof(%s, %s), sizeof(%s), KIND(%s));'
                % (name, field, name, field, there, there)
            )
    return "\n".join(lines + ["return 0; }", ""])


def facts(text):
    """What the C program printed."""
    told = {}
    for line in text.splitlines():
        name, offset, size, kind = line.split(" ")
        told[name] = (int(offset), int(size), kind)
    return told


if __name__ == "__main__":
    if sys.argv[1] == "source":
        print(source(), end="")
    else:
        for name, (offset, size, kind) in told_by_ctypes().items():
            print(name, offset, size, kind)
