"""The exceptions, each with what became of the command and what to do now.

Two questions can be asked with ``except``, and every exception answers both:

* what went wrong: :class:`NetworkError`, :class:`ConfigError`, :class:`NotFound`, ...
* what became of a command or another write: :class:`NotDone` or :class:`OutcomeUnknown`.

A door whose answer got lost raises an exception that is a :class:`NetworkError` *and* an :class:`OutcomeUnknown`. A read
that failed is neither of the last two. Write the question about the outcome first::

    try:
        client.door_open(request_id, cabinet)
    except kiosklink.OutcomeUnknown:
        ...  # it may have opened: find out, never send it under another name
    except kiosklink.Error as error:
        ...  # it did not open; error.advice says whether trying again helps
"""

from typing import Any, Dict, Optional, Tuple, Type

from .enums import Advice, Outcome, Status

__all__ = [
    "AccountError",
    "ArgumentError",
    "AuthError",
    "Blocked",
    "BusyError",
    "Cancelled",
    "ClosedError",
    "CodeExpired",
    "CodeTries",
    "CodeUsed",
    "CommandError",
    "ConfigError",
    "Duplicate",
    "Error",
    "EventError",
    "EventSignatureError",
    "ForkedError",
    "InFlight",
    "InternalError",
    "JournalError",
    "Kept",
    "LibraryError",
    "NetworkError",
    "NotDone",
    "NotFound",
    "NotMoved",
    "NotReady",
    "Offline",
    "OrderStateError",
    "OutOfStock",
    "OutcomeUnknown",
    "Pending",
    "PlatformError",
    "ProtocolError",
    "RateLimited",
    "RequestIdError",
    "RequestTooOld",
    "ResourceError",
    "Stale",
    "Timeout",
    "TlsError",
    "TooEarly",
    "Unknowable",
    "Unsettled",
    "UnsupportedError",
]


class LibraryError(ImportError):
    """The native library is missing, or is not one that this package can speak to. The message says which and why."""


