"""A node of pyre: zrepeer.py NAME [KEY=VALUE]...

Prints each event as a line of JSON, and stops when standard input ends.
"""

import json
import sys

import zmq
from pyre import Pyre


def show(frames: list[bytes]) -> None:
    event = {"event": frames[0].decode(), "uuid": frames[1].hex(), "name": frames[2].decode()}
    if event["event"] == "ENTER":
        event["headers"] = json.loads(frames[3])
        event["endpoint"] = frames[4].decode()
    print(json.dumps(event), flush=True)


def main() -> None:
    node = Pyre(sys.argv[1])
    for word in sys.argv[2:]:
        key, _, value = word.partition("=")
        node.set_header(key, value)
    node.start()
    print(json.dumps({"event": "STARTED", "uuid": node.uuid().hex, "name": sys.argv[1]}), flush=True)
    poller = zmq.Poller()
    poller.register(node.socket(), zmq.POLLIN)
    poller.register(sys.stdin, zmq.POLLIN)
    while True:
        ready = dict(poller.poll())
        if node.socket() in ready:
            show(node.recv())
        if sys.stdin.fileno() in ready:
            break
    node.stop()


if __name__ == "__main__":
    main()
