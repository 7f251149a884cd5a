"""Every verb against the simulator, and every kind of error with its outcome and advice."""

import copy
import gc
import json
import os
import pathlib
import pickle
import shutil
import socket
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone

import kiosklink
from kiosklink import Advice, Outcome, Status, _native, errors
from support import (
    ACCOUNTS,
    CABINET,
    MACHINE,
    NOTIFY_URL,
    OFFLINE,
    STOPPED,
    Case,
    control,
    fault,
    openings,
    requests,
    settings,
    wait,
)


class Doors(Case):
    def test_a_door_opens_once_under_one_name(self):
        client = self.client()
        first = client.door_open("visit-1", CABINET, user_id="customer-1")
        again = client.door_open("visit-1", CABINET, user_id="customer-1")
        self.assertEqual(first.request_id, "visit-1")
        self.assertEqual((first.recorded, again.recorded), (False, True))
        self.assertEqual(first.order_no, again.order_no)
        self.assertTrue(first.report_url.startswith("https://"))
        self.assertEqual([o["cause"]["receipt"] for o in openings()], [first.order_no])
        self.assertIsInstance(first.data, dict)
        with self.assertRaises(AttributeError):
            first.order_no = "another"

    def test_what_methods_were_called_before(self):
        client = self.client()
        with self.assertWarns(DeprecationWarning):
            first = client.open_door("visit-1", CABINET)
        with self.assertWarns(DeprecationWarning):
            report = client.report_payment
        # There is no order yet: the address was asked, and refused.
        with self.assertRaises(errors.PlatformError):
            report(first.order_no, notify_url=first.report_url, trade_no="T1", amount=450)
        for name, now in kiosklink.client._BEFORE.items():
            self.assertTrue(callable(getattr(kiosklink.Client, now)), now)
            self.assertNotIn(name, vars(kiosklink.Client))
        with self.assertRaises(AttributeError):
            client.open_sesame

    def test_another_command_under_the_same_name_is_refused(self):
        client = self.client()
        client.door_open("visit-1", CABINET)
        error = self.fails(errors.RequestIdError, client.door_open, "visit-1", STOPPED)
        self.assertEqual((error.status, error.advice), (Status.REQUEST_ID, Advice.ASK_FIRST))
        self.assertEqual(len(openings()), 1)

    def test_a_lost_answer_is_unknown_and_is_never_sent_again(self):
        client = self.client(own_trade_no=False)
        fault("cabinet.open.door", fault="act_then_drop")
        error = self.fails((errors.OutcomeUnknown, errors.NetworkError), client.door_open, "visit-1", CABINET)
        self.assertNotIsInstance(error, errors.NotDone)
        self.assertEqual(
            (error.status, error.outcome, error.advice), (Status.LOST, Outcome.UNKNOWN, Advice.ASK_FIRST)
        )
        self.assertEqual(error.name, "KL_E_LOST")
        again = self.fails((errors.OutcomeUnknown, errors.Unsettled), client.door_open, "visit-1", CABINET)
        self.assertEqual(again.outcome, Outcome.UNKNOWN)
        self.fails((errors.NotDone, errors.Blocked), client.door_open, "visit-2", CABINET)
        self.assertEqual(len(openings()), 1)
        self.assertEqual(len(requests("cabinet.open.door")), 1)

    def test_a_lost_answer_is_found_again(self):
        client = self.client()
        fault("cabinet.open.door", fault="act_then_drop")
        self.fails(errors.OutcomeUnknown, client.door_open, "visit-1", CABINET)
        self.assertEqual([c.request_id for c in client.command_pending()], ["visit-1"])
        found = client.command_resolve("visit-1")
        self.assertEqual((found.outcome, found.settled_by), (Outcome.DONE, kiosklink.SettledBy.QUERY))
        self.assertEqual([o["cause"]["receipt"] for o in openings()], [found.order_no])
        self.assertEqual(len(client.command_pending()), 0)

    def test_what_the_machine_did(self):
        client = self.client()
        control("POST", "/yopoint/settings", {"door_open_ms": 50, "never_open_report_ms": 50})
        client.door_open("visit-1", CABINET)
        moved = client.command_wait("visit-1", timeout_ms=60000)
        self.assertEqual((moved.physical, moved.outcome), (kiosklink.PhysicalState.CONFIRMED, Outcome.DONE))
        wait(**{"for": "door_shut", "cabinet": CABINET, "door": 1})
        control("POST", "/doors", {"cabinet": CABINET, "door": 1, "action": "jam"})
        client.door_open("visit-2", CABINET)
        error = self.fails(errors.NotMoved, client.command_wait, "visit-2", timeout_ms=60000)
        self.assertEqual((error.status, error.outcome), (Status.NOT_MOVED, Outcome.DONE))
        self.assertEqual(client.command_get("visit-2").physical, kiosklink.PhysicalState.FAILED)
        control("POST", "/yopoint/settings", {"never_open_report_ms": None})
        other = self.client("youzan")
        other.code_redeem("a", "10000000001")
        self.fails(errors.Unknowable, other.command_wait, "a")
        self.fails(errors.NotFound, client.command_get, "nobody-did-this")

    def test_a_command_keeps_its_visit_and_the_callers_words_across_a_restart(self):
        folder = tempfile.mkdtemp(dir=os.environ["KIOSKLINK_TEST_TARGET"])
        self.addCleanup(shutil.rmtree, folder)
        first = self.client(state_dir=folder)
        visit, name = first.request_id_new(), first.request_id_new()
        self.assertTrue(visit != name and 8 < len(name) <= kiosklink.REQUEST_ID_MAX)
        first.door_open(name, CABINET, visit_id=visit, context="收银台 7, report as pay-1")
        first.close()
        client = self.client(state_dir=folder)
        (kept,) = client.command_list()
        self.assertEqual((kept.request_id, kept.visit_id), (name, visit))
        self.assertEqual(kept.context, "收银台 7, report as pay-1")
        self.assertEqual(len(client.command_list(since=kept.sequence)), 0)
        self.assertEqual(len(client.command_list(which=kiosklink.CommandFilter.OPEN)), 0)
        self.assertEqual(len(client.command_list(which=kiosklink.CommandFilter.DONE)), 1)
        self.fails(errors.ArgumentError, client.command_list, which=99)

    def test_what_cannot_leave_is_kept_and_listed_until_it_is_withdrawn(self):
        folder = tempfile.mkdtemp(dir=os.environ["KIOSKLINK_TEST_TARGET"])
        self.addCleanup(shutil.rmtree, folder)
        client = self.client(state_dir=folder, base_url="https://127.0.0.1:9")
        later = dict(visit_id="v", send_within_ms=600000)
        for act, name in [(client.refund_apply, "r"), (client.appeal_file, "a")]:
            error = self.fails((errors.Kept, errors.OutcomeUnknown), act, "VI" + name, request_id=name, **later)
            self.assertEqual((error.status, error.advice), (Status.KEPT, kiosklink.Advice.NONE))
        machine = self.client("dingshang", state_dir=folder, base_url="https://127.0.0.1:9")
        self.fails(errors.Kept, machine.payment_report, "7", cabinet_id=MACHINE, **later)
        (visit,) = client.visit_list()
        self.assertEqual((visit.unknown_count, [c.request_id for c in visit.commands]), (2, ["r", "a"]))
        self.assertTrue(all(0 < c.kept_for_ms <= 600000 for c in visit.commands))
        client.command_settle("r", Outcome.NOT_DONE)
        self.assertEqual([c.request_id for c in client.command_pending()], ["a"])
        # Not without a journal.
        self.fails((errors.ConfigError, errors.NotDone), self.client().refund_apply, "VI1", send_within_ms=1)
        client.close()
        machine.close()

    def test_texts_have_bounds_and_nothing_is_sent_beyond_them(self):
        # FAULTS A8: one large record pushes others out of the journal.
        client = self.client()
        for name, most in [("visit_id", 64), ("context", 512), ("door", 1024), ("user_id", 1024), ("order_no", 1024)]:
            too_long = {name: "é" * most}
            error = self.fails((errors.ArgumentError, errors.NotDone), client.door_open, "a", CABINET, **too_long)
            self.assertIn(name, error.message)
        error = self.fails(errors.ArgumentError, client.door_open, "a", CABINET, extra={"x": "y" * 8192})
        self.assertIn("extra_json", error.message)
        too_long = {"report_url": "https://localhost/" + "x" * 1024}
        error = self.fails((errors.ArgumentError, errors.NotDone), client.payment_report, "VI1", **too_long)
        self.assertIn("report_url", error.message)
        self.fails((errors.ArgumentError, errors.NotDone), client.refund_apply, "VI1", remarks="x" * 1025)
        self.assertEqual(openings(), [])
        client.door_open("a", CABINET, visit_id="v" * 64, context="c" * 512)
        # A name that was done is not *not done* because a later call of it is wrong: the outcome belongs to the name.
        self.fails((errors.ArgumentError, errors.OutcomeUnknown), client.door_open, "a", CABINET, context="c" * 513)

    def test_what_can_be_asked_beforehand(self):
        # FAULTS F20: a door that would be refused, before its code is used up.
        client, shop = self.client(), self.client("youzan")
        self.assertTrue(client.can(kiosklink.Verb.DOOR_OPEN) and shop.can(kiosklink.Verb.CODE_REDEEM))
        self.assertFalse(shop.can(kiosklink.Verb.DOOR_OPEN) or client.can(kiosklink.Verb.USER_GET) or client.can(99))
        client.door_check("a", CABINET)
        self.fails(errors.ArgumentError, client.door_check, "a", "")
        self.fails(errors.UnsupportedError, shop.door_check, "a", CABINET)
        shop.redeem_check("a", "10000000001")
        self.fails(errors.ArgumentError, shop.redeem_check, "a", "10000000001", kind=99)
        machine = self.client("dingshang")
        refused = dict(order_no="1", item_no="2", door="A1")
        self.fails(errors.ArgumentError, machine.door_check, "a", "16327129", **refused)
        self.assertEqual(len(client.command_pending()), 0)
        self.assertEqual(openings(), [])
        self.fails(errors.NotFound, client.command_overrule, "nobody-did-this", Outcome.NOT_DONE, "a test")
        client.journal_adopt("a test")

    def test_the_journal_outlives_its_client(self):
        folder = tempfile.mkdtemp(dir=os.environ["KIOSKLINK_TEST_TARGET"])
        self.addCleanup(shutil.rmtree, folder)
        first = self.client(state_dir=folder, own_trade_no=False)
        fault("cabinet.open.door", fault="act_then_drop")
        self.fails(errors.OutcomeUnknown, first.door_open, "visit-1", CABINET)
        self.assertEqual(first.journal_read().syncs, 1)
        first.close()

        client = self.client(state_dir=pathlib.Path(folder), own_trade_no=False)
        (left,) = client.command_pending()
        self.assertEqual((left.request_id, left.cabinet_id, left.outcome), ("visit-1", CABINET, Outcome.UNKNOWN))
        self.assertEqual((left.kind, left.status), (kiosklink.CommandKind.DOOR, Status.LOST))
        self.assertTrue(left.started_at and left.message)
        error = self.fails(errors.OutcomeUnknown, client.command_resolve, "visit-1")
        self.assertEqual(error.advice, Advice.ASK_FIRST)
        self.assertGreater(error.retry_after_ms, 0)
        self.fails(errors.Blocked, client.door_open, "visit-2", CABINET)
        for bad in (dict(outcome=Outcome.UNKNOWN), dict(outcome=Outcome.DONE, by=kiosklink.SettledBy.QUERY)):
            self.fails(errors.ArgumentError, client.command_settle, "visit-1", **bad)
        client.command_settle("visit-1", Outcome.DONE, by=kiosklink.SettledBy.PERSON, note="它开了")
        client.command_settle("visit-1", Outcome.DONE)
        self.fails(errors.RequestIdError, client.command_settle, "visit-1", Outcome.NOT_DONE)
        told = client.command_get("visit-1")
        self.assertEqual((told.settled_by, told.message), (kiosklink.SettledBy.PERSON, "它开了"))
        self.assertTrue(client.door_open("visit-1", CABINET).recorded)
        self.assertEqual(len(openings()), 1)
        info = client.journal_read()
        self.assertEqual((info.settled, info.unsettled, info.damaged), (1, 0, False))
        self.assertEqual(os.path.getsize(info.path), info.bytes)

        # Some other act with a name.
        wait(**{"for": "door_shut", "cabinet": CABINET, "door": 1})
        order_no = openings()[0]["cause"]["receipt"]
        self.fails(errors.Error, client.refund_apply, order_no, request_id="refund-1", remarks="x")
        self.assertEqual(client.command_get("refund-1").kind, kiosklink.CommandKind.WRITE)
        client.close()

        with open(info.path, "r+b") as file:
            lines = file.read().split(b"\n")
            lines[2] = lines[2].replace(b"visit-1", b"visit-9")
            file.seek(0)
            file.write(b"\n".join(lines))
        client = self.client(state_dir=folder)
        error = self.fails((errors.JournalError, errors.OutcomeUnknown), client.door_open, "visit-3", CABINET)
        self.assertEqual(error.status, Status.JOURNAL_DAMAGED)
        self.assertTrue(client.journal_read().damaged and client.journal_read().damage)
        client.ping()
        client.journal_repair()
        self.assertFalse(client.journal_read().damaged)
        client.door_open("visit-3", CABINET)

    def test_a_refusal_is_not_done_and_may_be_tried_again(self):
        client = self.client()
        control("POST", "/faults", {"method": "cabinet.open.door", "fault": "rate_limit"})
        error = self.fails((errors.NotDone,), client.door_open, "visit-1", CABINET)
        self.assertEqual((error.outcome, error.advice), (Outcome.NOT_DONE, Advice.RETRY))
        self.assertEqual((error.status, error.http_status), (Status.RATE_LIMIT, 429))
        self.assertFalse(client.door_open("visit-1", CABINET).recorded)

    def test_a_refusal_that_nobody_explains_is_unknown(self):
        client = self.client()
        error = self.fails((errors.OutcomeUnknown, errors.Offline), client.door_open, "visit-1", OFFLINE)
        self.assertEqual((error.outcome, error.advice), (Outcome.UNKNOWN, Advice.ASK_FIRST))
        self.assertEqual((error.http_status, error.platform_code), (200, -1))
        self.assertIn("OFFLINE", error.platform_message)
        self.fails((errors.OutcomeUnknown, errors.NotReady), client.door_open, "visit-2", STOPPED)

    def test_no_byte_left_is_not_done(self):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            port = nobody.getsockname()[1]
        client = self.client(base_url="https://localhost:%d/yopoint" % port)
        error = self.fails((errors.NotDone, errors.NetworkError), client.door_open, "visit-1", CABINET)
        self.assertEqual((error.status, error.outcome), (Status.CONNECT, Outcome.NOT_DONE))
        read = self.fails(errors.NetworkError, self.client(base_url="https://localhost:%d" % port, timeout_ms=500).ping)
        self.assertNotIsInstance(read, (errors.NotDone, errors.OutcomeUnknown))
        self.assertEqual(read.outcome, Outcome.NONE)

    def test_the_whole_visit(self):
        client = self.client()
        control("POST", "/yopoint/settings", {"door_open_ms": 50, "recognition_ms": 50})
        door = client.door_open("visit-1", CABINET)
        wait(**{"for": "order", "receipt": door.order_no, "stage": "unpaid"})
        order = client.order_get(door.order_no)
        self.assertEqual(order.door, kiosklink.DoorState.SHUT)
        self.assertEqual([(x.quantity, x.price) for x in order.lines], [(1, 200)])
        self.assertEqual(order.amount, 200)
        answer = client.payment_report(
            order.order_no, amount=order.amount, report_url=door.report_url, trade_no="WX-1", channel={"id": "1"}
        )
        self.assertEqual(answer, "success")
        self.assertEqual(client.order_get(door.order_no).payment, kiosklink.PaymentState.PAID)
        client.refund_apply(order.order_no, reason="REFUNDS_REASON_PRODUCT_NOT_MATCH", remarks="错了", phone="1")
        self.fails(errors.PlatformError, client.appeal_file, "no-such-order", remarks="x")