class Error(Exception):
    """A call failed. The base of all that calls raise; the sentence in ``str(error)`` never holds a secret.

    Decide by ``outcome`` and ``advice`` (or by the class), never by words.
    """

    status: Status
    """Which error it is: one of the codes of docs/errors.md."""

    name: str
    """Its name in C, ``KL_E_TIMEOUT_DNS``."""

    message: str
    """One sentence for a log or a technician."""

    outcome: Outcome
    """For commands and other writes: what became of it. ``Outcome.NONE`` for reads."""

    advice: Advice
    """What to do about it."""

    http_status: int
    """The HTTP status of the answer, 0 if there was none."""

    platform_code: int
    """The platform's own code, 0 if it gave none."""

    platform_name: str
    """The platform's own name or code of the refusal, whole (``ERR_SIGN``, ``10025``); empty if it gave none."""

    platform_message: str
    """The platform's own message."""

    os_errno: int
    """The system's errno, 0 if the system was not the reason."""

    retry_after_ms: int
    """How long to wait before the next try, in milliseconds; 0 if it is not known."""

    def __init__(
        self,
        message: str,
        *,
        status: int = Status.ARGUMENT,
        name: str = "",
        outcome: int = Outcome.NONE,
        advice: int = Advice.FIX,
        http_status: int = 0,
        platform_code: int = 0,
        platform_name: str = "",
        platform_message: str = "",
        os_errno: int = 0,
        retry_after_ms: int = 0,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = Status(status)
        self.name = name or "KL_E_%s" % self.status.name
        self.outcome = Outcome(outcome)
        self.advice = Advice(advice)
        self.http_status = http_status
        self.platform_code = platform_code
        self.platform_name = platform_name
        self.platform_message = platform_message
        self.os_errno = os_errno
        self.retry_after_ms = retry_after_ms

    def __str__(self) -> str:
        return "%s (%s)" % (self.message, self.name)

    def __repr__(self) -> str:
        return "<%s %s outcome=%s advice=%s: %s>" % (
            type(self).__name__,
            self.name,
            self.outcome.name,
            self.advice.name,
            self.message,
        )

    def __reduce__(self) -> Tuple[Any, ...]:
        # Classes that combine two are made at run time; a pickle names the code instead.
        details = {key: value for key, value in self.__dict__.items() if key != "message"}
        for key in ("status", "outcome", "advice"):
            details[key] = int(details[key])
        return (make, (self.message, details))


class NotDone(Error):
    """The command or write did not happen and will not. It may be tried again, under the same ``request_id``."""


class OutcomeUnknown(Error):
    """The command or write may have happened. Find out (door contact, order, callback, a person); never send it under
    another ``request_id``."""


class ArgumentError(Error, ValueError):
    """An argument is missing, out of its range, of the wrong form, or a text that is not valid UTF-8."""


class ClosedError(Error):
    """The client, iterator or event was closed before."""


class ForkedError(Error):
    """The object was made before a ``fork`` and belongs to the parent process: the child makes its own client."""


class InternalError(Error):
    """A bug in kiosklink was caught. Close this client and make a new one; settle first what was under way."""


class UnsupportedError(Error):
    """The platform has no such call; nothing was sent."""


class BusyError(Error):
    """Not now: called from inside a log handler, or another thread is at the same."""


class ResourceError(Error):
    """The system refused memory, a thread or a file descriptor."""


class ConfigError(Error, ValueError):
    """A setting is unknown, missing or wrong, or a file that it names is. The message suggests the nearest word."""


class Cancelled(Error):
    """Ended by :meth:`Client.cancel` or :meth:`Client.close` on another thread."""


class NetworkError(Error):
    """No connection, or none that lasted until the answer was whole."""


class Timeout(NetworkError):
    """The deadline passed; ``status`` says in which phase."""


class TlsError(Error):
    """No secure connection: certificate, name, pin, or the device's clock."""


class ProtocolError(Error):
    """The answer is none of the platform's: a captive portal, a server error, something unreadable or too large."""


class RateLimited(Error):
    """The platform asks for fewer calls: wait for ``retry_after_ms``."""


class PlatformError(Error):
    """The platform refused; see ``platform_code`` and ``platform_message``."""


class AuthError(PlatformError):
    """The platform does not accept the credentials, the signature, its time, or the account's rights."""


class AccountError(PlatformError):
    """The account itself, or its authorisation, has ended: a person must see to it."""


class NotFound(PlatformError):
    """The platform, or the journal, knows no such thing."""


class Offline(PlatformError):
    """The platform cannot reach the cabinet."""


class NotReady(PlatformError):
    """The cabinet or the door is in use, or not selling."""


class OutOfStock(PlatformError):
    """Nothing left of the goods."""


class CodeUsed(PlatformError):
    """The pickup code was used before, and not by this request."""


class CodeExpired(PlatformError):
    """The pickup code has expired."""


class OrderStateError(PlatformError):
    """The order is in no state for this."""


class Duplicate(PlatformError):
    """Your own number was used before: the thing may exist already."""


class CommandError(Error):
    """The rules of commands forbid it; nothing was sent this time."""


class RequestIdError(CommandError):
    """This ``request_id`` was already used for another command."""


class Stale(CommandError):
    """The command's time to live passed before it could be sent."""


class InFlight(CommandError):
    """The command with this ``request_id`` is under way on another thread."""


class Unsettled(CommandError):
    """What became of the command of this name is not known: find out."""


class Blocked(CommandError):
    """Another command at the same door or code is not settled; the message names it."""


class Pending(CommandError):
    """The time is up, and whether something moved is not known yet."""


class NotMoved(CommandError):
    """The platform took the command, but nothing moved."""


class Unknowable(CommandError):
    """This platform never tells whether something moved."""


class TooEarly(CommandError):
    """Too early to say *not done*: the request may still reach the platform. ``retry_after_ms`` is the time left."""


class RequestTooOld(CommandError):
    """The name was issued so long ago that its outcome is not kept any more; nothing was sent."""


class Kept(CommandError):
    """Nothing was sent yet: the library keeps it (``send_within_ms``) and sends it by itself. Do nothing."""


class CodeTries(CommandError):
    """Too many wrong codes in a short time; nothing was sent. ``retry_after_ms`` says when the next one is taken."""


class JournalError(Error):
    """The journal of commands cannot be read or written, is gone, older or copied, or its folder cannot keep one.
    Nothing was sent; see ``status`` and ``os_errno``."""


class EventError(Error):
    """The callback is not of the platform's form (answer HTTP 400), or too old (answer HTTP 403)."""


class EventSignatureError(EventError):
    """The callback's signature is wrong or missing: answer HTTP 403 and do nothing."""


# By number, because this package may be newer than the library's newest code or the other way round.
_EXACT: Dict[int, Type[Error]] = {
    1: ArgumentError,
    2: ArgumentError,
    3: ArgumentError,
    4: ClosedError,
    5: ForkedError,
    6: InternalError,
    7: InternalError,
    8: UnsupportedError,
    9: BusyError,
    10: ResourceError,
    200: Cancelled,
    403: RateLimited,
    501: AuthError,
    502: AuthError,
    503: NotFound,
    505: Offline,
    506: NotReady,
    507: OutOfStock,
    508: AuthError,
    520: CodeUsed,
    521: CodeExpired,
    522: OrderStateError,
    523: AccountError,
    524: Duplicate,
    525: AccountError,
    526: CodeTries,
    600: RequestIdError,
    601: Stale,
    602: InFlight,
    603: Unsettled,
    604: Blocked,
    605: Pending,
    606: NotMoved,
    607: Unknowable,
    608: TooEarly,
    609: RequestTooOld,
    630: Kept,
    700: EventSignatureError,
}
_RANGES: Tuple[Tuple[int, int, Type[Error]], ...] = (
    (100, 199, ConfigError),
    (210, 219, Timeout),
    (200, 299, NetworkError),
    (300, 399, TlsError),
    (400, 499, ProtocolError),
    (500, 599, PlatformError),
    (610, 629, JournalError),
    (600, 699, CommandError),
    (700, 799, EventError),
)
_OUTCOMES: Dict[int, Type[Error]] = {Outcome.NOT_DONE: NotDone, Outcome.UNKNOWN: OutcomeUnknown}
_COMBINED: Dict[Tuple[Type[Error], Type[Error]], Type[Error]] = {}


def kind_of(status: int) -> Type[Error]:
    """The class that says what went wrong; :class:`Error` itself for a code that this package does not know."""
    exact = _EXACT.get(status)
    if exact is not None:
        return exact
    for low, high, kind in _RANGES:
        if low <= status <= high:
            return kind
    return Error


def class_of(status: int, outcome: int) -> Type[Error]:
    """The class that an error of this code and outcome has."""
    kind = kind_of(status)
    fate: Optional[Type[Error]] = _OUTCOMES.get(outcome)
    if fate is None:
        return kind
    if kind is Error:
        return fate
    both = _COMBINED.get((fate, kind))
    if both is None:
        both = type(fate.__name__ + kind.__name__, (fate, kind), {"__doc__": kind.__doc__, "__module__": __name__})
        _COMBINED[(fate, kind)] = both
    return both


def make(message: str, details: Dict[str, Any]) -> Error:
    """The exception of these details, of the class that fits its code and outcome."""
    return class_of(details["status"], details["outcome"])(message, **details)
