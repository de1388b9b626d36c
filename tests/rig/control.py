#!/usr/bin/env python3
"""control.py SOCKET COMMAND [ARGUMENT...]: tells the virtual straps what to do.

$RIG_CTL is this with its socket. Prints the reply (one JSON object) and exits 0 when the command was carried
out.
"""

import json
import socket
import sys


def main():
    path, *words = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(" ".join(words).encode() + b"\n")
        reply = connection.makefile().readline()
    print(reply.strip())
    return 0 if json.loads(reply)["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
