"""Callbacks as the simulator sends them, received by a web server in Python, verified, answered."""

import gc
import http.server
import json
import queue
import threading

import kiosklink
from kiosklink import EventKind, HttpAction, SignedWith, errors
from support import CABINET, Case, control, settings

# Dingshang signs nothing.
NOTICE = b'{"method":"device.delivery.response","order_id":60,"record_id":78,"deliver_status":"1"}'


class Receiver:
    """A web server on the loopback that answers each request with what a function says."""

    def __init__(self, answer):
        self.came = queue.Queue()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, text, what = answer(self.headers, body)
                raw = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)
                receiver.came.put(what)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d/callback" % self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def next(self):
        return self.came.get(timeout=20)

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Events(Case):
    def receive(self, answer, **account):
        receiver = Receiver(answer)
        self.addCleanup(receiver.close)
        target = dict({"platform": "yopoint", "url": receiver.url, "retry_ms": [50, 50, 50]}, **account)
        control("POST", "/callbacks", target)
        return receiver

    def test_a_visit_is_told_by_callbacks(self):
        client = self.client()

        def answer(headers, body):
            try:
                with client.event_parse(headers, body) as event:
                    return 200, event.reply, event.info
            except errors.EventSignatureError as error:
                return 403, "", error

        receiver = self.receive(answer)
        control("POST", "/yopoint/settings", {"door_open_ms": 50, "recognition_ms": 50})
        door = client.door_open("visit-1", CABINET)
        closed = receiver.next()
        self.assertEqual((closed.kind, closed.signed_with), (EventKind.DOOR_CLOSED, SignedWith.APP_SECRET))
        self.assertEqual((closed.door, closed.order_no), (kiosklink.DoorState.SHUT, door.order_no))
        goods = receiver.next()
        self.assertEqual((goods.kind, goods.amount), (EventKind.RECOGNIZED, 200))
        self.assertEqual([(line.quantity, line.name) for line in goods.lines], [(1, "农家矿泉水 550ml")])
        self.assertFalse(goods.duplicate)
        self.assertTrue(goods.report_url)
        client.payment_report(goods.order_no, amount=goods.amount, report_url=goods.report_url, trade_no="WX-1")
        paid = receiver.next()
        self.assertEqual((paid.kind, paid.signed_with), (EventKind.ORDER_PAID, SignedWith.APP_SECRET))
        control("POST", "/wait", {"for": "callbacks_idle"})
        told = control("GET", "/callbacks")["deliveries"]
        self.assertEqual({d["progress"] for d in told}, {"delivered"})

    def test_a_forged_callback_is_refused(self):
        client = self.client()

        def answer(headers, body):
            try:
                return 200, client.event_parse(headers, body).reply, None
            except errors.EventSignatureError as error:
                return 403, "", error

        receiver = self.receive(answer)
        control("POST", "/callbacks/rules", {"do": "forge", "method": "notify.close.door"})
        control("POST", "/yopoint/settings", {"door_open_ms": 50})
        client.door_open("visit-1", CABINET)
        error = receiver.next()
        self.assertIsInstance(error, errors.EventSignatureError)
        self.assertEqual((error.status, error.advice), (kiosklink.Status.EVENT_SIGNATURE, kiosklink.Advice.FIX))

    def test_the_answer_can_be_changed(self):
        client = self.client()
        asked = []

        def code(reply):
            return json.loads(reply)["error_code"]

        def answer(headers, body):
            event = client.event_parse(headers, body)
            first = event.reply
            if not asked:
                event.set_reply(1, "not now")
            else:
                event.set_reply(0, "完成", {"RefundsNo": "1"})
            asked.append((code(first), json.loads(event.reply)))
            return 200, event.reply, event.info.duplicate

        receiver = self.receive(answer)
        control("POST", "/yopoint/settings", {"door_open_ms": 50, "recognition_ms": None})
        client.door_open("visit-1", CABINET)
        self.assertFalse(receiver.next())
        self.assertFalse(receiver.next(), "one that was not taken is no duplicate when it comes again")
        self.assertEqual([first for first, _ in asked], [0, 0])
        self.assertEqual([reply["error_code"] for _, reply in asked], [1, 0])
        self.assertEqual([reply["error_msg"] for _, reply in asked], ["not now", "完成"])
        self.assertEqual(asked[1][1]["data"], {"RefundsNo": "1"})

    def test_headers_in_every_form(self):
        client = self.client("youzan")

        def answer(headers, body):
            return 200, client.event_parse(headers, body).reply, (headers, body)

        receiver = self.receive(answer, platform="youzan", account=settings("youzan")["client_id"])
        control("POST", "/youzan/push", {"type": "trade_TradePaid", "tid": "E20260101000000000000001"})
        message, body = receiver.next()
        pairs = list(message.items())
        signed = SignedWith.APP_SECRET
        environ = {"HTTP_" + key.upper().replace("-", "_"): value for key, value in pairs}
        environ.update({"wsgi.version": (1, 0), "CONTENT_TYPE": "application/json", "PATH_INFO": "/x\r\ny"})
        for name, headers in [
            ("email.message.Message", message),
            ("dict", dict(pairs)),
            ("a mapping to lists", {key: [value] for key, value in pairs}),
            ("lower case", {key.lower(): value for key, value in pairs}),
            ("pairs", pairs),
            ("an iterator of pairs", iter(pairs)),
            ("ASGI", [(key.lower().encode(), value.encode()) for key, value in pairs]),
            ("WSGI", environ),
        ]:
            with self.subTest(name):
                for copy in (body, bytearray(body), memoryview(body)):
                    event = client.event_parse(headers if name[:2] != "an" else iter(pairs), copy)
                    self.assertEqual(event.info.signed_with, signed)
                    self.assertTrue(event.info.duplicate, "it was taken before")
        for headers in (None, {}, []):
            self.assertEqual(client.event_parse(headers, body).info.signed_with, SignedWith.CONTENT_ONLY)
        wrong = dict(pairs, **{"Event-Sign": "0" * 32})
        self.fails(errors.EventSignatureError, client.event_parse, wrong, body)
        self.fails(errors.EventError, client.event_parse, dict(pairs), body[:-1])

    def test_bad_arguments(self):
        client = self.client()
        for headers in (7, ["a"], [("a",)], [("a", 7)], {"a": None}, [("X", "1\r\nEvent-Sign: 2")], [("X", "a\0b")]):
            with self.subTest(repr(headers)):
                with self.assertRaises((errors.ArgumentError, TypeError)):
                    client.event_parse(headers, b"{}")
        for body in ("text", None, 7):
            self.fails(errors.ArgumentError, client.event_parse, None, body)
        for body in (b"", b"\0", b"{}", b"\xff\xfe", b"\0" * 100000):
            self.fails(errors.EventError, client.event_parse, None, body)

    def test_an_event_outlives_its_client_and_is_freed(self):
        client = self.client("dingshang")
        event = client.event_parse(None, NOTICE)
        client.close()
        del client
        gc.collect()
        self.assertEqual((event.info.kind, event.info.signed_with), (EventKind.DELIVERY, SignedWith.NOTHING))
        self.assertTrue(event.reply)
        self.assertIn("DELIVERY", repr(event))
        event.close()
        with self.assertRaises(errors.ClosedError):
            event.reply
        self.fails(errors.ClosedError, event.set_reply, 0)
        self.assertEqual(event.info.kind, EventKind.DELIVERY, "what it says was copied")
        client = self.client("dingshang")
        forgotten = [client.event_parse(None, NOTICE)._free for _ in range(100)]
        gc.collect()
        self.assertFalse(any(free.alive for free in forgotten))

    def test_many_threads_share_an_event(self):
        client = self.client("dingshang")
        event = client.event_parse(None, NOTICE)
        wrong = []

        def work(code):
            for _ in range(500):
                event.set_reply(code, "x" * code)
                if not json.loads(event.reply):
                    wrong.append(code)

        threads = [threading.Thread(target=work, args=(code,)) for code in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])


