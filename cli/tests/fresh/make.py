#!/usr/bin/env python3
"""Requests that were signed wrongly, for `kiosklink sign diagnose`: cli/tests/fresh/signs.jsonl.

    python3 cli/tests/fresh/make.py SEED COUNT > cli/tests/fresh/signs.jsonl

It shares nothing with the diagnoser: each mistake is made the way a program makes it, by hashlib and hmac. The test that reads the
file asks only whether a request is explained, and whether one of the names that fit is given. A mistake that the diagnoser has no
name for may be here: `names` is then empty, and only the explanation counts.
"""

import base64
import hashlib
import hmac
import json
import random
import sys
import unicodedata
import urllib.parse

SECRET = "q7ZtW3vLk9RfXp2mYc5HsB8dNg4JeTa1"
PAY_KEY = "uE6rVw1zQn8KxDo3PbM5hSyGi9FtCj2L"
APP_KEY = "Hd4mKp9sXw2vBn7tRc5yGz8fLq3jTe6a"
CLIENT_SECRET = "c3f9a17e5b8d42c6907be1f4a2d85c36"
APP_ID = "100000000001"
CLIENT_ID = "testclient0000001"

rng = random.Random()


def md5(data):
    return hashlib.md5(data if isinstance(data, bytes) else data.encode()).hexdigest()


class Request:
    """Yopoint's gateway, as a client program builds it. Each step can be made wrongly."""

    def __init__(self):
        goods = rng.choice(["冰红茶 500ml", "Café crème", "可乐 & 雪碧", "矿泉水/550ml", "A=B <new>", "Müsli 1.5", "Brötchen"])
        self.biz = {
            "CabinetId": "".join(rng.choice("0123456789abcdef") for _ in range(24)),
            "Name": goods,
            "Price": rng.choice([1.5, 3.25, 12.5]),
            "Page": rng.randint(1, 90),
        }
        if rng.random() < 0.5:
            self.biz["Remark"] = rng.choice(["请放门口", "call me", "x" * rng.randint(30, 90), "a&b=c"])
        self.dump = lambda v: json.dumps(v, ensure_ascii=False, separators=(",", ":"))
        self.signed_dump = None
        self.secret = SECRET
        self.seconds = 1790000000 + rng.randint(0, 9_000_000)
        self.join = lambda pairs: "&".join("%s=%s" % p for p in pairs)
        self.order = sorted
        self.finish = lambda text, secret: md5(text + "&" + secret)
        self.value = lambda name, value: value
        self.body = lambda fields: "&".join("%s=%s" % (n, urllib.parse.quote(v, safe="")) for n, v in fields)

    def fields(self, dump):
        return [
            ("appid", APP_ID),
            ("biz_content", dump(self.biz)),
            ("method", rng_method),
            ("sign_type", "md5"),
            ("timestamp", str(self.seconds)),
            ("version", "1.0.0"),
        ]

    def write(self):
        signed = [(n, self.value(n, v)) for n, v in self.fields(self.signed_dump or self.dump)]
        sign = self.finish(self.join(self.order(signed)), self.secret)
        sent = self.fields(self.dump) + [("sign", sign)]
        return "POST /openapi/gateway.do HTTP/1.1\r\nHost: open.example\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n" + self.body(sent)


rng_method = "cabinet.list"
KINDS = []


def kind(*names):
    def keep(function):
        KINDS.append((function, list(names)))
        return function

    return keep


def snprintf(text, size):
    """What snprintf leaves in a buffer of this size."""
    return text.encode()[: size - 1]


@kind("text-cut")
def the_text_is_cut_by_its_buffer(r):
    size = rng.choice([64, 128, 256, 192, 150])
    r.finish = lambda text, secret: md5(snprintf(text + "&" + secret, size))


@kind("text-cut")
def the_text_is_cut_before_the_secret(r):
    size = rng.choice([64, 128, 120])
    r.finish = lambda text, secret: md5(snprintf(text, size) + b"&" + secret.encode())


@kind("secret-cut", "secret-blank")
def the_secret_is_cut_by_its_buffer(r):
    size = rng.choice([16, 24, 32])
    r.secret = SECRET[: size - 1]


@kind("digest-bytes")
def signed_chars_are_printed(r):
    def finish(text, secret):
        return "".join("%02x" % (b if b < 128 else 0xFFFFFF00 | b) for b in hashlib.md5((text + "&" + secret).encode()).digest())

    r.finish = finish


