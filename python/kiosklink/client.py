"""A client: one account on one platform, with every verb of the library."""

import ctypes
import functools
import os
import threading
import warnings
import weakref
from typing import (
    Any,
    Callable,
    Generic,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
    TypeVar,
    Union,
)

from . import _abi, models
from ._native import (
    Json,
    Library,
    Time,
    i32,
    i64,
    json_text,
    library,
    number,
    parsed,
    request,
    seconds,
    string,
    text,
    u32,
)
from .enums import CodeKind, CommandFilter, OrderKind, PaymentResult, SettledBy, TimeSource
from .errors import ArgumentError, ClosedError, Error
from .models import (
    Cabinet,
    ClientTime,
    Command,
    Company,
    EventInfo,
    JournalInfo,
    Order,
    Page,
    PickupCode,
    Stats,
    StockItem,
    User,
    Visit,
)
from .tasks import Aio

__all__ = ["Client", "Event", "Items"]

T = TypeVar("T")
Self = TypeVar("Self", bound="_Owner")

Setting = Union[str, int, bool, "os.PathLike[str]", None]
"""The value of a setting: ``True`` is "yes", ``None`` is as if the setting were not there."""

Headers = Union[
    Mapping[str, Any],
    Iterable[Tuple[Union[str, bytes], Union[str, bytes]]],
    None,
]
"""The headers of an HTTP request, as web frameworks hold them."""


class _Owner:
    """Something that owns a handle of the library and frees it once: closed, left by ``with``, or forgotten."""

    _lib: Library
    _handle: int
    _of: Any  # what a view was made from
    _free: Any  # a weakref.finalize, which is generic for some type checkers and not for others

    def _own(self, lib: Library, handle: int, free: str) -> None:
        self._lib = lib
        # Kept after it was freed: handles are looked up, and a stale one is an error of its own.
        self._handle = handle
        self._free = weakref.finalize(self, lib.function(free), handle)

    def close(self) -> None:
        """Frees what the library holds. Closing twice does nothing; any other use then raises :class:`ClosedError`."""
        self._free()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return not self._free.alive

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> Any:
        raise TypeError("%s belongs to its process: make one where it is needed" % type(self).__name__)


class Items(_Owner, Generic[T]):
    """Walks a long list and holds one page of it in memory; each page has ``timeout_ms``.

    Ends with the last item, which closes it; or close it, or use ``with``. After an exception ``next()`` asks for the same
    page again. Any thread may take the next item; two at once take turns.
    """

    def __init__(
        self, owner: "Client", made: int, names: Tuple[str, str], kind: Type[Any], copy: Callable[[Any], T]
    ) -> None:
        self._own(owner._lib, made, names[1])
        self._owner = owner
        self._name = names[0]
        self._kind = kind
        self._copy = copy
        self._lock = threading.Lock()
        self._ended = False

    def __iter__(self) -> "Items[T]":
        return self

    def __next__(self) -> T:
        item = ctypes.POINTER(self._kind)()
        # What an item borrows ends with the next one, so it is copied before anybody may take that.
        with self._lock:
            if self._ended:
                raise StopIteration
            self._lib.call(self._name, self._handle, ctypes.byref(item))
            if item:
                return self._copy(item.contents)
            self._ended = True
        self.close()
        raise StopIteration

    def close(self) -> None:
        """Frees the page. Closing twice does nothing."""
        with self._lock:
            super().close()


class Event(_Owner):
    """A callback, verified where the platform signs it. ``info`` says what it is; :attr:`reply` goes back.

    Any thread may use it; two at once take turns. It does not need its client any more.
    """

    info: EventInfo
    """What the callback says, copied."""

    def __init__(self, lib: Library, handle: int) -> None:
        self._own(lib, handle, "kl_event_free")
        self._lock = threading.Lock()
        self.info = models.event_info(lib.function("kl_event_view")(handle).contents)

    @property
    def reply(self) -> str:
        """The exact body that the platform expects: send it with HTTP 200 and ``Content-Type: application/json``.

        Unless :meth:`set_reply` said otherwise it means *taken*. Raises :class:`ClosedError` after ``close``.
        """
        with self._lock:
            raw: Optional[bytes] = self._lib.function("kl_event_reply")(self._handle)
        if raw is None:
            raise ClosedError("the event was closed", status=_abi.KL_E_HANDLE)
        return string(raw)

    def set_reply(self, code: int = 0, message: Optional[str] = None, data: Json = None) -> None:
        """Changes the answer.

        ``code`` 0 means taken; any other asks the platform to come again. ``data`` is the result of a refund that
        ``EventKind.REFUND_APPROVED`` asks for.
        """
        with self._lock:
            self._lib.call(
                "kl_event_set_reply",
                self._handle,
                i32(code, "code"),
                text(message, "message"),
                json_text(data, "data"),
            )

    def __repr__(self) -> str:
        return "<kiosklink.Event %s %s>" % (self.info.kind.name, self.info.method)


