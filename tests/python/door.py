"""Opens a door from Python with nothing but ctypes: door.py LIBRARY ACCOUNTS.json ACCOUNT CABINET."""

import ctypes as c
import sys


class Error(c.Structure):
    _fields_ = (
        [("struct_size", c.c_uint32), ("status", c.c_int32), ("outcome", c.c_int32), ("advice", c.c_int32)]
        + [(name, c.c_int32) for name in ("http_status", "platform_code", "os_errno")]
        + [("retry_after_ms", c.c_uint32), ("platform_name", c.c_char * 96)]
        + [("platform_message", c.c_char * 128), ("message", c.c_char * 256)]
    )


class DoorRequest(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("ttl_ms", c.c_uint32)] + [
        (name, c.c_char_p)
        for name in "request_id cabinet_id door user_id order_no item_no notify_url extra_json visit_id context".split()
    ]


class CommandInfo(c.Structure):
    _fields_ = [
        (name, c.c_char_p)
        for name in (
            "request_id visit_id context mark order_no item_no delivery_no report_url json cabinet_id door "
            "physical_error message"
        ).split()
    ] + [(name, c.c_int32) for name in "kind outcome physical settled_by status recorded".split()]


def main(library, accounts, account, cabinet):
    kl = c.CDLL(library)
    handle = c.c_void_p
    kl.kl_config_load.argtypes = [c.c_char_p, c.c_char_p, c.POINTER(handle), c.POINTER(Error)]
    kl.kl_client_new.argtypes = [handle, c.POINTER(handle), c.POINTER(Error)]
    kl.kl_door_open.argtypes = [handle, c.POINTER(DoorRequest), c.POINTER(handle), c.POINTER(Error)]
    kl.kl_command_view.argtypes, kl.kl_command_view.restype = [handle], c.POINTER(CommandInfo)
    kl.kl_client_free.argtypes = kl.kl_config_free.argtypes = kl.kl_command_free.argtypes = [handle]

    err = Error(struct_size=c.sizeof(Error))
    config, client = handle(), handle()

    def must(status):
        if status != 0:
            sys.exit("%d: %s" % (status, err.message.decode()))

    must(kl.kl_config_load(accounts.encode(), account.encode(), c.byref(config), c.byref(err)))
    must(kl.kl_client_new(config, c.byref(client), c.byref(err)))
    seen = []
    for _ in range(2):
        request = DoorRequest(
            struct_size=c.sizeof(DoorRequest), request_id=b"python-1", cabinet_id=cabinet.encode()
        )
        command = handle()
        outcome = kl.kl_door_open(client, c.byref(request), c.byref(command), c.byref(err))
        assert outcome == err.outcome == 1, err.message
        info = kl.kl_command_view(command).contents
        seen.append((info.order_no.decode(), info.recorded, err.outcome))
        kl.kl_command_free(command)
    kl.kl_client_free(client)
    kl.kl_config_free(config)
    (first, second) = seen
    assert first[0] == second[0] and (first[1], second[1]) == (0, 1) and first[2] == second[2] == 1, seen
    print(first[0])


main(*sys.argv[1:])
