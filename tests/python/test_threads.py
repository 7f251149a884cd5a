"""Threads, the GIL, cancel, close, fork, and the log."""

import ctypes
import gc
import io
import logging
import os
import subprocess
import sys
import threading
import weakref

import kiosklink
from kiosklink import Outcome, _abi, _log, _native, errors
from support import ACCOUNTS, CABINET, LIBRARY, Case, control, fault, openings, wait


class Call(threading.Thread):
    """A call on a thread of its own, with what became of it."""

    def __init__(self, function, *arguments):
        super().__init__(daemon=True)
        self.todo = (function, arguments)
        self.result = self.error = None
        self.start()

    def run(self):
        try:
            self.result = self.todo[0](*self.todo[1])
        except BaseException as error:
            self.error = error

    def ended(self):
        self.join(30)
        if self.is_alive():
            raise AssertionError("the call does not end")
        return self


class Threads(Case):
    def blocked(self, client, method, function, *arguments):
        """A call that has been sent and gets no answer."""
        fault(method, fault="half_open", act=False)
        call = Call(function, *arguments)
        wait(**{"for": "requests", "operation": "yopoint " + method, "count": 1})
        self.assertTrue(call.is_alive())
        return call

    def test_other_threads_run_while_a_call_waits(self):
        client = self.client(timeout_ms=60000)
        call = self.blocked(client, "api.test", client.ping)
        # This thread would not come to these lines if the call held the GIL.
        self.client().cabinet_list()
        self.assertTrue(call.is_alive())
        client.cancel()
        self.assertIsInstance(call.ended().error, errors.Cancelled)

    def test_that_the_test_above_would_notice(self):
        """The same with a library that holds the GIL: nothing else runs until the call's time is up."""
        program = """
import ctypes, sys, threading
import kiosklink
from kiosklink import _native
ctypes.CDLL = ctypes.PyDLL
kiosklink.load_library(sys.argv[1])
client = kiosklink.Client.from_file(sys.argv[2], "yopoint", timeout_ms=int(sys.argv[3]))
began = threading.Event()
steps = []
def call():
    began.set()
    try:
        client.ping()
    except kiosklink.Error:
        steps.append("the call ends")
sys.setswitchinterval(1000)
thread = threading.Thread(target=call)
thread.start()
began.wait()
steps.append("this thread")
while thread.is_alive():
    client.cancel()
    thread.join(0.01)
print(steps)
"""
        fault("api.test", fault="half_open", act=False, count=None)
        for held, said in ((True, ["the call ends", "this thread"]), (False, ["this thread", "the call ends"])):
            text = program if held else program.replace("ctypes.CDLL = ctypes.PyDLL\n", "")
            command = [sys.executable, "-c", text, LIBRARY, ACCOUNTS, "1000" if held else "60000"]
            out = subprocess.run(command, stdout=subprocess.PIPE, timeout=120)
            self.assertEqual(out.stdout.decode().strip(), str(said))

    def test_cancel_says_what_became_of_a_door(self):
        client = self.client(timeout_ms=60000)
        call = self.blocked(client, "cabinet.open.door", client.door_open, "visit-1", CABINET)
        client.cancel()
        error = call.ended().error
        self.assertIsInstance(error, errors.Cancelled)
        self.assertIsInstance(error, errors.OutcomeUnknown)
        self.assertEqual(error.outcome, Outcome.UNKNOWN)
        self.fails(errors.Unsettled, client.door_open, "visit-1", CABINET)
        client.ping()

    def test_a_view_is_given_up_alone(self):
        client = self.client(timeout_ms=60000)
        view = client.view(timeout_ms=50000)
        call = self.blocked(client, "api.test", view.ping)
        client.view().cancel()
        self.assertTrue(call.is_alive())
        view.cancel()
        self.assertIsInstance(call.ended().error, errors.Cancelled)
        view.ping()
        self.fails(errors.ArgumentError, client.view, timeout_ms=3600001)
        client.close()
        self.fails(errors.ClosedError, view.ping)

    def test_a_view_keeps_its_client_and_has_its_own_time(self):
        view = self.client(timeout_ms=60000).view(timeout_ms=100)
        gc.collect()
        view.ping()
        fault("api.test", fault="half_open", act=False)
        self.fails(errors.Timeout, view.ping)

    def test_close_ends_what_is_in_flight(self):
        client = self.client(timeout_ms=60000)
        call = self.blocked(client, "api.test", client.ping)
        client.close()
        self.assertIsInstance(call.ended().error, errors.Cancelled)

    def test_one_name_on_many_threads_opens_once(self):
        client = self.client()
        control("POST", "/yopoint/settings", {"busy_whole_cabinet": False})
        calls = [Call(client.door_open, "visit-1", CABINET) for _ in range(8)]
        for call in calls:
            call.ended()
        done = [call.result for call in calls if call.error is None]
        self.assertTrue(done)
        self.assertEqual(len({command.order_no for command in done}), 1)
        self.assertEqual(sum(not command.recorded for command in done), 1)
        for call in calls:
            if call.error is not None:
                self.assertIsInstance(call.error, errors.InFlight)
        self.assertEqual(len(openings()), 1)

    def test_threads_share_an_iterator(self):
        client = self.client()
        control("POST", "/yopoint/generate", {"cabinets": 300})
        everything = sorted(c.id for c in client.cabinet_list())
        walk = client.cabinet_iter(page_size=50)
        calls = [Call(lambda: [cabinet.id for cabinet in walk]) for _ in range(4)]
        seen = []
        for call in calls:
            self.assertIsNone(call.ended().error)
            seen += call.result
        self.assertEqual(sorted(seen), everything)

    def test_a_closed_iterator_ends_others_cleanly(self):
        client = self.client()
        control("POST", "/yopoint/generate", {"cabinets": 300})
        walk = client.cabinet_iter(page_size=10)
        next(walk)
        calls = [Call(list, walk) for _ in range(3)]
        walk.close()
        for call in calls:
            error = call.ended().error
            self.assertTrue(error is None or isinstance(error, errors.ClosedError), error)


