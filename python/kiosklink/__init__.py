"""Open doors, check stock and redeem pickup codes on the platforms behind kiosks, lockers and vending cabinets.

::

    import kiosklink

    with kiosklink.Client.from_file("accounts.json", "yopoint") as client:
        for item in client.stock_iter("5f6da2362201410011000001"):
            print(item.stock, "x", item.name)

Everything goes through the native library, by ``ctypes``; it is looked for inside this package, then as
``libkiosklink.so.1`` by the system's loader (:func:`load_library` chooses another). docs/python.md tells the rest.
"""

from typing import Optional

from . import _abi, _native, errors
from ._log import disable_logging, enable_logging
from ._native import Time, load_library
from ._texts import TEXTS
from ._version import VERSION as __version__
from .client import Client, Event, Items
from .connection import HttpConnection, HttpStep
from .enums import (
    Advice,
    CodeKind,
    CodeState,
    CommandFilter,
    CommandKind,
    DeliveryState,
    DoorState,
    EventKind,
    HttpAction,
    OrderKind,
    Outcome,
    PaymentResult,
    PaymentState,
    PhysicalState,
    SaleState,
    ServiceState,
    SettledBy,
    SignedWith,
    Status,
    TaskState,
    TimeSource,
    Verb,
)
from .errors import *  # noqa: F403 - its __all__ is the list
from .models import (
    Cabinet,
    ClientTime,
    Command,
    Company,
    EventInfo,
    JournalInfo,
    Order,
    OrderLine,
    Page,
    PickupCode,
    Stats,
    StockItem,
    User,
    Visit,
)
from .tasks import Task, Tasks

REQUEST_ID_MAX = _abi.KL_REQUEST_ID_MAX
"""The longest request_id, in bytes of UTF-8."""

KEYS = _abi.KEYS
"""The settings that :class:`Client` takes: docs/settings.md."""


def version() -> str:
    """The library's version, "0.2.0"."""
    return _native.string(_native.library().function("kl_version")())


def abi_version() -> int:
    """The library's ABI number."""
    return int(_native.library().function("kl_abi_version")())


def build_info() -> str:
    """What was built, in one line: version, ABI, target, time. For a log or a support call."""
    return _native.string(_native.library().function("kl_build_info")())


def status_name(status: int) -> str:
    """The name of a code in C, ``KL_E_TIMEOUT_DNS``."""
    return _native.string(_native.library().function("kl_status_name")(_native.i32(status, "status")))


def _text(name: str, column: int, language: str) -> str:
    return TEXTS.get(name, ("",) * 4)[column + (2 if language.startswith("zh") else 0)]


def status_text(status: int, language: str = "en") -> str:
    """What a code means, in English or ("zh", "zh_CN.UTF-8") in Chinese; "" for a number that this version does not know."""
    return _text(status_name(status), 0, language)


def status_help(status: int, language: str = "en") -> str:
    """What the program, or the person at the device, does about a code."""
    return _text(status_name(status), 1, language)


def outcome_text(outcome: Outcome, language: str = "en") -> str:
    """What an outcome means; "" for none."""
    return _text("KL_" + Outcome(outcome).name, 0, language)


def advice_text(advice: Advice, language: str = "en") -> str:
    """What an advice means."""
    return _text("KL_ADVICE_" + Advice(advice).name, 0, language)


def set_time(time: Optional[Time]) -> None:
    """Hands in a time that is trusted more than the device's clock (GPS, modem, NTP); ``None`` forgets it.

    For the whole process: certificates are checked by it, advanced by the monotonic clock. Any thread.
    """
    _native.library().call("kl_set_time", _native.seconds(time, "time"))


__all__ = [
    "Advice",
    "Cabinet",
    "Client",
    "ClientTime",
    "CodeKind",
    "CodeState",
    "Command",
    "CommandFilter",
    "CommandKind",
    "Company",
    "DeliveryState",
    "DoorState",
    "Event",
    "EventInfo",
    "EventKind",
    "HttpAction",
    "HttpConnection",
    "HttpStep",
    "Items",
    "JournalInfo",
    "KEYS",
    "Order",
    "OrderKind",
    "OrderLine",
    "Outcome",
    "Page",
    "PaymentResult",
    "PaymentState",
    "PhysicalState",
    "PickupCode",
    "REQUEST_ID_MAX",
    "SaleState",
    "ServiceState",
    "SettledBy",
    "SignedWith",
    "Stats",
    "Status",
    "StockItem",
    "Task",
    "TaskState",
    "Tasks",
    "Time",
    "TimeSource",
    "User",
    "Verb",
    "Visit",
    "__version__",
    "abi_version",
    "advice_text",
    "build_info",
    "disable_logging",
    "enable_logging",
    "load_library",
    "outcome_text",
    "set_time",
    "status_help",
    "status_name",
    "status_text",
    "version",
]
__all__ += errors.__all__