class Connections(Case):
    REQUEST = b"POST /d HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(NOTICE) + NOTICE

    def pair(self):
        client = self.client("dingshang")
        connection = kiosklink.HttpConnection()
        self.addCleanup(connection.close)
        connection.add(client, "/d")
        return client, connection

    def test_bytes_in_an_event_and_its_answer_out(self):
        client, connection = self.pair()
        step = connection.tick()
        self.assertEqual((step.action, step.data, step.event, step.client, step.refused), (1, b"", None, None, None))
        self.assertTrue(0 < step.wait_ms <= 10000)
        for at in range(len(self.REQUEST) - 1):
            self.assertEqual(connection.feed(self.REQUEST[at : at + 1]).action, HttpAction.READ)
        step = connection.feed(bytearray(self.REQUEST[-1:]))
        self.assertEqual((step.action, step.event.order_no, step.event.duplicate), (HttpAction.EVENT, "60", False))
        self.assertIs(step.client, client)
        for call in (connection.tick, lambda: connection.feed(b"x")):
            with self.assertRaises(errors.Error) as raised:
                call()
            self.assertEqual(raised.exception.status, kiosklink.Status.BUSY)
        step = connection.reply(data={"a": 1})
        self.assertTrue(step.data.startswith(b"HTTP/1.1 200 OK\r\n") and step.data.endswith(b'"data":{"a": 1}}'))
        self.assertEqual((step.action, step.event), (HttpAction.READ, None))
        with self.assertRaises(errors.ArgumentError):
            connection.reply()
        self.assertTrue(connection.feed(self.REQUEST).event.duplicate)
        self.assertTrue(connection.reply(1).data.startswith(b"HTTP/1.1 503 "))
        # What is refused is told and not raised.
        step = connection.feed(b"DELETE / HTTP/1.1\r\n\r\n")
        self.assertIsInstance(step.refused, errors.EventError)
        self.assertEqual((step.refused.http_status, step.action), (405, HttpAction.CLOSE))
        self.assertEqual(connection.feed(b"").action, HttpAction.CLOSE)
        connection.close()
        with self.assertRaises(errors.ClosedError):
            connection.tick()

    def test_what_is_not_replied_to_comes_again(self):
        client, first = self.pair()
        self.assertFalse(first.feed(self.REQUEST).event.duplicate)
        second = kiosklink.HttpConnection(one_request=True, max_head=1024, max_body=1000, timeout_ms=1000)
        second.add(client)
        # It is in hand, on the other connection.
        step = second.feed(self.REQUEST)
        self.assertEqual((step.refused.status, step.refused.http_status), (kiosklink.Status.BUSY, 503))
        first.close()
        second.close()
        with kiosklink.HttpConnection() as third:
            third.add(client, None)
            self.assertFalse(third.feed(self.REQUEST).event.duplicate)

    def test_wrong_use(self):
        client, connection = self.pair()
        for wrong in (lambda: connection.add("client"), lambda: connection.feed("text"), lambda: connection.feed(None)):
            with self.assertRaises(errors.ArgumentError):
                wrong()
        with self.assertRaises(errors.ArgumentError):
            connection.add(client, "/d")
        with self.assertRaises(errors.ArgumentError):
            kiosklink.HttpConnection(max_head=1)
        with self.assertRaises(errors.ArgumentError):
            kiosklink.HttpConnection(timeout_ms=-1)