class Fork(Case):
    def in_child(self, function):
        """What a function prints in a forked child."""
        sys.stdout.flush()
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.close(read)
                os.write(write, str(function()).encode())
                code = 0
            finally:
                os._exit(code)
        os.close(write)
        with os.fdopen(read) as pipe:
            said = pipe.read()
        _, status = os.waitpid(child, 0)
        self.assertEqual(status, 0, said)
        return said

    def test_a_child_makes_its_own(self):
        client = self.client()
        client.ping()
        walk = client.cabinet_iter(page_size=1)
        next(walk)

        def child():
            said = []
            for use in (client.ping, client.cancel, lambda: next(walk), lambda: client.door_open("a", CABINET)):
                try:
                    use()
                    said.append("worked")
                except errors.ForkedError as error:
                    said.append(error.name + (" fork" if "fork" in error.message else error.message))
            client.close()
            with kiosklink.Client.from_file(ACCOUNTS, "yopoint") as own:
                own.ping()
                said.append("own")
            return said

        self.assertEqual(self.in_child(child), str(["KL_E_FORKED fork"] * 4 + ["own"]))
        client.ping()
        self.assertEqual(len(list(walk)), 4, "the parent goes on")
        self.assertEqual(client.stats().handshakes, 1)

    def test_a_child_of_a_process_in_the_middle_of_things(self):
        """Threads of the parent are inside calls and inside the log at the moment of the fork."""
        kiosklink.enable_logging(logging.getLogger("fork"), logging.DEBUG)
        self.addCleanup(kiosklink.disable_logging)
        logging.getLogger("fork").propagate = False
        logging.getLogger("fork").addHandler(logging.NullHandler())
        client = self.client()
        stop = threading.Event()

        def work():
            while not stop.is_set():
                client.ping()

        calls = [Call(work) for _ in range(3)]
        try:
            for _ in range(5):

                def child():
                    kiosklink.disable_logging()
                    with kiosklink.Client.from_file(ACCOUNTS, "yopoint") as own:
                        own.ping()
                    gc.collect()
                    return "fine"

                self.assertEqual(self.in_child(child), "fine")
        finally:
            stop.set()
        for call in calls:
            self.assertIsNone(call.ended().error)


