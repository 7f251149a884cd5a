"""Connections on which callbacks come: the bytes that were read in, an event and the exact answer out."""

import ctypes
import threading
from dataclasses import dataclass, field
from typing import Any, Dict, Optional, Union

from . import _abi, models
from ._native import Json, i32, json_text, library, request, text, u32
from .client import Client, _Owner
from .enums import HttpAction
from .errors import ArgumentError, Error
from .models import EventInfo

__all__ = ["HttpConnection", "HttpStep"]


@dataclass(frozen=True)
class HttpStep:
    """What to do next with a connection: write :attr:`data`, then do what :attr:`action` says. Copied."""

    action: HttpAction
    wait_ms: int
    """For ``HttpAction.READ``: call :meth:`HttpConnection.tick` when nothing came for so many milliseconds."""
    data: bytes = field(repr=False)
    """What to write first; often nothing."""
    event: Optional[EventInfo]
    """For ``HttpAction.EVENT``: the callback."""
    client: Optional[Client]
    """And whose it is, as :meth:`HttpConnection.add` was given it."""
    refused: Optional[Error]
    """Why a request was refused: :attr:`data` answers it. Not raised, since the connection may go on."""


class HttpConnection(_Owner):
    """One connection on which callbacks come. The socket, and TLS if there is any, stay the program's.

    ``max_head`` and ``max_body`` are in bytes, ``timeout_ms`` goes from the connection, or the answer before, to the last byte of
    a request; 0 stands for what is usual (16 KiB, 256 KiB, 10 s). ``one_request``: it ends after one answer.

    Add accounts, then :meth:`tick`, read and :meth:`feed` as the steps say. An event is taken by :meth:`reply` with 0 and by
    nothing else: what was not, when this is closed or the program ends, comes again and is no duplicate. Any thread may use
    it; two at once take turns.
    """

    def __init__(
        self, *, max_head: int = 0, max_body: int = 0, timeout_ms: int = 0, one_request: bool = False
    ) -> None:
        lib = library()
        options = request(
            _abi.kl_http_options,
            max_head=u32(max_head, "max_head"),
            max_body=u32(max_body, "max_body"),
            timeout_ms=u32(timeout_ms, "timeout_ms"),
            one_request=int(bool(one_request)),
        )
        self._own(lib, lib.make("kl_http_new", ctypes.byref(options)), "kl_http_free")
        self._lock = threading.Lock()
        self._clients: Dict[int, Client] = {}

    def add(self, client: Client, path: Optional[str] = None) -> None:
        """Adds an account whose callbacks come on ``path``, or on every path that no account has.

        Several may share a path: whose secret fits has the callback. Dingshang signs nothing and needs one of its own.
        """
        if not isinstance(client, Client):
            raise ArgumentError("client must be a Client, not %s" % type(client).__name__)
        with self._lock:
            self._lib.call("kl_http_add", self._handle, client._handle, text(path, "path"))
            self._clients[client._handle] = client

    def feed(self, data: Union[bytes, bytearray, memoryview]) -> HttpStep:
        """Takes what was read, all of it, in whatever pieces; ``b""`` says that the other side has ended.

        With the end of a request it uses the account's journal and may wait for the disk. Raises if an event waits for its
        reply (nothing is taken), and :class:`ClosedError`; a refused request is told by ``refused`` of the step.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise ArgumentError("data must be bytes, not %s" % type(data).__name__)
        raw = bytes(data)
        return self._step("kl_http_feed", raw, len(raw))

    def tick(self) -> HttpStep:
        """Time has passed: gives a request up that should be whole. Call it before the first read, and when nothing came for
        ``wait_ms``. Otherwise as :meth:`feed`."""
        return self._step("kl_http_tick")

    def reply(self, code: int = 0, message: Optional[str] = None, data: Json = None) -> HttpStep:
        """Answers the event of ``HttpAction.EVENT``.

        ``code`` 0 means taken, which is on the disk when this returns; any other asks the platform to come again. ``data`` is
        the result of a refund that ``EventKind.REFUND_APPROVED`` asks for. Raises if no event waits.
        """
        return self._step("kl_http_reply", i32(code, "code"), text(message, "message"), json_text(data, "data"))

    def _step(self, name: str, *arguments: Any) -> HttpStep:
        lib = self._lib
        error = _abi.kl_error()
        error.struct_size = ctypes.sizeof(error)
        at = ctypes.POINTER(_abi.kl_http_step)()
        # What a step borrows ends with the next one, so it is copied before anybody may take that.
        with self._lock:
            answer = lib.function(name)(self._handle, *arguments, ctypes.byref(at), ctypes.byref(error))
            refused = None if answer == _abi.KL_OK else lib.error(error)
            if not at:
                raise refused or ArgumentError("%s gave no step" % name)
            raw = at.contents
            return HttpStep(
                action=HttpAction(raw.action),
                wait_ms=raw.wait_ms,
                data=ctypes.string_at(raw.bytes, raw.len) if raw.len else b"",
                event=models.event_info(raw.event.contents) if raw.event else None,
                client=self._clients.get(raw.client or 0),
                refused=refused,
            )
