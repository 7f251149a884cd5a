"""What the Python tests share. tests/python.rs starts a simulator for each file and tells where it is."""

import json
import os
import unittest
import urllib.error
import urllib.request

import kiosklink

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ACCOUNTS = os.environ["KIOSKLINK_TEST_ACCOUNTS"]
SIMULATOR = os.environ["KIOSKLINK_TEST_SIMULATOR"]
LIBRARY = os.environ["KIOSKLINK_TEST_LIBRARY"]

CABINET = "5f6da2362201410011000001"
TWO_DOORS = "5f6da2362201410011000002"
OFFLINE = "5f6da2362201410011000003"
STOPPED = "5f6da2362201410011000004"
MACHINE = "16327129"
NOTIFY_URL = "http://127.0.0.1:9/notify"

kiosklink.load_library(LIBRARY)

# Whatever the environment says of proxies.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def control(method, path, body=None):
    """A control call of the simulator that must succeed."""
    request = urllib.request.Request(SIMULATOR + "/_sim" + path, method=method)
    data = None if body is None else json.dumps(body).encode()
    try:
        with _opener.open(request, data, timeout=30) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        raise AssertionError("%s %s: %d %s" % (method, path, error.code, error.read().decode())) from None


def fault(method, **rule):
    """Lets the next request for a method meet a fault."""
    control("POST", "/faults", dict(rule, method=method) if method else rule)


def openings():
    return control("GET", "/openings")


def requests(method):
    return control("GET", "/requests?method=" + method)


def wait(**what):
    control("POST", "/wait", dict({"timeout_ms": 20000}, **what))


def settings(platform):
    """An account's settings, as keywords of Client. Commands are remembered for the client's life."""
    with open(ACCOUNTS, encoding="utf-8") as file:
        account = json.load(file)["accounts"][platform]
    del account["platform"]
    account["state_dir"] = "none"
    return account


class Case(unittest.TestCase):
    """Begins with the simulator as it was at its start."""

    def setUp(self):
        control("POST", "/reset")

    def client(self, platform="yopoint", **changes):
        # Names come again from test to test.
        client = kiosklink.Client.from_file(ACCOUNTS, platform, **dict({"state_dir": "none"}, **changes))
        self.addCleanup(client.close)
        return client

    def fails(self, kinds, function, *arguments, **keywords):
        """The exception of a call, which must be of all these classes."""
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        with self.assertRaises(kiosklink.Error) as caught:
            function(*arguments, **keywords)
        for kind in kinds:
            self.assertIsInstance(caught.exception, kind, repr(caught.exception))
        return caught.exception
