"""The log lines of the library, as records of ``logging``."""

import atexit
import logging
import os
from typing import Any, Optional

from . import _abi, _native

_LEVELS = {
    _abi.KL_LOG_LEVEL_ERROR: logging.ERROR,
    _abi.KL_LOG_LEVEL_WARN: logging.WARNING,
    _abi.KL_LOG_LEVEL_INFO: logging.INFO,
    _abi.KL_LOG_LEVEL_DEBUG: logging.DEBUG,
}

# The library calls it until it is given another, so it must not be forgotten before.
_callback: Any = None


def enable_logging(logger: Optional[logging.Logger] = None, level: Optional[int] = None) -> None:
    """Sends the library's log to ``logger`` (``logging.getLogger("kiosklink")`` if not given). For the whole process.

    ``level`` is one of ``logging``'s; the library makes no lines below it. Not given, it is the logger's effective level at
    this moment. Lines hold no secret. They come from the thread that makes the call, from several at once if several make
    calls. Handlers must be quick and must not call kiosklink: that raises :class:`BusyError` here, and may wait forever
    elsewhere. An exception in a handler is dropped. A forked child begins without; call it again there.
    """
    target = logger if logger is not None else logging.getLogger("kiosklink")
    wanted = target.getEffectiveLevel() if level is None else level
    low = [ours for ours, theirs in _LEVELS.items() if theirs >= wanted]
    if not low:
        disable_logging()
        return

    def line(_user: Optional[int], number: int, raw: Optional[bytes]) -> None:
        """One line of the log, on whichever thread."""
        try:
            target.log(_LEVELS.get(number, logging.DEBUG), "%s", _native.string(raw))
        except Exception:  # It must not go on into C; and a log has nowhere to complain.
            pass

    _set(max(low), _abi.kl_log_fn(line))


def disable_logging() -> None:
    """Ends what :func:`enable_logging` began. When it returns, no line is on its way."""
    if _callback is not None:
        _set(_abi.KL_LOG_LEVEL_OFF, _abi.kl_log_fn())


def _set(level: int, callback: Any) -> None:
    global _callback
    # The old one stays alive until the library says that it is not running any more.
    _native.library().call("kl_set_log", level, callback, None)
    _callback = callback if level != _abi.KL_LOG_LEVEL_OFF else None


def _forked() -> None:
    global _callback
    _callback = None


# A call may outlive the interpreter on a daemon thread; it must not come back into it.
atexit.register(disable_logging)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