class Log(Case):
    def setUp(self):
        super().setUp()
        self.text = io.StringIO()
        self.logger = logging.Logger("of this test", logging.DEBUG)
        handler = logging.StreamHandler(self.text)
        handler.setFormatter(logging.Formatter("%(levelname)s %(threadName)s %(message)s"))
        self.logger.addHandler(handler)
        self.addCleanup(kiosklink.disable_logging)

    def lines(self):
        return self.text.getvalue().splitlines()

    def test_lines_become_records(self):
        kiosklink.enable_logging(self.logger)
        gc.collect()
        client = self.client()
        self.assertIsNone(Call(client.ping).ended().error)
        debug = [line for line in self.lines() if line.startswith("DEBUG Thread-") and "connected" in line]
        self.assertEqual(len(debug), 1, self.lines())
        kiosklink.disable_logging()
        before = self.lines()
        client.ping()
        self.assertEqual(self.lines(), before)

    def test_levels_are_those_of_logging(self):
        for level, wanted in ((logging.DEBUG, True), (logging.WARNING, False), (logging.CRITICAL + 1, False)):
            kiosklink.enable_logging(self.logger, level)
            self.client().ping()
            self.assertEqual(any("connected" in line for line in self.lines()), wanted)
            self.text.truncate(0)
            self.text.seek(0)
        self.logger.setLevel(logging.ERROR)
        kiosklink.enable_logging(self.logger)
        self.client().ping()
        self.assertEqual(self.lines(), [])

    def test_no_secret_is_in_it(self):
        kiosklink.enable_logging(self.logger)
        secret = "a-secret-of-this-test"
        client = self.client(app_secret=secret)
        self.fails(errors.AuthError, client.ping)
        self.assertTrue(self.lines())
        self.assertNotIn(secret, self.text.getvalue())

    def test_the_callback_lives_as_long_as_it_is_needed(self):
        kiosklink.enable_logging(self.logger)
        first = weakref.ref(_log._callback)
        gc.collect()
        self.assertIsNotNone(first())
        kiosklink.enable_logging(self.logger)
        gc.collect()
        self.assertIsNone(first(), "the one before is forgotten")
        kiosklink.disable_logging()
        self.assertIsNone(_log._callback)

    def test_a_handler_that_raises_is_kept_out_of_c(self):
        class Bad(logging.Handler):
            def emit(self, record):
                raise RuntimeError("from a handler")

        self.logger.addHandler(Bad())
        kiosklink.enable_logging(self.logger)
        problems = []
        hook, sys.unraisablehook = sys.unraisablehook, problems.append
        try:
            self.client().ping()
        finally:
            sys.unraisablehook = hook
        self.assertEqual(problems, [])
        self.assertTrue(self.lines())

    def test_a_handler_must_not_call_back(self):
        said = []

        class Meddler(logging.Handler):
            def emit(self, record):
                try:
                    kiosklink.disable_logging()
                except errors.BusyError as error:
                    said.append(error.name)

        self.logger.addHandler(Meddler())
        kiosklink.enable_logging(self.logger)
        self.client().ping()
        self.assertEqual(set(said), {"KL_E_BUSY"})

    def test_changing_it_while_calls_go_on(self):
        client = self.client()
        stop = threading.Event()

        def work():
            while not stop.is_set():
                client.ping()

        calls = [Call(work) for _ in range(2)]
        for _ in range(50):
            kiosklink.enable_logging(self.logger)
            kiosklink.disable_logging()
        stop.set()
        for call in calls:
            self.assertIsNone(call.ended().error)

    def test_an_interpreter_ends_in_the_middle_of_a_call(self):
        program = """
import logging, sys, threading
import kiosklink
kiosklink.load_library(sys.argv[1])
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
kiosklink.enable_logging()
client = kiosklink.Client.from_file(sys.argv[2], "yopoint")
def work():
    while True:
        client.ping()
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
client.ping()
"""
        for _ in range(3):
            out = subprocess.run(
                [sys.executable, "-c", program, LIBRARY, ACCOUNTS],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                timeout=60,
            )
            self.assertEqual((out.returncode, b"connected" in out.stdout), (0, True), out)