@kind("digest-bytes")
def signed_chars_are_printed_into_33_bytes(r):
    def finish(text, secret):
        digest = hashlib.md5((text + "&" + secret).encode()).digest()
        return "".join("%02x" % (b if b < 128 else 0xFFFFFF00 | b) for b in digest)[:32]

    r.finish = finish


@kind("digest-bytes")
def percent_two_x(r):
    r.finish = lambda text, secret: "".join("%2x" % b for b in hashlib.md5((text + "&" + secret).encode()).digest())


@kind("digest-bytes")
def words_in_the_other_byte_order(r):
    def finish(text, secret):
        d = hashlib.md5((text + "&" + secret).encode()).digest()
        return "".join("%08x" % int.from_bytes(d[i : i + 4], "little") for i in range(0, 16, 4))

    r.finish = finish


@kind("sign-cut")
def a_buffer_of_32_for_32_digits(r):
    r.finish = lambda text, secret: md5(text + "&" + secret)[:31]


@kind("json-html-safe", "json-unicode")
def gson(r):
    r.biz["Name"] = rng.choice(["A&B", "x=y", "<tag>"])
    plain = r.dump

    def dump(v):
        text = plain(v)
        for c in "&=<>'":
            text = text.replace(c, "\\u%04x" % ord(c))
        return text

    r.signed_dump = dump


@kind("json-html-safe", "json-unicode")
def go_marshal(r):
    r.biz["Name"] = rng.choice(["A&B=C", "<x> 'y'"])
    plain = r.dump
    r.signed_dump = lambda v: plain(v).replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


@kind("json-python", "json-spaces")
def str_of_a_dict(r):
    r.signed_dump = str


@kind("unicode-form")
def decomposed_letters(r):
    r.biz["Name"] = rng.choice(["Café crème", "Müsli", "Brötchen"])
    r.finish = lambda text, secret: md5(unicodedata.normalize("NFD", text) + "&" + secret)


@kind("hmac")
def hmac_with_key_and_text_swapped(r):
    how = rng.choice(["md5", "sha256", "sha1"])
    r.finish = lambda text, secret: hmac.new(text.encode(), secret.encode(), how).hexdigest()


@kind("hmac")
def hmac_with_the_secret_behind_the_text_too(r):
    how = rng.choice(["md5", "sha256"])
    r.finish = lambda text, secret: hmac.new(secret.encode(), (text + "&" + secret).encode(), how).hexdigest()


@kind("secret-letter")
def a_letter_of_the_secret_is_wrong(r):
    at = rng.randrange(len(SECRET))
    r.secret = SECRET[:at] + rng.choice([c for c in "0OIl158BSZ" if c != SECRET[at]]) + SECRET[at + 1 :]


@kind("secret-letter", "secret-blank")
def a_letter_of_the_secret_is_missing(r):
    at = rng.randrange(len(SECRET))
    r.secret = SECRET[:at] + SECRET[at + 1 :]


@kind("secret-letter")
def two_letters_of_the_secret_are_swapped(r):
    at = rng.randrange(len(SECRET) - 1)
    r.secret = SECRET[:at] + SECRET[at + 1] + SECRET[at] + SECRET[at + 2 :]


@kind("biz-content-flattened")
def the_parameters_are_signed_as_fields(r):
    def order(fields):
        flat = [(n, v) for n, v in fields if n != "biz_content"] + [(n, str(v)) for n, v in r.biz.items()]
        return sorted(flat)

    r.order = order


@kind("value-case")
def sign_type_in_other_letters(r):
    r.value = lambda name, value: value.upper() if name == "sign_type" else value


@kind("json-numbers", "number-as-float")
def a_price_with_two_digits(r):
    plain = r.dump
    r.signed_dump = lambda v: plain(v).replace('"Price":1.5,', '"Price":1.50,').replace('"Price":12.5,', '"Price":12.50,').replace('"Price":3.25,', '"Price":3.250,')


@kind("separator")
def full_width_joints(r):
    r.join = lambda pairs: "＆".join("%s=%s" % p for p in pairs)


@kind("trailing-blank", "text-length")
def strlen_and_one_more(r):
    r.finish = lambda text, secret: md5((text + "&" + secret).encode() + b"\0")


@kind("text-length")
def the_whole_buffer(r):
    size = rng.choice([512, 1024])
    r.finish = lambda text, secret: md5((text + "&" + secret).encode().ljust(size, b"\0"))


@kind()
def base64_of_the_hex(r):
    r.finish = lambda text, secret: base64.b64encode(md5(text + "&" + secret).encode()).decode()


@kind()
def the_secret_twice(r):
    r.finish = lambda text, secret: md5(text + "&" + secret + "&" + secret)


