"""Calls that do not block a loop: threads of Python's own, each call through a view of the client, and a descriptor.

The library's own jobs (``kl_task_start``) are for C: a callback of ctypes on a foreign thread is not safe when Python ends.
"""

import asyncio
import atexit
import functools
import os
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Awaitable, Callable, Deque, List, Optional

from .enums import Advice, Status, TaskState
from .errors import BusyError, Cancelled, ClosedError, ForkedError, Stale

if TYPE_CHECKING:
    from .client import Client

__all__ = ["Aio", "Task", "Tasks"]

MOST = 32
"""As many tasks of each of the two kinds may wait, run, or be ended and not taken."""

IDLE = 10.0
"""Seconds after which a thread without work ends: a client that is forgotten is not kept by it."""

PATIENCE = 3.0
"""Seconds for which the end of the program waits for tasks that were cancelled."""

ACTS = (
    "door_open",
    "code_redeem",
    "command_resolve",
    "code_create",
    "code_cancel",
    "order_create",
    "payment_report",
    "refund_apply",
    "appeal_file",
    "call",
)
"""What acts goes before what reads."""

READS = (
    "warm",
    "ping",
    "cabinet_list",
    "stock_fetch",
    "order_get",
    "order_list",
    "code_lookup",
    "code_list",
    "user_get",
    "company_get",
    "command_wait",
    "command_get",
    "command_list",
    "command_pending",
    "command_settle",
    "command_overrule",
    "visit_list",
    "visit_close",
    "journal_read",
    "journal_repair",
    "journal_adopt",
    "request_id_new",
    "door_check",
    "redeem_check",
    "event_parse",
)


class Task:
    """A call under way, or ended. :meth:`Tasks.start` makes it."""

    def __init__(self, tasks: "Tasks", view: "Client", function: Callable[["Client"], Any], acts: bool) -> None:
        self._tasks = tasks
        self._view = view
        self._function: Optional[Callable[["Client"], Any]] = function
        self._then: Optional[Callable[["Task"], None]] = None
        self._begin_by: Optional[float] = None
        self._value: Any = None
        self.acts = acts
        self.state = TaskState.WAITING
        """How far it is."""
        self.cancelled = False
        """Whether :meth:`cancel` was called."""
        self.error: Optional[BaseException] = None
        """What the function raised, or why it was not started; None before its end, and if it returned."""

    def cancel(self) -> None:
        """Gives it up for good: what waits is not begun, in what runs the call under way ends with :class:`Cancelled` and
        later ones with :class:`ClosedError`. A result that is there stays. Any thread."""
        self.cancelled = True
        self._view.close()
        self._tasks._sweep()

    def result(self) -> Any:
        """What the function returned; raises what it raised, or why it was not started. ``RuntimeError`` before its end."""
        if self.state in (TaskState.WAITING, TaskState.RUNNING):
            raise RuntimeError("the task has not ended")
        if self.error is not None:
            raise self.error
        return self._value

    def __repr__(self) -> str:
        return "<kiosklink.Task %s>" % self.state.name.lower()


