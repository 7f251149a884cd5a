"""``python -m kiosklink_simulator``: the first door."""

import sys

from . import Simulator, main

CABINET = "5f6da2362201410011000001"


def first_door() -> int:
    try:
        import kiosklink
    except ImportError:
        sys.stderr.write("The package kiosklink is not installed: pip install kiosklink. With arguments this is kiosklink-sim.\n")
        return 1
    with Simulator() as sim:
        print("The simulator pretends to be the platforms: %s" % sim.info["origin"])
        with kiosklink.Client.from_file(sim.accounts, "yopoint") as client:
            for item in client.stock_iter(CABINET):
                print("  %s x %s, %s fen" % (item.stock, item.name, item.price))
            command = client.door_open(client.request_id_new(), CABINET)
            print("The door opens: order %s" % command.order_no)
    print("Next: kiosklink-sim --ca-file ca.pem --accounts-file accounts.json, and open its console in a browser.")
    return 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main()
    sys.exit(first_door())