class Reads(Case):
    def test_lists_and_pages(self):
        client = self.client()
        client.ping()
        client.warm()
        everything = client.cabinet_list()
        self.assertEqual((len(everything), everything.total, everything.more), (5, 5, False))
        one = client.cabinet_list(page=1, page_size=3)
        self.assertEqual((len(one), one.total, one.more), (3, 5, True))
        self.assertEqual(list(one), list(everything[:3]))
        self.assertEqual([c.id for c in client.cabinet_iter(page_size=3)], [c.id for c in everything])
        self.assertTrue(everything[0].online)
        self.assertEqual(everything[0].data["CID"], CABINET)
        self.assertIn("Page(", repr(one))
        stats = client.stats()
        self.assertEqual((stats.connects, stats.handshakes), (1, 1))
        self.assertGreater(stats.requests, 3)
        self.assertGreater(stats.calls, 5)
        self.assertGreaterEqual(stats.call_ms, stats.call_max_ms)
        self.assertEqual((stats.done, stats.not_done, stats.unknown, stats.retries), (0, 0, 0, 0))
        self.assertGreaterEqual(stats.handles, 1)

    def test_long_lists_hold_one_page(self):
        client = self.client()
        made = control("POST", "/yopoint/generate", {"cabinets": 250})
        self.assertTrue(made)
        walk = client.cabinet_iter(page_size=100)
        self.assertEqual(len(requests("cabinet.list")), 0, "nothing is sent yet")
        next(walk)
        self.assertEqual(len(requests("cabinet.list")), 1)
        total = client.cabinet_list(page=1, page_size=1).total
        self.assertGreaterEqual(total, 250)
        self.assertEqual(1 + sum(1 for _ in walk), total)
        self.assertTrue(walk.closed)
        with self.assertRaises(StopIteration):
            next(walk)

    def test_a_failed_page_is_asked_for_again(self):
        client = self.client()
        with client.cabinet_iter(page_size=2) as walk:
            seen = [next(walk).id, next(walk).id]
            fault("cabinet.list", fault="garbage")
            error = self.fails(errors.ProtocolError, next, walk)
            self.assertEqual((error.status, error.advice), (Status.PROTOCOL, Advice.FIX))
            seen += [one.id for one in walk]
        self.assertEqual(seen, [c.id for c in client.cabinet_list()])

    def test_an_iterator_keeps_its_client(self):
        walk = kiosklink.Client.from_file(ACCOUNTS, "yopoint").cabinet_iter(page_size=1)
        gc.collect()
        self.assertEqual(len(list(walk)), 5)

    def test_stock(self):
        client = self.client()
        items = client.stock_fetch(CABINET)
        self.assertEqual((items[0].stock, items[0].capacity, items[0].price), (10, 12, 200))
        self.assertEqual(items[0].name, "农家矿泉水 550ml")
        self.assertIsNone(self.client("dingshang").stock_fetch(MACHINE)[0].shelved_at)
        self.assertEqual(list(client.stock_iter(CABINET, page_size=1)), list(items))
        self.assertEqual(client.stock_fetch(CABINET, page=2, page_size=1)[0], items[1])
        lanes = [i.lanes for i in self.client("dingshang").stock_fetch(MACHINE, extra={"cabinet_name": "B"})]
        self.assertTrue(lanes and all(lane.startswith("B") for lane in lanes), lanes)

    def test_orders(self):
        client = self.client()
        start = datetime(2000, 1, 1, tzinfo=timezone.utc)
        end = datetime.now(timezone.utc) + timedelta(days=1)
        orders = client.order_list(start, end)
        self.assertEqual(len(orders), 3)
        self.assertEqual(list(client.order_iter(start.timestamp(), int(end.timestamp()), page_size=1)), list(orders))
        self.assertEqual(client.order_get(orders[0].order_no), orders[0])
        vending = client.order_list(start, end, kind=kiosklink.OrderKind.VENDING, page=1, page_size=2)
        self.assertEqual({o.kind for o in vending}, {kiosklink.OrderKind.VENDING})
        self.assertEqual(len(client.order_list(1, 2)), 0)
        self.fails(errors.ArgumentError, client.order_list, datetime(2000, 1, 1), end)

    def test_people(self):
        client = self.client("zhiyun")
        self.assertTrue(client.user_get().username)
        self.assertTrue(client.company_get().name)
        xml = self.client("zhiyun", format="xml")
        self.assertIn("<", xml.company_get().raw)

    def test_any_call(self):
        client = self.client()
        answer = client.call("cabinet.list", {"Page": 1, "PageSize": 2})
        self.assertEqual(answer["total"], 5)
        self.assertEqual(client.call("cabinet.list", '{"Page": 1, "PageSize": 2}'), answer)
        error = self.fails(errors.ArgumentError, client.call, "cabinet.open.door", {"CID": CABINET})
        self.assertIn("kl_door_open", error.message)
        self.fails(errors.UnsupportedError, client.call, "no.such.method")
        self.assertEqual(openings(), [])

    def test_the_time(self):
        client = self.client()
        self.assertEqual(client.time().source, kiosklink.TimeSource.SYSTEM)
        client.ping()
        now = client.time()
        self.assertEqual(now.source, kiosklink.TimeSource.PLATFORM)
        self.assertLess(abs(now.unix_seconds - time.time()), 60)
        self.addCleanup(kiosklink.set_time, None)
        kiosklink.set_time(datetime.now(timezone.utc))
        self.assertEqual(self.client().time().source, kiosklink.TimeSource.FIRMWARE)
        self.fails(errors.ArgumentError, kiosklink.set_time, 12345)


