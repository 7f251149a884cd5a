"""Pings through the Python package: what ctypes adds to a call. Prints nanoseconds of CPU time a ping.

ping.py LIBRARY CALLS URL CA ID SECRET
"""

import sys
import time

import kiosklink

path, calls, url, ca_file, app_id, secret = sys.argv[1:]
kiosklink.load_library(path)
settings = {"base_url": url, "ca_file": ca_file, "app_id": app_id, "app_secret": secret, "state_dir": "none"}
with kiosklink.Client("yopoint", **settings) as client:
    client.ping()
    before = time.process_time_ns()
    for _ in range(int(calls)):
        client.ping()
    print((time.process_time_ns() - before) // int(calls))