# What the methods were called before they were called as the functions of C are. For programs that were written then;
# gone with version 1.0.
_BEFORE = {
    "adopt_journal": "journal_adopt",
    "apply_refund": "refund_apply",
    "cabinets": "cabinet_iter",
    "cancel_codes": "code_cancel",
    "check_door": "door_check",
    "check_redeem": "redeem_check",
    "close_visit": "visit_close",
    "command": "command_get",
    "commands": "command_list",
    "company": "company_get",
    "create_codes": "code_create",
    "create_order": "order_create",
    "file_appeal": "appeal_file",
    "get_order": "order_get",
    "journal": "journal_read",
    "list_cabinets": "cabinet_list",
    "list_codes": "code_list",
    "list_orders": "order_list",
    "list_stock": "stock_fetch",
    "lookup_code": "code_lookup",
    "open_door": "door_open",
    "orders": "order_iter",
    "overrule": "command_overrule",
    "parse_event": "event_parse",
    "pending": "command_pending",
    "redeem_code": "code_redeem",
    "repair_journal": "journal_repair",
    "report_payment": "payment_report",
    "resolve": "command_resolve",
    "settle": "command_settle",
    "stock": "stock_iter",
    "user": "user_get",
    "visits": "visit_list",
    "wait": "command_wait",
}