class Codes(Case):
    def test_a_code_becomes_goods(self):
        client = self.client("dingshang")
        product = next(i for i in client.stock_iter(MACHINE) if i.stock)
        ends = int(time.time()) + 3600
        (code,) = client.code_create(MACHINE, product.id, count=1, length=8, expires_at=ends)
        self.assertEqual((len(code.code), code.expires_at), (8, ends))
        self.assertNotIn(code.code, repr(code))
        found = client.code_lookup(code.code, cabinet_id=MACHINE, product_id=product.id)
        self.assertEqual(found.id, code.id)
        self.assertIn(code.id, [c.id for c in client.code_list(cabinet_id=MACHINE, product_id=product.id)])
        asked = dict(cabinet_id=MACHINE, product_id=product.id, notify_url=NOTIFY_URL)
        redeemed = client.code_redeem("pickup-1", code.code, **asked)
        self.assertTrue(redeemed.order_no and redeemed.item_no)
        self.assertEqual(openings(), [], "a redemption moves nothing")
        self.assertTrue(client.code_redeem("pickup-1", code.code, **asked).recorded)
        client.door_open("pickup-1-goods", MACHINE, order_no=redeemed.order_no, item_no=redeemed.item_no)
        self.assertEqual(len(openings()), 1)
        record = {"order_id": int(redeemed.order_no), "record_id": int(redeemed.item_no), "status": "IS_SUCCESS"}
        wait(**{"for": "record"}, **record)
        order = client.order_get(redeemed.order_no, cabinet_id=MACHINE)
        self.assertEqual(order.delivery, kiosklink.DeliveryState.DELIVERED)
        self.fails(errors.NotFound, client.code_lookup, code.code, cabinet_id=MACHINE, product_id=product.id)

    def test_codes_are_cancelled(self):
        client = self.client("dingshang")
        product = next(i for i in client.stock_iter(MACHINE) if i.stock)
        (code,) = client.code_create(MACHINE, product.id)
        client.code_cancel(MACHINE, code.id)
        error = self.fails((errors.NotFound, errors.NotDone), client.code_cancel, MACHINE, code.id)
        self.assertEqual(error.status, Status.NOT_FOUND)

    def test_a_used_code_is_not_done(self):
        client = self.client("youzan")
        client.code_redeem("a", "10000000001", redeemer="kiosk 7")
        error = self.fails((errors.CodeUsed, errors.NotDone), client.code_redeem, "b", "10000000001")
        self.assertEqual((error.status, error.advice), (Status.CODE_USED, Advice.NONE))

    def test_orders_are_made(self):
        client = self.client("dingshang")
        product = next(i for i in client.stock_iter(MACHINE) if i.stock)
        made = client.order_create(
            MACHINE, [(product.id, 1)], trade_no="20260101000000000001", notify_url=NOTIFY_URL
        )
        self.assertEqual(made.trade_no, "20260101000000000001")
        client.payment_report(made.order_no, cabinet_id=MACHINE)
        order = client.order_get(made.order_no, cabinet_id=MACHINE)
        self.assertEqual(order.payment, kiosklink.PaymentState.PAID)
        self.assertEqual(len(order.lines), 1)


