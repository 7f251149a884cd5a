"""The simulator of the platforms behind kiosklink, as a package: the program ``kiosklink-sim`` inside, and a context manager around it.

::

    import kiosklink, kiosklink_simulator

    with kiosklink_simulator.Simulator() as sim, kiosklink.Client.from_file(sim.accounts, "yopoint") as client:
        print(client.door_open(client.request_id_new(), "5f6da2362201410011000001").order_no)

``python -m kiosklink_simulator`` opens a first door; with arguments it is ``kiosklink-sim``.
"""

import json
import os
import subprocess
import sys
import tempfile
from types import TracebackType
from typing import IO, Any, Dict, Optional, Type

__all__ = ["PROGRAM", "Simulator", "main"]

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "kiosklink-sim")
"""The program of the simulator."""


class Simulator:
    """The platforms on the loopback, from ``with`` or :meth:`start` until :meth:`stop`. Arguments are those of ``kiosklink-sim``.

    ``accounts`` is the file of accounts for ``Client.from_file``, ``ca_file`` the certificate authority; both are gone with the simulator.
    ``info`` is what the program said when it was ready: ``origin``, ``console``, ``platforms``.
    """

    def __init__(self, *arguments: str) -> None:
        self.arguments = arguments
        self.info: Dict[str, Any] = {}
        self._process: Optional["subprocess.Popen[bytes]"] = None
        self._folder: Optional["tempfile.TemporaryDirectory[str]"] = None

    def _path(self, name: str) -> str:
        if self._folder is None:
            raise RuntimeError("the simulator does not run")
        return os.path.join(self._folder.name, name)

    @property
    def accounts(self) -> str:
        return self._path("accounts.json")

    @property
    def ca_file(self) -> str:
        return self._path("ca.pem")

    @property
    def console(self) -> str:
        """The address to open in a browser."""
        return str(self.info["console"])

    def start(self) -> "Simulator":
        if self._process is not None:
            raise RuntimeError("the simulator runs already")
        self._folder = tempfile.TemporaryDirectory(prefix="kiosklink-sim-")
        command = [PROGRAM, "--ca-file", self.ca_file, "--accounts-file", self.accounts, "--until-eof", *self.arguments]
        # Its standard input ends with this process, however it ends.
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            output: Optional[IO[bytes]] = self._process.stdout
            line = output.readline() if output is not None else b""
            if not line:
                raise RuntimeError("the simulator did not start (exit code %d)" % self._process.wait())
            self.info = json.loads(str(line, "utf-8"))
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            process.wait()
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.cleanup()

    def __enter__(self) -> "Simulator":
        return self.start()

    def __exit__(
        self, kind: Optional[Type[BaseException]], value: Optional[BaseException], traceback: Optional[TracebackType]
    ) -> None:
        self.stop()


def main() -> None:
    """The script ``kiosklink-sim``: this process becomes the program."""
    os.execv(PROGRAM, ["kiosklink-sim", *sys.argv[1:]])