class Loading(Case):
    def run_python(self, program, *arguments, **environment):
        out = subprocess.run(
            [sys.executable, "-c", program] + list(arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(os.environ, **environment),
            timeout=60,
        )
        return out.stdout.decode().strip()

    def test_the_order_of_places(self):
        folder = os.path.dirname(LIBRARY)
        find = "import kiosklink; print(kiosklink.load_library())"
        self.assertEqual(self.run_python(find, LD_LIBRARY_PATH=folder), "libkiosklink.so.1")
        given = "import sys, kiosklink; print(kiosklink.load_library(sys.argv[1]), kiosklink.load_library())"
        self.assertEqual(self.run_python(given, LIBRARY, LD_LIBRARY_PATH=""), LIBRARY + " " + LIBRARY)
        nothing = self.run_python(find, LD_LIBRARY_PATH="")
        self.assertIn("LibraryError", nothing)
        self.assertIn("kiosklink.load_library", nothing)
        with self.assertRaises(kiosklink.LibraryError):
            kiosklink.load_library("/another/libkiosklink.so.1")
        self.assertEqual(kiosklink.load_library(), LIBRARY)
        self.assertEqual(kiosklink.abi_version(), _abi.KL_ABI_VERSION)
        self.assertEqual(kiosklink.version(), kiosklink.__version__)
        self.assertIn(kiosklink.version(), kiosklink.build_info())

    def test_nothing_is_loaded_by_an_import(self):
        said = self.run_python("import kiosklink; from kiosklink import _native; print(_native._loaded)")
        self.assertEqual(said, "None")

    def test_another_library_is_refused_with_words(self):
        folder = os.path.join(os.environ["KIOSKLINK_TEST_TARGET"], "fake")
        os.makedirs(folder, exist_ok=True)
        names = sorted(_abi.FUNCTIONS)
        for name, abi, version, functions, words in [
            ("abi", 2, "9.0.0", names, "has ABI 2, this package (kiosklink %s) needs ABI 1" % kiosklink.__version__),
            ("old", 1, "0.0.9", names, "is version 0.0.9, older than this package"),
            ("less", 1, "0.0.9", [n for n in names if n != "kl_stock_iter_new"], "has no kl_stock_iter_new"),
            ("other", 1, "1.0", [], "has no kl_abi_version"),
        ]:
            source = os.path.join(folder, name + ".c")
            with open(source, "w") as file:
                for function in functions:
                    body = {
                        "kl_abi_version": "unsigned kl_abi_version(void) { return %d; }\n" % abi,
                        "kl_version": 'const char *kl_version(void) { return "%s"; }\n' % version,
                    }.get(function, "void %s(void) {}\n" % function)
                    file.write(body)
            path = os.path.join(folder, name + ".so")
            subprocess.run(["cc", "-shared", "-fPIC", source, "-o", path], check=True)
            with self.assertRaises(kiosklink.LibraryError) as caught:
                _native.Library(path)
            self.assertIn(words, str(caught.exception))
            self.assertEqual(caught.exception.path, path)

    def test_calls_give_up_the_gil_by_their_type(self):
        self.assertIs(type(_native.library().cdll), ctypes.CDLL)