@kind("url-encoded", "url-encoded-whole")
def http_build_query(r):
    r.join = urllib.parse.urlencode


@kind()
def the_sign_of_the_sign(r):
    r.finish = lambda text, secret: md5(md5(text) + secret)


@kind()
def the_digest_of_the_text_with_the_secret(r):
    r.finish = lambda text, secret: md5(md5(text) + "&" + secret)


@kind("wrong-digest")
def sha512_cut_to_32(r):
    r.finish = lambda text, secret: hashlib.sha512((text + "&" + secret).encode()).hexdigest()[:32]


@kind("wrong-digest")
def sha256_cut_to_32(r):
    r.finish = lambda text, secret: hashlib.sha256((text + "&" + secret).encode()).hexdigest()[:32]


@kind("timestamp-drift", "timestamp-unit-differs")
def the_clock_is_read_twice(r):
    off = rng.choice([-1, 1, 2])
    r.value = lambda name, value: str(int(value) + off) if name == "timestamp" else value


@kind("timestamp-drift")
def local_time_is_signed(r):
    r.value = lambda name, value: str(int(value) + 28800) if name == "timestamp" else value


@kind("url-encoded", "url-encoded-lower-hex")
def lower_hex_of_values(r):
    import re

    lower = lambda text: re.sub("%[0-9A-F]{2}", lambda m: m.group().lower(), urllib.parse.quote(text, safe=""))
    r.value = lambda name, value: lower(value)


@kind("json-unicode")
def ascii_only(r):
    r.signed_dump = lambda v: json.dumps(v, separators=(",", ":"))
    r.biz["Name"] = "冰红茶"


@kind("json-unicode", "json-spaces")
def json_dumps_as_it_is(r):
    r.signed_dump = json.dumps
    r.biz["Name"] = "冰红茶"


@kind("json-sorted", "json-slashes")
def another_order_and_slashes(r):
    plain = r.dump
    r.biz["Name"] = "矿泉水/550ml"
    r.signed_dump = lambda v: plain(dict(sorted(v.items()))).replace("/", "\\/")


@kind("not-sorted", "secret-wrong-name", "trailing-newline")
def three_mistakes(r):
    r.order = lambda fields: rng_shuffled(fields)
    r.finish = lambda text, secret: md5(text + "&key=" + secret + "\n")


def rng_shuffled(fields):
    return list(fields)[::-1]


@kind("url-encoded", "not-sorted", "secret-wrong-name")
def three_other_mistakes(r):
    r.value = lambda name, value: urllib.parse.quote(value, safe="")
    r.order = lambda fields: sorted(fields, reverse=True)
    r.finish = lambda text, secret: md5(text + "&key=" + secret)


@kind()
def a_line_of_a_log(r):
    plain = r.write

    def write():
        r.secret = PAY_KEY
        body = plain().split("\r\n\r\n")[1]
        return rng.choice(["[13:20:01] DEBUG http.c:212 -> ", "2026-11-28 13:20:01.123 I/pay( 212): post ", "http: body: "]) + body

    r.write = write


def youzan(content_of, finish):
    """A message of Youzan, verified by a program that does it wrongly."""
    msg = urllib.parse.quote(json.dumps({"tid": "E%d" % rng.randint(10**20, 10**21), "title": "冰红茶"}, ensure_ascii=False))
    body = json.dumps({"client_id": CLIENT_ID, "id": "E1", "msg": msg, "type": "trade_TradeSuccess"}, separators=(",", ":"))
    return "POST /youzan HTTP/1.1\r\nContent-Type: application/json\r\nEvent-Sign: %s\r\n\r\n%s" % (finish(content_of(body, msg)), body)


def message(names, content_of, finish):
    KINDS.append((lambda: youzan(content_of, finish), list(names)))


message(["hmac"], lambda body, msg: body, lambda c: hmac.new(CLIENT_SECRET.encode(), c.encode(), "sha256").hexdigest())
message(["hmac"], lambda body, msg: body, lambda c: hmac.new(CLIENT_SECRET.encode(), (CLIENT_ID + c).encode(), "md5").hexdigest())
message(["hmac"], lambda body, msg: body, lambda c: hmac.new(c.encode(), CLIENT_SECRET.encode(), "sha1").hexdigest())
message(["text-cut"], lambda body, msg: body, lambda c: md5(snprintf(CLIENT_ID + c + CLIENT_SECRET, 128)))
message(["secret-cut", "secret-blank"], lambda body, msg: body, lambda c: md5(CLIENT_ID + c + CLIENT_SECRET[:31]))
message(["wrong-content", "msg-decoded"], lambda body, msg: urllib.parse.unquote(msg), lambda c: md5(CLIENT_ID + c + CLIENT_SECRET))