class Tasks:
    """Runs functions on a few threads, each with a view of the client, and says by a descriptor when one has ended.

    ``tasks.start(function, *arguments)`` calls ``function(view, *arguments)``; ``fileno()`` is readable while :meth:`next` has
    one that ended, for ``select``, Qt, GLib or a game's loop. With asyncio use ``client.aio``. One of the threads takes only
    tasks with ``acts=True``. Any thread.
    """

    def __init__(self, client: "Client", threads: int = 3) -> None:
        self._client = client
        self._most = max(2, threads)
        self._lock = threading.Condition()
        self._waiting: List[Deque[Task]] = [deque(), deque()]
        self._running: List[Task] = []
        self._ended: Deque[Task] = deque()
        self._places = [0, 0]
        self._threads = self._idle = 0
        self._closed = False
        self._pid = os.getpid()
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        # Not at the end of the program: threads may still tell of an end.
        weakref.finalize(self, _close_both, self._read, self._write).atexit = False
        _all.add(self)

    def start(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        acts: bool = False,
        timeout_ms: int = 0,
        start_within_ms: int = 0,
    ) -> Task:
        """Begins ``function(view, *arguments)`` on a thread and returns at once.

        ``view`` has ``timeout_ms`` (0: the client's) for each call. With ``start_within_ms`` it is not begun later than that.
        Raises :class:`BusyError` if 32 of its kind (``acts`` or not) wait, run, or ended and were not taken.
        """
        return self._start(functools.partial(_called, function, arguments), acts, timeout_ms, start_within_ms, None)

    def _start(
        self,
        function: Callable[["Client"], Any],
        acts: bool,
        timeout_ms: int,
        start_within_ms: int,
        then: Optional[Callable[[Task], None]],
    ) -> Task:
        # In a forked child this raises, before any lock is touched.
        task = Task(self, self._client.view(timeout_ms), function, acts)
        task._then = then
        if start_within_ms:
            task._begin_by = time.monotonic() + start_within_ms / 1000.0
        kind = 0 if acts else 1
        with self._lock:
            if self._closed:
                raise ClosedError("these tasks were closed", status=Status.HANDLE)
            if self._places[kind] >= MOST:
                raise BusyError("%d tasks wait, run, or were not taken yet" % MOST, status=Status.BUSY, advice=Advice.RETRY)
            self._places[kind] += 1
            self._waiting[kind].append(task)
            if self._idle < sum(map(len, self._waiting)) and self._threads < self._most:
                self._threads += 1
                threading.Thread(target=self._work, name="kiosklink-task", daemon=True).start()
            self._lock.notify()
        if start_within_ms:
            timer = threading.Timer(start_within_ms / 1000.0 + 0.01, self._sweep)
            timer.daemon = True
            timer.start()
        return task

    def fileno(self) -> int:
        """A descriptor that is readable exactly while :meth:`next` has something. Do not read it."""
        return self._read

    def next(self) -> Optional[Task]:
        """The next task that ended, each once; None if none has. Does not wait."""
        if os.getpid() != self._pid:
            raise ForkedError("these tasks were made before the fork", status=Status.FORKED)
        with self._lock:
            if not self._ended:
                return None
            task = self._ended.popleft()
            self._places[0 if task.acts else 1] -= 1
            if not self._ended:
                os.read(self._read, 1)
            return task

    @property
    def pending(self) -> int:
        """How many wait, run, or ended and were not taken: 0 if none will come."""
        with self._lock:
            return sum(self._places)

    def close(self, timeout: float = PATIENCE) -> bool:
        """Begins nothing any more, cancels all, and waits so many seconds for those that run. Whether all have ended. The
        descriptor stays open until this object is forgotten. Not from inside a task."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        self._sweep()
        for task in running:
            task.cancel()
        with self._lock:
            self._lock.notify_all()
            return self._lock.wait_for(lambda: not self._running, timeout)

    def _obstacle(self, task: Task) -> Optional[BaseException]:
        if task.cancelled or self._closed or task._view.closed:
            return Cancelled("the task was cancelled before it began", status=Status.CANCELLED, advice=Advice.RETRY)
        if task._begin_by is not None and time.monotonic() > task._begin_by:
            return Stale("the task was not begun in its time", status=Status.STALE, advice=Advice.RETRY)
        return None

    def _sweep(self) -> None:
        """Ends what waits and is not to be begun."""
        over = []
        with self._lock:
            for waiting in self._waiting:
                for task in list(waiting):
                    why = self._obstacle(task)
                    if why is not None:
                        waiting.remove(task)
                        over.append((task, why))
        for task, why in over:
            self._over(task, TaskState.NOT_STARTED, None, why)

    def _take(self) -> Optional[Task]:
        """What runs next, with the lock held."""
        if self._waiting[0]:
            return self._waiting[0].popleft()
        if self._waiting[1] and sum(not task.acts for task in self._running) + 1 < self._most:
            return self._waiting[1].popleft()
        return None

    def _work(self) -> None:
        while True:
            with self._lock:
                task = self._take()
                while task is None:
                    self._idle += 1
                    woken = self._closed or self._lock.wait(IDLE)
                    self._idle -= 1
                    task = self._take()
                    if task is None and (self._closed or not woken):
                        self._threads -= 1
                        return
                why = self._obstacle(task)
                if why is None:
                    task.state = TaskState.RUNNING
                    self._running.append(task)
            if why is not None:
                self._over(task, TaskState.NOT_STARTED, None, why)
                continue
            self._run(task)

    def _run(self, task: Task) -> None:
        value, error = None, None
        try:
            assert task._function is not None
            value = task._function(task._view)
        except BaseException as raised:
            error = raised
        self._over(task, TaskState.RETURNED, value, error)

    def _over(self, task: Task, state: TaskState, value: Any, error: Optional[BaseException]) -> None:
        # What the function holds on to, its view too, goes now.
        task._function = None
        task._view.close()
        with self._lock:
            task._value, task.error, task.state = value, error, state
            if task in self._running:
                self._running.remove(task)
            if task._then is not None:
                self._places[0 if task.acts else 1] -= 1
            else:
                self._ended.append(task)
                if len(self._ended) == 1:
                    os.write(self._write, b"x")
            self._lock.notify_all()
        if task._then is not None:
            task._then(task)


class Aio:
    """The client's calls for asyncio: ``await client.aio.door_open("visit-1", cabinet)``.

    Each runs on a thread with a view of its own. Cancelling the asyncio task cancels the call; a command may have left all the
    same, so ask for it (``await client.aio.command_get(request_id)``) before anything else. The walks (``stock_iter``, ``cabinet_iter``,
    ``order_iter``) are not here: take the lists.
    """

    def __init__(self, client: "Client") -> None:
        self._tasks = Tasks(client)

    def __dir__(self) -> List[str]:
        return sorted(ACTS + READS)

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        if name not in ACTS and name not in READS:
            raise AttributeError("client.aio has no %s" % name)
        return functools.partial(self.run, name)

    async def run(self, name: str, *arguments: Any, **named: Any) -> Any:
        """One call by its name."""
        loop = asyncio.get_running_loop()
        ended: "asyncio.Future[Any]" = loop.create_future()

        def settle(task: Task) -> None:
            """In the loop."""
            if ended.done():
                return
            if task.error is not None:
                ended.set_exception(task.error)
            else:
                ended.set_result(task._value)

        def then(task: Task) -> None:
            """Where the task ended."""
            try:
                loop.call_soon_threadsafe(settle, task)
            except RuntimeError:
                pass  # The loop is closed: nobody waits.

        def call(view: "Client") -> Any:
            """On a thread of the tasks."""
            return getattr(view, name)(*arguments, **named)

        task = self._tasks._start(call, name in ACTS, 0, 0, then)
        try:
            return await ended
        except asyncio.CancelledError:
            task.cancel()
            raise


def _called(function: Callable[..., Any], arguments: Any, view: "Client") -> Any:
    return function(view, *arguments)


def _close_both(one: int, other: int) -> None:
    os.close(one)
    os.close(other)


_all: "weakref.WeakSet[Tasks]" = weakref.WeakSet()


def _at_exit() -> None:
    """No thread of ours enters the library while Python takes itself apart."""
    until = time.monotonic() + PATIENCE
    for tasks in list(_all):
        tasks.close(max(0.0, until - time.monotonic()))


def _after_fork() -> None:
    """A child has none of these threads; the locks may be held for ever."""
    _all.clear()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
