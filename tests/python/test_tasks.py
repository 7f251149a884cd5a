"""Calls beside a loop: tasks on a descriptor, asyncio, cancel, the end of the program."""

import asyncio
import gc
import os
import select
import subprocess
import sys
import threading
import weakref

import kiosklink
from kiosklink import Outcome, TaskState, errors, tasks as module
from support import ACCOUNTS, CABINET, LIBRARY, Case, fault, openings, wait


class Beside(Case):
    def next(self, tasks):
        """The next that ended, waited for as a loop does."""
        self.assertTrue(select.select([tasks], [], [], 60)[0], "nothing ends")
        task = tasks.next()
        self.assertIsNotNone(task)
        return task

    def held(self, tasks, **how):
        """A task that has begun and waits for a word."""
        begun, go = threading.Event(), threading.Event()

        def hold(view):
            begun.set()
            go.wait(60)
            return view

        task = tasks.start(hold, **how)
        return task, begun, go

    def nothing_left(self, tasks):
        self.assertIsNone(tasks.next())
        self.assertEqual(tasks.pending, 0)
        self.assertFalse(select.select([tasks], [], [], 0)[0])

    def test_a_loop_starts_tasks_and_is_told_of_their_end(self):
        client = self.client()
        tasks = kiosklink.Tasks(client)
        self.nothing_left(tasks)
        here = threading.get_ident()
        one = tasks.start(lambda view, cabinet: (view.stock_fetch(cabinet), threading.get_ident()), CABINET)
        two = tasks.start(lambda view: view.order_get("no such order"))
        three, _, go = self.held(tasks, acts=True)
        self.assertRaises(RuntimeError, three.result)
        go.set()
        seen = set()
        while tasks.pending:
            seen.add(id(self.next(tasks)))
        self.assertEqual(seen, {id(one), id(two), id(three)})
        stock, thread = one.result()
        self.assertTrue(len(stock) > 0 and thread != here and one.state == TaskState.RETURNED)
        self.fails(errors.Error, two.result)
        self.nothing_left(tasks)
        one.cancel()
        self.assertTrue(one.result() and one.cancelled)

    def test_what_acts_waits_for_nothing_that_reads(self):
        tasks = kiosklink.Tasks(self.client())
        pages = [self.held(tasks) for _ in range(module.MOST)]
        for _, begun, _ in pages[:2]:
            self.assertTrue(begun.wait(60))
        error = self.fails(errors.BusyError, tasks.start, lambda view: 0)
        self.assertEqual(error.advice, kiosklink.Advice.RETRY)
        door = tasks.start(lambda view: 7, acts=True)
        self.assertIs(self.next(tasks), door)
        # What waits ends at once, what runs goes on.
        for task, _, _ in reversed(pages):
            task.cancel()
        for _, _, go in pages:
            go.set()
        ended = {id(self.next(tasks)) for _ in pages}
        self.assertEqual(ended, {id(task) for task, _, _ in pages})
        self.assertEqual([task.state for task, _, _ in pages].count(TaskState.RETURNED), 2)
        for task, begun, _ in pages:
            if task.state == TaskState.NOT_STARTED:
                self.fails(errors.Cancelled, task.result)
                self.assertFalse(begun.is_set())
        self.nothing_left(tasks)

    def test_what_is_late_is_not_begun(self):
        tasks = kiosklink.Tasks(self.client())
        busy = [self.held(tasks) for _ in range(2)]
        for _, begun, _ in busy:
            self.assertTrue(begun.wait(60))
        late = tasks.start(lambda view: self.fail(), start_within_ms=1)
        self.assertIs(self.next(tasks), late)
        self.fails(errors.Stale, late.result)
        for _, _, go in busy:
            go.set()

    def test_a_cancel_ends_the_call_under_way_and_later_ones(self):
        client = self.client(timeout_ms=60000)
        tasks = kiosklink.Tasks(client)

        def two_calls(view):
            try:
                view.ping()
            except errors.Cancelled:
                view.cabinet_list()

        fault("api.test", fault="half_open", act=False)
        task = tasks.start(two_calls)
        wait(**{"for": "requests", "operation": "yopoint api.test", "count": 1})
        task.cancel()
        self.assertIs(self.next(tasks), task)
        self.fails(errors.ClosedError, task.result)
        client.ping()

    def test_close_ends_all(self):
        client = self.client(timeout_ms=60000)
        tasks = kiosklink.Tasks(client)
        fault("api.test", fault="half_open", act=False, count=2)
        running = [tasks.start(lambda view: view.ping()) for _ in range(2)]
        wait(**{"for": "requests", "operation": "yopoint api.test", "count": 2})
        waiting = tasks.start(lambda view: self.fail())
        self.assertTrue(tasks.close(30))
        for task in running + [waiting]:
            self.fails(errors.Cancelled, task.result)
        self.fails(errors.ClosedError, tasks.start, lambda view: 0)
        client.ping()

    def test_asyncio(self):
        client = self.client(timeout_ms=60000)

        async def visit():
            order, cabinets = await asyncio.gather(
                client.aio.door_open("task-1", CABINET), client.aio.cabinet_list(1, page_size=2)
            )
            self.assertEqual((order.outcome, len(cabinets)), (Outcome.DONE, 2))
            with self.assertRaises(errors.Error):
                await client.aio.order_get("no such order")
            with self.assertRaises(AttributeError):
                client.aio.stock_iter
            # One that hangs is given up, and ends on its thread too.
            fault("api.test", fault="half_open", act=False)
            ping = asyncio.ensure_future(client.aio.ping())
            await asyncio.get_running_loop().run_in_executor(
                None, lambda: wait(**{"for": "requests", "operation": "yopoint api.test", "count": 1})
            )
            ping.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await ping
            while client.aio._tasks.pending:
                await asyncio.sleep(0.001)
            await client.aio.ping()
            return order

        order = asyncio.run(visit())
        self.assertEqual(len([o for o in openings() if o["cause"].get("receipt") == order.order_no]), 1)

    def test_the_names_are_those_of_the_client(self):
        for name in module.ACTS + module.READS:
            self.assertTrue(callable(getattr(kiosklink.Client, name)), name)
        ours = set(module.ACTS + module.READS)
        plain = {"aio", "cabinet_iter", "stock_iter", "order_iter", "cancel", "can", "close", "closed", "from_file", "stats", "time", "view"}
        self.assertEqual(ours | plain, {n for n in dir(kiosklink.Client) if not n.startswith("_")})

    def test_a_child_has_none(self):
        tasks = kiosklink.Tasks(self.client())
        task = tasks.start(lambda view: 5)
        self.assertTrue(select.select([tasks], [], [], 60)[0])
        child = os.fork()
        if child == 0:
            wrong = 1
            try:
                tasks.next()
            except errors.ForkedError:
                try:
                    tasks.start(lambda view: 0)
                except errors.ForkedError:
                    wrong = 0
            finally:
                os._exit(wrong)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertIs(self.next(tasks), task)

    def test_what_is_forgotten_goes(self):
        before, module.IDLE = module.IDLE, 0.001
        try:
            client = self.client()
            tasks = kiosklink.Tasks(client)
            tasks.start(lambda view: 0)
            self.next(tasks)
            gone, fd = weakref.ref(tasks), tasks.fileno()
            while tasks._threads:
                select.select([], [], [], 0.001)
            del tasks
            for thread in threading.enumerate():
                if thread.name == "kiosklink-task":
                    thread.join(60)
            gc.collect()
            self.assertIsNone(gone())
            with self.assertRaises(OSError):
                os.fstat(fd)
        finally:
            module.IDLE = before

    def test_the_program_ends_while_tasks_hang(self):
        program = """
import kiosklink, sys
kiosklink.load_library(%r)
client = kiosklink.Client.from_file(%r, "yopoint", timeout_ms=600000)
tasks = kiosklink.Tasks(client)
for _ in range(3):
    tasks.start(lambda view: view.ping())
tasks.start(lambda view: view.ping(), acts=True)
sys.stdin.readline()
print("the end")
"""
        fault("api.test", fault="half_open", act=False, count=20)
        child = subprocess.Popen(
            [sys.executable, "-X", "dev", "-c", program % (LIBRARY, ACCOUNTS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        wait(**{"for": "requests", "operation": "yopoint api.test", "count": 3})
        said, _ = child.communicate(b"\n", timeout=60)
        self.assertEqual((child.returncode, said.decode()), (0, "the end\n"))