def dingshang(text_of, sign_of):
    """A payload of Dingshang."""
    fields = {
        "machine_no": str(rng.randint(10**7, 10**8)),
        "method": "pickup_code.product.id",
        "product_id": str(rng.randint(1, 10**6)),
        "remark": rng.choice(["请放门口", "a b", "x/y"]),
        "timestamp": str(1790000000 + rng.randint(0, 9_000_000)),
    }
    sent = dict(fields, sign=sign_of(text_of(fields)))
    payload = base64.b64encode(json.dumps(sent, ensure_ascii=False).encode()).decode()
    return "POST /api/x HTTP/1.1\r\nAppid: ds0000000001\r\nAppSecret: %s\r\nContent-Type: application/json\r\n\r\n%s" % (SECRET, json.dumps({"payload": payload}))


def payload(names, text_of, sign_of):
    KINDS.append((lambda: dingshang(text_of, sign_of), list(names)))


def joined(fields):
    return "&".join("%s=%s" % (n, fields[n]) for n in sorted(fields)) + "&key=" + APP_KEY


payload(["text-cut"], joined, lambda t: md5(snprintf(t, 128)).upper())
payload(["digest-bytes"], joined, lambda t: "".join("%08X" % int.from_bytes(hashlib.md5(t.encode()).digest()[i : i + 4], "little") for i in (0, 4, 8, 12)))
payload(["digest-bytes"], joined, lambda t: "".join("%2X" % b for b in hashlib.md5(t.encode()).digest()))
payload(["sign-cut"], joined, lambda t: md5(t).upper()[:31])
payload(["secret-letter"], lambda f: joined(f).replace(APP_KEY, APP_KEY.replace("9", "g")), lambda t: md5(t).upper())
payload(["hmac"], joined, lambda t: hmac.new(APP_KEY.encode(), t.encode(), "sha1").hexdigest().upper())
payload(["secret-cut", "secret-blank"], lambda f: joined(f)[:-1], lambda t: md5(t).upper())

RUBBISH = [
    "garbage ~~",
    "root:x:0:0:root:/root:/bin/bash",
    "hello=world",
    "{}",
    '{"a":1,"b":[1,2,3]}',
    "<html><body>502 Bad Gateway</body></html>",
    "sign=0123456789abcdef0123456789abcdef",
    "x=1&y=2&sign=00000000000000000000000000000000",
    "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "a&b&c",
    "%PDF-1.4 %\u00e2\u00e3",
    "timestamp=yesterday",
]


def main():
    rng.seed(int(sys.argv[1]))
    wanted = int(sys.argv[2])
    order = []
    while len(order) < wanted:
        some = list(range(len(KINDS)))
        rng.shuffle(some)
        order += some
    for at in order[:wanted]:
        make, names = KINDS[at]
        # By chance a mistake may change nothing: no byte below 16, no text that is longer than its buffer. Then it is made anew.
        while True:
            text, platform, what = broken(make, at)
            if wrong(text, platform):
                break
        print(json.dumps({"platform": platform, "what": what, "names": names, "input": text}, ensure_ascii=False))
    for text in RUBBISH:
        for platform in ("yopoint", "dingshang", "youzan", "zhiyun"):
            print(json.dumps({"platform": platform, "what": "rubbish", "names": None, "input": text}, ensure_ascii=False))


def wrong(text, platform):
    """Whether its sign is not the right one."""
    head, body = text.split("\r\n\r\n") if "\r\n\r\n" in text else ("", text.split(" ")[-1])
    if platform == "youzan":
        return md5(CLIENT_ID + body + CLIENT_SECRET) not in head
    if platform == "dingshang":
        fields = json.loads(base64.b64decode(json.loads(body)["payload"]))
        sign = fields.pop("sign")
        return md5(joined(fields)).upper() != sign
    fields = dict(urllib.parse.parse_qsl(body, keep_blank_values=True))
    sign = fields.pop("sign")
    return md5("&".join("%s=%s" % p for p in sorted(fields.items())) + "&" + SECRET) != sign


def broken(make, at):
    """One request, its platform and what was done to it."""
    global rng_method
    rng_method = rng.choice(["cabinet.list", "cabinet.goods.list", "order.detail"])
    if make.__name__ == "<lambda>":
        text = make()
        platform = "dingshang" if "payload" in text else "youzan"
        return text, platform, "%s %d" % (platform, at)
    r = Request()
    make(r)
    return r.write(), "yopoint", make.__name__


main()
