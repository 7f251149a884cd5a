"""A kiosk's firmware in Python, short: one loop (asyncio) that never waits, customers, callbacks, SIGTERM, a restart.

    python3 firmware.py ACCOUNTS.json ACCOUNT CABINET

Type "door" for a customer; the end of the input or SIGTERM ends it when everybody is served. examples-c/firmware.c is the long one.
The account needs a state_dir: what was under way when the power went is found there.
"""

import asyncio
import signal
import sys
from typing import Awaitable, Optional, Set

import kiosklink
from kiosklink import CommandKind, DoorState, EventKind, HttpAction


class Kiosk:
    def __init__(self, client: kiosklink.Client, cabinet: str) -> None:
        self.client, self.calls, self.cabinet = client, client.aio, cabinet
        self.serving: Set["asyncio.Future[None]"] = set()  # customers and callbacks

    def show(self, what: str) -> None:
        print(what, flush=True)

    async def door(self) -> None:
        """One customer. The library's name is theirs until they are gone: under it the door opens once at most."""
        name = await self.calls.request_id_new()
        try:
            command = await self.calls.door_open(name, self.cabinet, visit_id=name, ttl_ms=10_000)
        except kiosklink.OutcomeUnknown as error:
            self.show("nobody knows whether it opened: call the staff (%s)" % error)
            return  # stays on the list: the next start asks again
        except kiosklink.NotDone as error:
            self.show("not opened: %s" % error)
            await self.calls.visit_close(name)
            return
        self.show("open: order %s" % command.order_no)
        await self.pay(name, command)

    async def pay(self, visit: str, command: kiosklink.Command) -> None:
        """What was taken is known when the door is shut. One name for the payment as well: it is reported once."""
        for _ in range(600):
            order = await self.calls.order_get(command.order_no)
            if order.door == DoorState.SHUT and order.lines and order.amount is not None:
                break
            await asyncio.sleep(0.2)
        else:
            self.show("order %s is not shut: call the staff" % command.order_no)
            return  # stays on the list too
        await self.calls.payment_report(
            command.order_no,
            amount=order.amount,
            report_url=command.report_url,
            trade_no="WX-4200001234",  # of the payment channel, where the customer is charged: once for an order
            request_id="paid-" + command.order_no,
            visit_id=visit,
        )
        await self.calls.visit_close(visit)
        self.show("paid: %d fen" % order.amount)

    async def look_back(self) -> None:
        """After a start: what was left is asked for, never done again. Nobody stands at the door any more."""
        for visit in await self.calls.visit_list():
            for command in visit.commands:
                if command.kind != CommandKind.DOOR:
                    continue
                try:
                    done = await self.calls.command_resolve(command.request_id)
                except kiosklink.NotDone:
                    await self.calls.visit_close(visit.visit_id)
                except kiosklink.OutcomeUnknown as error:
                    self.show("%s is unknown still: %s" % (command.request_id, error))
                else:
                    self.show("left open: order %s" % done.order_no)
                    await self.guarded(self.pay(visit.visit_id, done))
        self.show("ready")

    async def callback(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of the platform's. An event is answered when it is dealt with, and is in the journal then."""
        loop = asyncio.get_running_loop()
        self.keep(asyncio.current_task())
        with kiosklink.HttpConnection(timeout_ms=5000, one_request=True) as http:
            http.add(self.client)
            step = http.tick()
            while True:
                writer.write(step.data)
                if step.refused is not None:
                    self.show("a callback was refused: %s" % step.refused)
                if step.action == HttpAction.CLOSE:
                    break
                if step.event is not None:
                    self.show("%s: order %s" % (step.event.kind.name, step.event.order_no))
                    # Money is paid back by the channel that took it. Who does not do that does not say it was done.
                    code = 1 if step.event.kind == EventKind.REFUND_APPROVED else 0
                    step = await loop.run_in_executor(None, http.reply, code)  # may wait for the disk
                    continue
                try:
                    data = await asyncio.wait_for(reader.read(4096), step.wait_ms / 1000 + 0.001)
                    step = await loop.run_in_executor(None, http.feed, data)
                except asyncio.TimeoutError:
                    step = http.tick()
        writer.close()

    def keep(self, task: Optional["asyncio.Future[None]"]) -> None:
        if task is not None:
            self.serving.add(task)
            task.add_done_callback(self.serving.discard)

    async def guarded(self, visit: Awaitable[None]) -> None:
        try:
            await visit
        except kiosklink.Error as error:
            self.show("the visit goes on after the next start: %s" % error)


async def main(accounts: str, account: str, cabinet: str) -> None:
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ending.set)
    with kiosklink.Client.from_file(accounts, account) as client:
        kiosk = Kiosk(client, cabinet)
        server = await asyncio.start_server(kiosk.callback, "127.0.0.1", 0)
        kiosk.show("listening on http://127.0.0.1:%d/" % server.sockets[0].getsockname()[1])
        await kiosk.look_back()
        keys = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(keys), sys.stdin)
        told = asyncio.ensure_future(ending.wait())
        while not ending.is_set():
            typed = asyncio.ensure_future(keys.readline())
            await asyncio.wait({typed, told}, return_when=asyncio.FIRST_COMPLETED)
            if not typed.done() or typed.result() == b"":
                typed.cancel()
                break
            if typed.result().strip() == b"door":
                kiosk.keep(asyncio.ensure_future(kiosk.guarded(kiosk.door())))
        kiosk.show("no more customers")
        told.cancel()
        server.close()
        if kiosk.serving:
            await asyncio.wait(set(kiosk.serving))
    print("bye", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
