"""Finds the native library, loads it once, and translates between its border and Python."""

import ctypes
import json
import os
import threading
from datetime import datetime
from typing import Any, Callable, List, Mapping, Optional, Tuple, Union

from . import _abi
from ._version import VERSION
from .enums import Outcome, Status
from .errors import ArgumentError, Error, LibraryError, ProtocolError, make

NAME = "libkiosklink.so.%d" % _abi.KL_ABI_VERSION

Json = Union[str, Mapping[str, Any], None]
"""Parameters for the platform: a mapping, or the text of a JSON object, sent exactly as given."""

Time = Union[int, float, datetime]
"""A point in time: Unix seconds, or a datetime that knows its time zone."""

_lock = threading.Lock()
_loaded: Optional["Library"] = None


class Library:
    """The loaded library with the type of every function set. Calls give up the GIL."""

    def __init__(self, path: str) -> None:
        try:
            # Not PyDLL: a CDLL gives up the GIL for the time of each call.
            cdll = ctypes.CDLL(path)
        except OSError as error:
            raise LibraryError(
                "the native library cannot be loaded: %s (a wheel has it inside; else install it where the system's "
                "loader looks, or call kiosklink.load_library with its path)" % error,
                path=path,
            ) from None
        self.path = path
        self.cdll = cdll
        number = self._bind("kl_abi_version")()
        if number != _abi.KL_ABI_VERSION:
            raise LibraryError(
                "%s has ABI %d, this package (kiosklink %s) needs ABI %d: install the two of one release"
                % (path, number, VERSION, _abi.KL_ABI_VERSION),
                path=path,
            )
        version = self._bind("kl_version")().decode()
        for name in _abi.FUNCTIONS:
            self._bind(name, version)
        if _numbers(version) < _numbers(VERSION):
            raise LibraryError(
                "%s is version %s, older than this package (%s): install the two of one release"
                % (path, version, VERSION),
                path=path,
            )

    def _bind(self, name: str, version: str = "?") -> Any:
        result, params = _abi.FUNCTIONS[name]
        try:
            function = getattr(self.cdll, name)
        except AttributeError:
            raise LibraryError(
                "%s (version %s) has no %s, so this package (kiosklink %s) cannot use it"
                % (self.path, version, name, VERSION),
                path=self.path,
            ) from None
        function.restype = result
        function.argtypes = params
        return function

    def function(self, name: str) -> Any:
        """A function of the header by its name."""
        return getattr(self.cdll, name)

    def call(self, name: str, *arguments: Any) -> None:
        """Calls a function that takes kl_error last; raises what it answers but KL_OK, or KL_DONE if it acts."""
        error = _abi.kl_error()
        error.struct_size = ctypes.sizeof(error)
        answer = self.function(name)(*arguments, ctypes.byref(error))
        if answer != (_abi.KL_DONE if name in _abi.ACTS else _abi.KL_OK):
            raise self.error(error)

    def make(self, name: str, *arguments: Any) -> int:
        """Calls a function that makes a handle: its out-pointer comes last but one."""
        out = ctypes.c_void_p()
        self.call(name, *arguments, ctypes.byref(out))
        return out.value or 0

    def error(self, error: Any) -> Error:
        """The exception of a kl_error."""
        return make(
            string(error.message),
            {
                "status": error.status,
                "name": string(self.function("kl_status_name")(error.status)),
                "outcome": error.outcome,
                "advice": error.advice,
                "http_status": error.http_status,
                "platform_code": error.platform_code,
                "platform_name": string(error.platform_name),
                "platform_message": string(error.platform_message),
                "os_errno": error.os_errno,
                "retry_after_ms": error.retry_after_ms,
            },
        )


def _numbers(version: str) -> Tuple[int, ...]:
    return tuple(int(part) for part in version.split("-")[0].split("+")[0].split("."))


def candidates() -> List[str]:
    """Where the library is looked for: beside this file, then as the system's loader finds it."""
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), NAME)
    return [here, NAME] if os.path.exists(here) else [NAME]


def load_library(path: "Union[str, os.PathLike[str], None]" = None) -> str:
    """Loads the native library and gives where it was found. Calls do so by themselves; call it first to choose.

    Without ``path`` it is the one inside this package, else ``libkiosklink.so.1`` as the system's loader finds it.
    Once one is loaded it stays for the life of the process; asking for another raises. Any thread.

    Raises :class:`LibraryError` if there is none, or if its ABI number is not the one of this package.
    """
    return library(None if path is None else os.fspath(path)).path


def library(path: Optional[str] = None) -> Library:
    """The loaded library."""
    global _loaded
    loaded = _loaded
    if loaded is None:
        with _lock:
            if _loaded is None:
                _loaded = Library(path if path is not None else candidates()[0])
            loaded = _loaded
    if path is not None and path != loaded.path:
        raise LibraryError("%s is loaded already, so %s cannot be" % (loaded.path, path), path=path)
    return loaded


def after_fork() -> None:
    """In the child: the lock may have been held by a thread that is not here."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=after_fork)


def string(raw: Optional[bytes]) -> str:
    """A text of the library."""
    return (raw or b"").decode("utf-8", "replace")


def text(value: Optional[str], name: str) -> Optional[bytes]:
    """A text for the library. What UTF-8 cannot hold goes on as it is, for the library to refuse."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise ArgumentError("%s must be a str, not %s" % (name, type(value).__name__))
    raw = value.encode("utf-8", "surrogatepass")
    if b"\0" in raw:
        raise ArgumentError("%s holds a NUL character" % name)
    return raw


def number(value: int, name: str, low: int, high: int) -> int:
    """A number within its C type: ctypes would cut it without a word."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ArgumentError("%s must be an int, not %s" % (name, type(value).__name__))
    if not low <= int(value) <= high:
        raise ArgumentError("%s must be from %d to %d, not %d" % (name, low, high, value))
    return int(value)


def u32(value: int, name: str) -> int:
    """A uint32_t."""
    return number(value, name, 0, 2**32 - 1)


def i32(value: int, name: str) -> int:
    """An int32_t."""
    return number(value, name, -(2**31), 2**31 - 1)


def i64(value: int, name: str) -> int:
    """An int64_t."""
    return number(value, name, -(2**63), 2**63 - 1)


def seconds(value: Optional[Time], name: str) -> int:
    """Unix seconds; 0 for None."""
    if value is None:
        return 0
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ArgumentError("%s must know its time zone: datetime.now(timezone.utc)" % name)
        value = value.timestamp()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ArgumentError("%s must be Unix seconds or a datetime, not %s" % (name, type(value).__name__))
    try:
        return i64(int(value), name)
    except (OverflowError, ValueError):
        raise ArgumentError("%s must be Unix seconds" % name) from None


def json_text(value: Json, name: str) -> Optional[bytes]:
    """Parameters as the library takes them."""
    if value is None:
        return None
    if not isinstance(value, str):
        try:
            value = json.dumps(dict(value), ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ArgumentError("%s is no JSON object: %s" % (name, error)) from None
    return text(value, name)


def parsed(raw: str, what: str) -> Any:
    """The platform's JSON."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        # The library has checked it, so the platform did take the call.
        raise ProtocolError(
            "%s cannot be read by Python: %s" % (what, error), status=Status.PROTOCOL, outcome=Outcome.DONE
        ) from None


def request(struct: Callable[[], Any], /, **fields: Any) -> Any:
    """A request struct with its size set; texts stay alive as long as it does."""
    made = struct()
    made.struct_size = ctypes.sizeof(made)
    for name, value in fields.items():
        setattr(made, name, value)
    return made