class Errors(Case):
    def test_faults_and_what_they_become(self):
        for rule, kind, status, advice in [
            ({"fault": "http_5xx", "count": None}, errors.ProtocolError, Status.HTTP, Advice.RETRY),
            ({"fault": "html_portal", "count": None}, errors.ProtocolError, None, None),
            ({"fault": "garbage", "count": None}, errors.ProtocolError, Status.PROTOCOL, Advice.FIX),
            ({"fault": "rate_limit", "retry_after_s": 600}, errors.RateLimited, Status.RATE_LIMIT, Advice.RETRY),
            ({"fault": "huge", "count": None}, errors.ProtocolError, Status.TOO_LARGE, Advice.FIX),
            ({"fault": "half_open", "count": None}, errors.Timeout, Status.TIMEOUT_REPLY, Advice.RETRY),
        ]:
            with self.subTest(rule["fault"]):
                control("DELETE", "/faults")
                fault("api.test", **rule)
                patience = 1000 if kind is errors.Timeout else 20000
                error = self.fails(kind, self.client(timeout_ms=patience).ping)
                self.assertEqual(error.outcome, Outcome.NONE)
                if status is not None:
                    self.assertEqual((error.status, error.advice), (status, advice))
                if rule["fault"] == "rate_limit":
                    self.assertEqual(error.retry_after_ms, 600000)
        control("DELETE", "/faults")

    def test_what_a_certificate_says(self):
        for certificate, status in [
            ("expired", Status.TLS_EXPIRED),
            ("wrong_name", Status.TLS_WRONG_NAME),
            ("untrusted", Status.TLS_UNTRUSTED),
        ]:
            control("POST", "/tls", {"certificate": certificate})
            error = self.fails((errors.TlsError, errors.NotDone), self.client().door_open, "a", CABINET)
            self.assertEqual(error.status, status)

    def test_credentials_and_permissions(self):
        error = self.fails(errors.AuthError, self.client(app_secret="another-secret").ping)
        self.assertEqual((error.status, error.advice), (Status.AUTH, Advice.FIX))

    def test_what_a_platform_does_not_have(self):
        client = self.client("zhiyun")
        for verb in [
            lambda: client.door_open("a", CABINET),
            lambda: client.code_redeem("b", "1"),
            lambda: client.cabinet_list(),
            lambda: client.code_create("x"),
            lambda: client.order_create("x", [("1", 1)]),
            lambda: client.code_lookup("1"),
        ]:
            error = self.fails(errors.UnsupportedError, verb)
            self.assertEqual(error.status, Status.UNSUPPORTED)

    def test_every_code_has_a_class_and_survives_a_pickle(self):
        general = [s.name for s in Status if s != Status.OK and errors.kind_of(s) is errors.Error]
        self.assertEqual(general, [])
        for status in Status:
            for outcome in Outcome:
                error = errors.make("a sentence", {"status": status, "outcome": outcome, "advice": Advice.RETRY})
                for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
                    self.assertIs(type(again), type(error))
                    self.assertEqual(again.__dict__, error.__dict__)
                self.assertEqual(isinstance(error, errors.NotDone), outcome == Outcome.NOT_DONE)
                self.assertEqual(isinstance(error, errors.OutcomeUnknown), outcome == Outcome.UNKNOWN)
                self.assertIsInstance(error, errors.kind_of(status))
        unheard = errors.make("x", {"status": 99999, "outcome": 17, "advice": 99})
        self.assertEqual((type(unheard), unheard.outcome.name), (errors.Error, "UNKNOWN_17"))
        self.assertTrue(set(errors.__all__) <= set(kiosklink.__all__))

    def test_names_are_those_of_the_library(self):
        for status in Status:
            name = "KL_OK" if status == Status.OK else "KL_E_" + status.name
            self.assertEqual(kiosklink.status_name(status), name)

    def test_every_code_has_its_texts_in_both_languages(self):
        for status in Status:
            for text in (kiosklink.status_text, kiosklink.status_help):
                self.assertTrue(text(status) and text(status).isascii(), status)
                self.assertTrue(text(status, "zh") and not text(status, "zh_CN.UTF-8").isascii(), status)
                self.assertFalse(set("`*[") & set(text(status) + text(status, "zh")), status)
        self.assertEqual(kiosklink.status_text(99999, "zh"), "")
        self.assertEqual(kiosklink.outcome_text(Outcome.NOT_DONE, "zh"), "未执行：没有发生，以后也不会发生。")
        self.assertEqual(kiosklink.outcome_text(Outcome.NONE), "")
        self.assertEqual(kiosklink.advice_text(Advice.RETRY), "Trying again is safe.")