def _report_before(report: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if "notify_url" in kwargs:
        kwargs["report_url"] = kwargs.pop("notify_url")
    return report(*args, **kwargs)


class Client(_Owner):
    """One account on one platform. Any number of threads may use it at the same time.

    ::

        with kiosklink.Client("yopoint", app_id="...", app_secret="...") as client:
            client.ping()

    The settings are the words of docs/settings.md: ``timeout_ms=10000``, ``ca_file="ca.pem"``, ``allow_http=True``. An
    unknown one raises :class:`ConfigError`, and its message names the nearest. Making a client checks the settings and
    reads the files they name; it sends nothing and works without a network.

    Calls block for ``timeout_ms`` at most and give up the GIL. :meth:`cancel` ends them from another thread. Every call
    raises a subclass of :class:`Error`. Close a client, use ``with``, or forget it: each ends its calls in flight.
    After ``os.fork`` the child must make its own.
    """

    def __init__(self, platform: str, **settings: Setting) -> None:
        lib = library()
        self._open(lib, lib.make("kl_config_new", text(platform, "platform")), settings)
        self._called = platform

    @classmethod
    def from_file(
        cls, path: "Union[str, os.PathLike[str]]", account: Optional[str] = None, **settings: Setting
    ) -> "Client":
        """A client for an account of a JSON file; ``settings`` replace what the file says.

        ``account`` may be left out if the file holds one. Relative paths in the file count from its own folder.
        """
        lib = library()
        self = cls.__new__(cls)
        config = lib.make("kl_config_load", text(os.fspath(path), "path"), text(account, "account"))
        self._open(lib, config, settings)
        self._called = account or "the only account of its file"
        return self

    def _open(self, lib: Library, config: int, settings: Mapping[str, Setting]) -> None:
        try:
            for key, value in settings.items():
                if value is not None:
                    lib.call("kl_config_set", config, text(key, "a setting"), _setting(key, value))
            self._own(lib, lib.make("kl_client_new", config), "kl_client_free")
        finally:
            lib.function("kl_config_free")(config)

    def __repr__(self) -> str:
        return "<kiosklink.Client %s%s>" % (self._called, " closed" if self.closed else "")

    def __getattr__(self, name: str) -> Any:
        # Only names that the class does not have come here.
        now = _BEFORE.get(name)
        if now is None:
            raise AttributeError("%r object has no attribute %r" % (type(self).__name__, name))
        warnings.warn("Client.%s is called %s now" % (name, now), DeprecationWarning, stacklevel=2)
        method = getattr(self, now)
        return functools.partial(_report_before, method) if now == "payment_report" else method

    # ---- The client itself ----

    def cancel(self) -> None:
        """Ends every call in flight on this client with :class:`Cancelled`. For other threads; later calls work.

        A command whose first byte had left is then *unknown*: its exception is an :class:`OutcomeUnknown` too.
        """
        self._lib.call("kl_client_cancel", self._handle)

    def view(self, timeout_ms: int = 0) -> "Client":
        """The same client with a timeout (0: this one's) and a cancel of its own.

        Account, journal, connections and token are shared. :meth:`cancel` of the view ends the calls through it only; that
        of the client ends those of its views too. Closing a view ends its own calls, closing the client closes its views.
        """
        options = request(_abi.kl_view_options, timeout_ms=u32(timeout_ms, "timeout_ms"))
        view = type(self).__new__(type(self))
        view._own(
            self._lib, self._lib.make("kl_client_view", self._handle, ctypes.byref(options)), "kl_client_free"
        )
        view._called = "view of " + self._called
        # A client that is forgotten is closed, and its views with it.
        view._of = self
        return view

    @property
    def aio(self) -> Aio:
        """The calls for asyncio: ``await client.aio.door_open("visit-1", cabinet)``. :class:`Tasks` is for other loops."""
        made: Optional[Aio] = self.__dict__.get("_aio")
        if made is None:
            # Of two threads one wins, and the other's has no thread yet.
            made = self.__dict__.setdefault("_aio", Aio(self))
        return made

    def warm(self) -> None:
        """Opens the connection before it is needed, or proves that the open one is alive: the next call is one round
        trip. Call it when a customer walks up."""
        self._lib.call("kl_client_warm", self._handle)

    def can(self, verb: int) -> bool:
        """Whether the platform has such a call (:class:`Verb`); the others raise :class:`UnsupportedError`. Sends nothing."""
        return bool(self._lib.function("kl_client_can")(self._handle, i32(verb, "verb")))

    def ping(self) -> None:
        """Asks the platform whether it is there and takes the credentials."""
        self._lib.call("kl_ping", self._handle)

    def time(self) -> ClientTime:
        """The time as this client knows it, and where it comes from. Sends nothing."""
        now, source = ctypes.c_int64(), ctypes.c_int32()
        self._lib.call("kl_client_time", self._handle, ctypes.byref(now), ctypes.byref(source))
        return ClientTime(now.value, TimeSource(source.value))

    def stats(self) -> Stats:
        """Counts of what the client did, how long its calls took, and what became of its acts. Sends nothing."""
        raw = request(_abi.kl_stats)
        self._lib.call("kl_client_stats", self._handle, ctypes.byref(raw))
        return models.stats(raw)

    # ---- Reads: tried again inside timeout_ms when the network fails ----

    def cabinet_list(self, page: Optional[int] = None, page_size: int = 0) -> Page[Cabinet]:
        """The account's cabinets: page number ``page`` (from 1), or all of them."""
        made = self._lib.make("kl_cabinet_list", self._handle, _page(page, page_size))
        return self._list(made, "kl_cabinets", models.cabinet)

    def cabinet_iter(self, page_size: int = 0) -> Items[Cabinet]:
        """Walks the account's cabinets, one page in memory. ``page_size`` 0 is the most that the platform documents."""
        made = self._lib.make("kl_cabinet_iter_new", self._handle, u32(page_size, "page_size"))
        names = ("kl_cabinet_iter_next", "kl_cabinet_iter_free")
        return Items(self, made, names, _abi.kl_cabinet, models.cabinet)

    def stock_fetch(
        self, cabinet_id: str, page: Optional[int] = None, page_size: int = 0, extra: Json = None
    ) -> Page[StockItem]:
        """The goods of a cabinet with price and number: page number ``page`` (from 1), or all of them."""
        which = text(cabinet_id, "cabinet_id")
        if page is None and extra is None:
            made = self._lib.make("kl_stock_fetch", self._handle, which)
        else:
            more = json_text(extra, "extra")
            made = self._lib.make("kl_stock_fetch_page", self._handle, which, _page(page, page_size), more)
        return self._list(made, "kl_stock", models.stock_item)

    def stock_iter(self, cabinet_id: str, page_size: int = 0, extra: Json = None) -> Items[StockItem]:
        """Walks the goods of a cabinet, one page in memory."""
        made = self._lib.make(
            "kl_stock_iter_new",
            self._handle,
            text(cabinet_id, "cabinet_id"),
            u32(page_size, "page_size"),
            json_text(extra, "extra"),
        )
        return Items(self, made, ("kl_stock_iter_next", "kl_stock_iter_free"), _abi.kl_stock_item, models.stock_item)

    def order_get(
        self,
        order_no: Optional[str] = None,
        *,
        trade_no: Optional[str] = None,
        cabinet_id: Optional[str] = None,
        kind: int = OrderKind.CABINET,
        extra: Json = None,
    ) -> Order:
        """One order, by the platform's number or by the payment channel's or your own."""
        raw = request(
            _abi.kl_order_ref,
            kind=i32(kind, "kind"),
            order_no=text(order_no, "order_no"),
            trade_no=text(trade_no, "trade_no"),
            cabinet_id=text(cabinet_id, "cabinet_id"),
            extra_json=json_text(extra, "extra"),
        )
        made = self._lib.make("kl_order_get", self._handle, ctypes.byref(raw))
        return self._list(made, "kl_orders", models.order)[0]

    def order_list(
        self,
        start: Time,
        end: Time,
        *,
        kind: int = OrderKind.CABINET,
        page: Optional[int] = None,
        page_size: int = 0,
        extra: Json = None,
    ) -> Page[Order]:
        """The orders of a period, its end included: page number ``page`` (from 1), or all of them."""
        raw = _order_query(start, end, kind, extra)
        made = self._lib.make("kl_order_list", self._handle, ctypes.byref(raw), _page(page, page_size))
        return self._list(made, "kl_orders", models.order)

    def order_iter(
        self, start: Time, end: Time, *, kind: int = OrderKind.CABINET, page_size: int = 0, extra: Json = None
    ) -> Items[Order]:
        """Walks the orders of a period, its end included, one page in memory."""
        raw = _order_query(start, end, kind, extra)
        made = self._lib.make("kl_order_iter_new", self._handle, ctypes.byref(raw), u32(page_size, "page_size"))
        return Items(self, made, ("kl_order_iter_next", "kl_order_iter_free"), _abi.kl_order, models.order)

    def code_lookup(
        self,
        code: str,
        *,
        kind: int = CodeKind.PICKUP,
        cabinet_id: Optional[str] = None,
        product_id: Optional[str] = None,
        extra: Json = None,
    ) -> PickupCode:
        """Looks a code up without using it. Raises :class:`NotFound` if there is no such code."""
        raw = _code_query(kind, code, cabinet_id, product_id, extra)
        made = self._lib.make("kl_code_lookup", self._handle, ctypes.byref(raw))
        return self._list(made, "kl_codes", models.pickup_code)[0]

    def code_list(
        self,
        *,
        kind: int = CodeKind.PICKUP,
        cabinet_id: Optional[str] = None,
        product_id: Optional[str] = None,
        extra: Json = None,
    ) -> Page[PickupCode]:
        """The codes of some goods that can still be used."""
        raw = _code_query(kind, None, cabinet_id, product_id, extra)
        made = self._lib.make("kl_code_list", self._handle, ctypes.byref(raw))
        return self._list(made, "kl_codes", models.pickup_code)

    def user_get(self) -> User:
        """The person behind the account."""
        made = self._lib.make("kl_user_get", self._handle)
        return self._view(made, "kl_user", models.user)

    def company_get(self) -> Company:
        """The company behind the account."""
        made = self._lib.make("kl_company_get", self._handle)
        return self._view(made, "kl_company", models.company)

    # ---- Commands: sent at most once for a request_id ----

    def request_id_new(self) -> str:
        """A new name for an act: this library never gives it again, nor does another. Sends nothing.

        Make it when the act is decided on, keep it before the first try, and use it at every try.
        """
        room = ctypes.create_string_buffer(_abi.KL_REQUEST_ID_MAX + 1)
        self._lib.call("kl_request_id_new", self._handle, room, len(room))
        return string(room.value)

    def door_open(
        self,
        request_id: str,
        cabinet_id: str,
        *,
        door: Optional[str] = None,
        user_id: Optional[str] = None,
        order_no: Optional[str] = None,
        item_no: Optional[str] = None,
        notify_url: Optional[str] = None,
        ttl_ms: int = 0,
        extra: Json = None,
        visit_id: Optional[str] = None,
        context: Optional[str] = None,
    ) -> Command:
        """Opens a door. Returning means *done*: the platform took the command; that the bolt moved is reported later.

        ``request_id`` is your name for this customer's action, 1 to 128 bytes, made before the first try and kept
        (:meth:`request_id_new`): under one name the door opens at most once. ``ttl_ms``: not to be sent later than that
        after the call; 0 for the setting ``command_ttl_ms``. ``visit_id`` is the customer's visit, ``context`` your own
        words (64 and 512 bytes at most): both are kept with the command and given back by it, after a restart too.

        Raises :class:`NotDone` (it may be tried again under the same name) or :class:`OutcomeUnknown` (it may have
        opened). The same name again never opens twice: after *done* it gives the recorded answer, after *unknown* it asks
        the platform, and only if that proves that nothing happened is it sent, else it raises :class:`Unsettled`. With the
        setting ``state_dir`` that holds across restarts and for all processes that share the folder. While a command at
        a door is unknown and its request may still arrive, others there raise :class:`Blocked`. :meth:`command_wait` says
        whether the door moved.
        """
        raw = _door(
            request_id, cabinet_id, door, user_id, order_no, item_no, notify_url, ttl_ms, extra, visit_id, context
        )
        made = self._lib.make("kl_door_open", self._handle, ctypes.byref(raw))
        return self._view(made, "kl_command", models.command)

    def door_check(
        self,
        request_id: str,
        cabinet_id: str,
        *,
        door: Optional[str] = None,
        user_id: Optional[str] = None,
        order_no: Optional[str] = None,
        item_no: Optional[str] = None,
        notify_url: Optional[str] = None,
        ttl_ms: int = 0,
        extra: Json = None,
        visit_id: Optional[str] = None,
        context: Optional[str] = None,
    ) -> None:
        """Raises what :meth:`door_open` would refuse of these arguments before it sends anything. Sends nothing.

        Check the door of a visit before its code is redeemed.
        """
        raw = _door(
            request_id, cabinet_id, door, user_id, order_no, item_no, notify_url, ttl_ms, extra, visit_id, context
        )
        self._lib.call("kl_door_check", self._handle, ctypes.byref(raw))

    def code_redeem(
        self,
        request_id: str,
        code: str,
        *,
        kind: int = CodeKind.PICKUP,
        cabinet_id: Optional[str] = None,
        product_id: Optional[str] = None,
        trade_no: Optional[str] = None,
        notify_url: Optional[str] = None,
        redeemer: Optional[str] = None,
        ttl_ms: int = 0,
        extra: Json = None,
        visit_id: Optional[str] = None,
        context: Optional[str] = None,
    ) -> Command:
        """Redeems a pickup code. Returning means *done*: the code is used, and the goods may be released.

        ``request_id``, ``visit_id``, ``context`` and exceptions are those of :meth:`door_open`; name the visit and never
        the code, which comes again. A code that somebody else used is :class:`CodeUsed` and :class:`NotDone`.
        """
        raw = _redeem(
            request_id,
            code,
            kind,
            cabinet_id,
            product_id,
            trade_no,
            notify_url,
            redeemer,
            ttl_ms,
            extra,
            visit_id,
            context,
        )
        made = self._lib.make("kl_code_redeem", self._handle, ctypes.byref(raw))
        return self._view(made, "kl_command", models.command)

    def redeem_check(
        self,
        request_id: str,
        code: str,
        *,
        kind: int = CodeKind.PICKUP,
        cabinet_id: Optional[str] = None,
        product_id: Optional[str] = None,
        trade_no: Optional[str] = None,
        notify_url: Optional[str] = None,
        redeemer: Optional[str] = None,
        ttl_ms: int = 0,
        extra: Json = None,
        visit_id: Optional[str] = None,
        context: Optional[str] = None,
    ) -> None:
        """Raises what :meth:`code_redeem` would refuse of these arguments before it sends anything. Sends nothing."""
        raw = _redeem(
            request_id,
            code,
            kind,
            cabinet_id,
            product_id,
            trade_no,
            notify_url,
            redeemer,
            ttl_ms,
            extra,
            visit_id,
            context,
        )
        self._lib.call("kl_redeem_check", self._handle, ctypes.byref(raw))

    # ---- What became of commands; none of these does anything again ----

    def command_get(self, request_id: str) -> Command:
        """What is recorded of a command, whatever its outcome. Sends nothing. Raises :class:`NotFound`."""
        made = self._lib.make("kl_command_get", self._handle, text(request_id, "request_id"))
        return self._view(made, "kl_command", models.command)

    def command_wait(self, request_id: str, timeout_ms: int = 0) -> Command:
        """Waits until it is known what the machine did; 0 asks once. Returning means: the door opened, the goods came out.

        Raises :class:`NotMoved`, :class:`Pending` (the time was up), :class:`Unknowable` (the platform never reports it) or
        :class:`Unsettled` (it is not known whether the command was taken at all); ``outcome`` is that of the command.
        Callbacks that any thread hands to :meth:`event_parse` end the wait early.
        """
        made = self._lib.make(
            "kl_command_wait", self._handle, text(request_id, "request_id"), u32(timeout_ms, "timeout_ms")
        )
        return self._view(made, "kl_command", models.command)

    def command_resolve(self, request_id: str) -> Command:
        """Finds out what became of a command, from the record or by asking the platform. Returning means *done*.

        Raises :class:`NotDone` (the same name may be tried again) or :class:`OutcomeUnknown`. If the advice is
        ``Advice.CALL_PERSON``, asking again will not help: :meth:`command_settle`. After a restart, for each of :meth:`command_pending`.
        """
        made = self._lib.make("kl_command_resolve", self._handle, text(request_id, "request_id"))
        return self._view(made, "kl_command", models.command)

    def command_settle(
        self, request_id: str, outcome: int, *, by: int = SettledBy.PERSON, note: Optional[str] = None
    ) -> None:
        """Decides an unknown command by what was seen at the machine, and frees the door for others. Sends nothing.

        ``outcome`` is ``Outcome.DONE`` or ``Outcome.NOT_DONE``, ``by`` is ``SettledBy.SENSOR`` or ``.PERSON``. Settling twice
        with the same outcome is no error; a command that is settled the other way is not changed
        (:class:`RequestIdError`). *Done* is taken at any time, *not done* raises :class:`TooEarly` while the request may
        still reach the machine.
        """
        self._lib.call(
            "kl_command_settle",
            self._handle,
            text(request_id, "request_id"),
            i32(outcome, "outcome"),
            i32(by, "by"),
            text(note, "note"),
        )

    def command_overrule(self, request_id: str, outcome: int, note: str) -> None:
        """A person decides an unknown command although it is too early to say *not done*. Never for a program to call by
        itself. ``note`` says who and why, and is kept. Otherwise as :meth:`command_settle`."""
        self._lib.call(
            "kl_command_overrule",
            self._handle,
            text(request_id, "request_id"),
            i32(outcome, "outcome"),
            text(note, "note"),
        )

    def command_list(self, since: int = 0, which: int = CommandFilter.ANY) -> Page[Command]:
        """The commands that are remembered whole, the oldest first: those with a ``sequence`` above ``since``. Sends
        nothing."""
        low = number(since, "since", 0, 2**64 - 1)
        made = self._lib.make("kl_command_list", self._handle, low, i32(which, "which"))
        return self._list(made, "kl_commands", models.command)

    def command_pending(self) -> Page[Command]:
        """The commands that are under way or unknown, the oldest first: after a start, what the last run left behind.
        Sends nothing."""
        made = self._lib.make("kl_command_pending", self._handle)
        return self._list(made, "kl_commands", models.command)

    def visit_list(self) -> Page[Visit]:
        """The visits that are open, the oldest first, each with its commands: after a start, what the power or a crash
        interrupted. Sends nothing."""
        made = self._lib.make("kl_visit_list", self._handle)
        return self._list(made, "kl_visits", models.visit)

    def visit_close(self, visit_id: str) -> None:
        """Ends a visit: it is not listed any more. Its commands stay as they are. Sends nothing."""
        self._lib.call("kl_visit_close", self._handle, text(visit_id, "visit_id"))

    def journal_read(self) -> JournalInfo:
        """How the journal does: its size, what is unsettled, how long the disk takes. Sends nothing."""
        raw = request(_abi.kl_journal_info)
        self._lib.call("kl_journal_read", self._handle, ctypes.byref(raw))
        return models.journal_info(raw)

    def journal_repair(self) -> None:
        """After ``Status.JOURNAL_DAMAGED``, when a person has decided to go on: keeps every record that can be read.

        What the damaged part knew is lost: a ``request_id`` from there would be sent again. Sends nothing.
        """
        self._lib.call("kl_journal_repair", self._handle)

    def journal_adopt(self, note: str) -> None:
        """After ``Status.JOURNAL_MISSING``, ``JOURNAL_OLDER`` or ``JOURNAL_COPIED``, when a person has decided to go on.

        What the lost journal knew is lost: look first at what was under way. ``note`` says who and why, and is kept. Sends
        nothing.
        """
        self._lib.call("kl_journal_adopt", self._handle, text(note, "note"))

    # ---- Other writes: sent at most once a call, and at most once under a request_id if they are given one ----

    def code_create(
        self,
        cabinet_id: str,
        product_id: Optional[str] = None,
        *,
        count: int = 0,
        length: int = 0,
        expires_at: Optional[Time] = None,
        extra: Json = None,
    ) -> Page[PickupCode]:
        """Makes codes and gives exactly the new ones: ``count`` (0 for one) of ``length`` digits (0 for the platform's
        default), for some goods or for each of the cabinet's."""
        raw = request(
            _abi.kl_code_create_request,
            count=u32(count, "count"),
            length=u32(length, "length"),
            expires_at=seconds(expires_at, "expires_at"),
            cabinet_id=text(cabinet_id, "cabinet_id"),
            product_id=text(product_id, "product_id"),
            extra_json=json_text(extra, "extra"),
        )
        made = self._lib.make("kl_code_create", self._handle, ctypes.byref(raw))
        return self._list(made, "kl_codes", models.pickup_code)

    def code_cancel(self, cabinet_id: str, id: Optional[str] = None, extra: Json = None) -> Any:
        """Cancels the code with this id, or all of a cabinet. Gives the platform's data."""
        raw = request(
            _abi.kl_code_cancel_request,
            cabinet_id=text(cabinet_id, "cabinet_id"),
            id=text(id, "id"),
            extra_json=json_text(extra, "extra"),
        )
        return self._answer(self._lib.make("kl_code_cancel", self._handle, ctypes.byref(raw)))

    def order_create(
        self,
        cabinet_id: str,
        lines: Sequence[Tuple[str, int]],
        *,
        trade_no: Optional[str] = None,
        notify_url: Optional[str] = None,
        request_id: Optional[str] = None,
        extra: Json = None,
        visit_id: Optional[str] = None,
        context: Optional[str] = None,
    ) -> Order:
        """Makes an order of goods, pairs of product id and number. Gives its number and yours and nothing else yet.

        ``request_id``, here and on the writes below: your name for this act, under which it is sent at most once.
        """
        goods = [
            request(
                _abi.kl_order_create_line, product_id=text(product_id, "product_id"), quantity=u32(quantity, "quantity")
            )
            for product_id, quantity in lines
        ]
        pointer = ctypes.POINTER(_abi.kl_order_create_line)
        array = (pointer * len(goods))(*(ctypes.pointer(line) for line in goods))
        raw = request(
            _abi.kl_order_create_request,
            line_count=len(lines),
            lines=ctypes.cast(array, ctypes.POINTER(pointer)),
            cabinet_id=text(cabinet_id, "cabinet_id"),
            trade_no=text(trade_no, "trade_no"),
            notify_url=text(notify_url, "notify_url"),
            request_id=text(request_id, "request_id"),
            extra_json=json_text(extra, "extra"),
            visit_id=text(visit_id, "visit_id"),
            context=text(context, "context"),
        )
        made = self._lib.make("kl_order_create", self._handle, ctypes.byref(raw))
        return self._list(made, "kl_orders", models.order)[0]

    def payment_report(
        self,
        order_no: str,
        *,
        paid: bool = True,
        amount: Optional[int] = None,
        report_url: Optional[str] = None,
        cabinet_id: Optional[str] = None,
        trade_no: Optional[str] = None,
        channel: Json = None,
        request_id: Optional[str] = None,
        extra: Json = None,
        visit_id: Optional[str] = None,
        context: Optional[str] = None,
        send_within_ms: int = 0,
    ) -> Any:
        """Reports that an order was paid, or that the payment failed. Gives the platform's data.

        Required for every order that a door made, or it stays unpaid forever. ``amount`` is in fen. ``report_url`` is
        the address that the platform gave for this order (Yopoint); ``channel`` the payment channel's raw answer.
        With ``send_within_ms`` one that cannot leave now raises :class:`Kept`: the library sends it later.
        """
        raw = request(
            _abi.kl_payment_report_request,
            result=PaymentResult.PAID if paid else PaymentResult.FAILED,
            amount=-1 if amount is None else number(amount, "amount", 0, 2**63 - 1),
            report_url=text(report_url, "report_url"),
            order_no=text(order_no, "order_no"),
            cabinet_id=text(cabinet_id, "cabinet_id"),
            trade_no=text(trade_no, "trade_no"),
            channel_json=json_text(channel, "channel"),
            request_id=text(request_id, "request_id"),
            extra_json=json_text(extra, "extra"),
            visit_id=text(visit_id, "visit_id"),
            context=text(context, "context"),
            send_within_ms=u32(send_within_ms, "send_within_ms"),
        )
        return self._answer(self._lib.make("kl_payment_report", self._handle, ctypes.byref(raw)))

    def refund_apply(
        self,
        order_no: str,
        *,
        cabinet_id: Optional[str] = None,
        reason: Optional[str] = None,
        remarks: Optional[str] = None,
        phone: Optional[str] = None,
        request_id: Optional[str] = None,
        extra: Json = None,
        visit_id: Optional[str] = None,
        context: Optional[str] = None,
        send_within_ms: int = 0,
    ) -> Any:
        """Asks for a full refund on the customer's behalf. Gives the platform's data."""
        raw = _claim(
            order_no, cabinet_id, reason, remarks, phone, request_id, extra, visit_id, context, send_within_ms
        )
        return self._answer(self._lib.make("kl_refund_apply", self._handle, ctypes.byref(raw)))

    def appeal_file(
        self,
        order_no: str,
        *,
        cabinet_id: Optional[str] = None,
        reason: Optional[str] = None,
        remarks: Optional[str] = None,
        phone: Optional[str] = None,
        request_id: Optional[str] = None,
        extra: Json = None,
        visit_id: Optional[str] = None,
        context: Optional[str] = None,
        send_within_ms: int = 0,
    ) -> Any:
        """Disputes the goods of an order on the customer's behalf. Gives the platform's data."""
        raw = _claim(
            order_no, cabinet_id, reason, remarks, phone, request_id, extra, visit_id, context, send_within_ms
        )
        return self._answer(self._lib.make("kl_appeal_file", self._handle, ctypes.byref(raw)))

    # ---- Everything else ----

    def call(self, method: str, params: Json = None) -> Any:
        """Any call of the platform by its own name (``cabinet.order.list``, ``POST /products``), with its own parameters.

        Gives the platform's data, its envelope checked. A command that has a verb of its own is refused.
        """
        made = self._lib.make("kl_call", self._handle, text(method, "method"), json_text(params, "params"))
        return self._answer(made)

    def event_parse(self, headers: Headers, body: Union[bytes, bytearray, memoryview]) -> Event:
        """Verifies and parses a callback. Sends nothing.

        ``headers``: the request's headers, as a mapping, as pairs, or a WSGI ``environ``; ``None`` if the platform puts
        nothing there. ``body``: its body, byte for byte; for a payment page and for Youzan's market messages the query
        string.

        Raises :class:`EventSignatureError` (answer HTTP 403 and do nothing) or :class:`EventError` (answer HTTP 400).
        """
        if not isinstance(body, (bytes, bytearray, memoryview)):
            raise ArgumentError("body must be bytes, not %s" % type(body).__name__)
        raw = bytes(body)
        lines = text(_header_lines(headers), "headers")
        return Event(self._lib, self._lib.make("kl_event_parse", self._handle, lines, raw, len(raw)))

    # ---- Results, copied and freed ----

    def _list(self, handle: int, name: str, copy: Callable[[Any], T]) -> Page[T]:
        lib = self._lib
        try:
            at = lib.function(name + "_at")
            items = [copy(at(handle, i).contents) for i in range(lib.function(name + "_count")(handle))]
            if name in ("kl_codes", "kl_commands", "kl_visits"):
                return Page(items, len(items), False)
            total = models.told(lib.function(name + "_total")(handle))
            return Page(items, total, models.yes(lib.function(name + "_more")(handle)))
        finally:
            lib.function(name + "_free")(handle)

    def _view(self, handle: int, name: str, copy: Callable[[Any], T]) -> T:
        try:
            return copy(self._lib.function(name + "_view")(handle).contents)
        finally:
            self._lib.function(name + "_free")(handle)

    def _answer(self, handle: int) -> Any:
        try:
            raw = string(self._lib.function("kl_response_json")(handle))
        finally:
            self._lib.function("kl_response_free")(handle)
        return parsed(raw, "the answer")


def _setting(key: str, value: Setting) -> Optional[bytes]:
    if isinstance(value, bool):
        return b"yes" if value else b"no"
    if isinstance(value, int):
        return b"%d" % value
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    return text(value, key)


def _page(page: Optional[int], size: int) -> Any:
    if page is None:
        if size:
            raise ArgumentError("page_size needs a page")
        return None
    made = request(_abi.kl_page, number=u32(page, "page"), size=u32(size, "page_size"))
    return ctypes.byref(made)


def _order_query(start: Time, end: Time, kind: int, extra: Json) -> Any:
    made = request(_abi.kl_order_query, kind=i32(kind, "kind"), extra_json=json_text(extra, "extra"))
    setattr(made, "from", seconds(start, "start"))
    made.to = seconds(end, "end")
    return made


def _code_query(
    kind: int, code: Optional[str], cabinet_id: Optional[str], product_id: Optional[str], extra: Json
) -> Any:
    return request(
        _abi.kl_code_query,
        kind=i32(kind, "kind"),
        code=text(code, "code"),
        cabinet_id=text(cabinet_id, "cabinet_id"),
        product_id=text(product_id, "product_id"),
        extra_json=json_text(extra, "extra"),
    )


def _door(
    request_id: str,
    cabinet_id: str,
    door: Optional[str],
    user_id: Optional[str],
    order_no: Optional[str],
    item_no: Optional[str],
    notify_url: Optional[str],
    ttl_ms: int,
    extra: Json,
    visit_id: Optional[str],
    context: Optional[str],
) -> Any:
    return request(
        _abi.kl_door_request,
        ttl_ms=u32(ttl_ms, "ttl_ms"),
        request_id=text(request_id, "request_id"),
        cabinet_id=text(cabinet_id, "cabinet_id"),
        door=text(door, "door"),
        user_id=text(user_id, "user_id"),
        order_no=text(order_no, "order_no"),
        item_no=text(item_no, "item_no"),
        notify_url=text(notify_url, "notify_url"),
        extra_json=json_text(extra, "extra"),
        visit_id=text(visit_id, "visit_id"),
        context=text(context, "context"),
    )


def _redeem(
    request_id: str,
    code: str,
    kind: int,
    cabinet_id: Optional[str],
    product_id: Optional[str],
    trade_no: Optional[str],
    notify_url: Optional[str],
    redeemer: Optional[str],
    ttl_ms: int,
    extra: Json,
    visit_id: Optional[str],
    context: Optional[str],
) -> Any:
    return request(
        _abi.kl_redeem_request,
        ttl_ms=u32(ttl_ms, "ttl_ms"),
        kind=i32(kind, "kind"),
        request_id=text(request_id, "request_id"),
        code=text(code, "code"),
        cabinet_id=text(cabinet_id, "cabinet_id"),
        product_id=text(product_id, "product_id"),
        trade_no=text(trade_no, "trade_no"),
        notify_url=text(notify_url, "notify_url"),
        redeemer=text(redeemer, "redeemer"),
        extra_json=json_text(extra, "extra"),
        visit_id=text(visit_id, "visit_id"),
        context=text(context, "context"),
    )


def _claim(
    order_no: str,
    cabinet_id: Optional[str],
    reason: Optional[str],
    remarks: Optional[str],
    phone: Optional[str],
    request_id: Optional[str],
    extra: Json,
    visit_id: Optional[str],
    context: Optional[str],
    send_within_ms: int,
) -> Any:
    return request(
        _abi.kl_claim_request,
        order_no=text(order_no, "order_no"),
        cabinet_id=text(cabinet_id, "cabinet_id"),
        reason=text(reason, "reason"),
        remarks=text(remarks, "remarks"),
        phone=text(phone, "phone"),
        request_id=text(request_id, "request_id"),
        extra_json=json_text(extra, "extra"),
        visit_id=text(visit_id, "visit_id"),
        context=text(context, "context"),
        send_within_ms=u32(send_within_ms, "send_within_ms"),
    )


def _pairs(headers: Any) -> Iterator[Tuple[Any, Any]]:
    items = getattr(headers, "items", None)
    if items is None:
        yield from headers
        return
    if "wsgi.version" in headers:
        for key, value in items():
            if key.startswith("HTTP_"):
                yield key[5:].replace("_", "-"), value
            elif key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                yield key.replace("_", "-"), value
        return
    for key, value in items():
        if isinstance(value, (list, tuple)):
            for one in value:
                yield key, one
        else:
            yield key, value


def _header_lines(headers: Headers) -> Optional[str]:
    """Header lines, separated by newlines. A newline inside one would make a header that nobody sent."""
    if headers is None:
        return None
    lines: List[str] = []
    for pair in _pairs(headers):
        try:
            key, value = (part.decode("latin-1") if isinstance(part, bytes) else part for part in pair)
            line = "%s: %s" % (key.strip(), value.strip())
        except (AttributeError, TypeError, ValueError):
            raise ArgumentError("headers must be a mapping or pairs of text") from None
        if any(c in line for c in "\r\n\0"):
            raise ArgumentError("a header holds a line break or a NUL")
        lines.append(line)
    return "\n".join(lines)