class Settings(Case):
    def test_keywords_are_the_keys(self):
        given = settings("yopoint")
        with kiosklink.Client("yopoint", **given) as client:
            client.ping()
        given["ca_file"] = pathlib.Path(given["ca_file"])
        with kiosklink.Client("yopoint", timeout_ms=9000, allow_http=False, proxy=None, **given) as client:
            client.ping()
        known = set()
        for platform in ("yopoint", "dingshang", "youzan", "zhiyun"):
            for key in kiosklink.KEYS:
                error = self.fails(errors.ConfigError, kiosklink.Client, platform, **{key: "\n", "max_reply_bytes": 1})
                if error.status != Status.CONFIG_KEY:
                    known.add(key)
        self.assertEqual(known, set(kiosklink.KEYS))
        self.assertEqual(len(known), len(kiosklink.KEYS))

    def test_mistakes_are_named(self):
        error = self.fails(errors.ConfigError, kiosklink.Client, "yopoint", app_idd="1")
        self.assertIn('"app_id"', error.message)
        self.assertIsInstance(error, ValueError)
        error = self.fails(errors.ConfigError, kiosklink.Client, "yopiont")
        self.assertIn("yopoint", error.message)
        self.assertEqual(self.fails(errors.ConfigError, kiosklink.Client, "yopoint").status, Status.CONFIG_MISSING)
        error = self.fails(errors.ConfigError, kiosklink.Client.from_file, ACCOUNTS, "nobody")
        self.assertEqual(error.status, Status.CONFIG_FILE)
        error = self.fails(errors.ConfigError, kiosklink.Client.from_file, "/no/such/file.json")
        self.assertEqual(error.os_errno, 2)
        error = self.fails(errors.ConfigError, self.client, ca_file="/no/such/ca.pem")
        self.assertEqual(error.status, Status.ROOTS)
        with self.assertRaises(errors.ArgumentError):
            kiosklink.Client("yopoint", app_id=3.5)

    def test_secrets_are_nowhere(self):
        secret = "a-secret-of-this-test"
        client = self.client(app_secret=secret, pay_key=secret)
        said = [repr(client), str(client)]
        said.append(repr(self.fails(errors.Error, client.ping)))
        said.append(repr(self.fails(errors.Error, kiosklink.Client, "yopoint", app_secret=secret)))
        said.append(repr(self.fails(errors.Error, kiosklink.Client, "yopoint", app_secret=secret, timeout_ms=secret)))
        said.append(repr(self.fails(errors.Error, client.door_open, secret * 20, CABINET)))
        for text in said:
            self.assertNotIn(secret, text)
        self.assertNotIn(secret, repr(vars(client)))

    def test_a_client_that_could_not_be_made_is_forgotten_quietly(self):
        problems = []
        hook, sys.unraisablehook = sys.unraisablehook, problems.append
        try:
            for _ in range(3):
                self.fails(errors.ConfigError, kiosklink.Client, "yopoint", app_id="1")
            gc.collect()
        finally:
            sys.unraisablehook = hook
        self.assertEqual(problems, [])


class Misuse(Case):
    def test_bad_text(self):
        client = self.client()
        error = self.fails(errors.ArgumentError, client.door_open, "\udcff", CABINET)
        self.assertEqual(error.status, Status.UTF8)
        for request_id in ("a\0b", b"bytes", 7):
            error = self.fails(errors.ArgumentError, client.door_open, request_id, CABINET)
            self.assertIn("request_id", error.message)
        self.assertEqual(self.fails(errors.ArgumentError, client.door_open, None, CABINET).status, Status.NULL)
        self.assertEqual(self.fails(errors.ArgumentError, client.stock_fetch, None).status, Status.NULL)
        self.fails(errors.ArgumentError, client.door_open, "x" * (kiosklink.REQUEST_ID_MAX + 1), CABINET)
        self.fails(errors.ArgumentError, client.door_open, "", CABINET)
        self.assertEqual(openings(), [])
        self.assertEqual(requests("cabinet.open.door"), [])

    def test_numbers_are_never_cut(self):
        client = self.client()
        for ttl in (-1, 2**32, 2**40 + 5, 1.5, "5", True):
            error = self.fails(errors.ArgumentError, client.door_open, "a", CABINET, ttl_ms=ttl)
            self.assertIn("ttl_ms", error.message)
        self.fails(errors.ArgumentError, client.cabinet_list, page=2**32)
        self.fails(errors.ArgumentError, client.cabinet_list, page_size=5)
        self.fails(errors.ArgumentError, client.order_list, 0, 2**63)
        self.fails(errors.ArgumentError, client.order_list, 0, float("nan"))
        self.fails(errors.ArgumentError, client.order_list, 0, float("inf"))
        self.fails(errors.ArgumentError, client.payment_report, "a", amount=-5)
        self.assertEqual(openings(), [])

    def test_json_that_is_none(self):
        client = self.client()
        for extra in ({"a": object()}, {"a": float("nan")}, ["a"], 7):
            self.fails(errors.ArgumentError, client.door_open, "a", CABINET, extra=extra)
        self.fails(errors.ArgumentError, client.door_open, "a", CABINET, extra="not json")
        self.assertEqual(openings(), [])

    def test_a_closed_client(self):
        client = self.client()
        walk = client.cabinet_iter(page_size=1)
        cabinet = next(walk)
        self.assertFalse(client.closed)
        client.close()
        client.close()
        self.assertTrue(client.closed)
        self.assertIn("closed", repr(client))
        error = self.fails(errors.ClosedError, client.ping)
        self.assertEqual((error.status, error.advice), (Status.HANDLE, Advice.FIX))
        self.fails(errors.ClosedError, client.cancel)
        self.fails(errors.ClosedError, client.cabinet_iter)
        self.fails(errors.ClosedError, next, walk)
        self.assertEqual(cabinet.id, CABINET, "what was read stays")
        self.assertEqual(cabinet.data["CID"], CABINET)

    def test_what_is_forgotten_is_freed(self):
        lib = _native.library()
        client = self.client()
        dropped = kiosklink.Client.from_file(ACCOUNTS, "yopoint")
        walk = dropped.cabinet_iter(page_size=1)
        items = [next(walk) for _ in range(3)]
        handles = dropped._handle, walk._handle
        freed = dropped._free, walk._free
        del dropped, walk
        gc.collect()
        self.assertFalse(any(one.alive for one in freed))
        for handle in handles:
            with self.assertRaises(errors.ClosedError):
                lib.call("kl_ping", handle)
        client.stock_fetch(CABINET)
        self.assertEqual([i.id[-1] for i in items], ["1", "2", "3"])
        self.assertEqual(json.loads(items[2].json)["CID"], OFFLINE)

    def test_clients_are_not_copied(self):
        client = self.client()
        for way in (pickle.dumps, copy.copy, copy.deepcopy):
            with self.assertRaises(TypeError):
                way(client)
        client.ping()

    def test_no_handle_is_left_behind(self):
        """Whatever a verb makes it frees, after errors too; and more are made than the library can hold at a time."""
        made, freed = [], []
        make, function = _native.Library.make, _native.Library.function

        def counting_make(lib, name, *arguments):
            handle = make(lib, name, *arguments)
            made.append(handle)
            return handle

        def counting_function(lib, name):
            if not name.endswith("_free"):
                return function(lib, name)
            return lambda handle: (freed.append(handle), function(lib, name)(handle))

        _native.Library.make, _native.Library.function = counting_make, counting_function
        try:
            with kiosklink.Client.from_file(ACCOUNTS, "yopoint") as client:
                client.cabinet_list()
                client.stock_fetch(CABINET)
                client.order_list(1, 2)
                client.door_open("a", CABINET)
                client.call("cabinet.list")
                list(client.stock_iter(CABINET))
                self.fails(errors.Error, client.order_get, "none")
                self.fails(errors.Error, client.order_list, 2, 1)
            self.fails(errors.ConfigError, kiosklink.Client, "yopoint", app_idd="1")
            with kiosklink.Client.from_file(ACCOUNTS, "zhiyun") as client:
                client.user_get()
                client.company_get()
            with kiosklink.Client.from_file(ACCOUNTS, "youzan") as client:
                client.code_redeem("a", "10000000001")
                client.code_lookup("10000000001")
        finally:
            _native.Library.make, _native.Library.function = make, function
        self.assertGreater(len(made), 14)
        self.assertEqual(sorted(freed), sorted(made))
