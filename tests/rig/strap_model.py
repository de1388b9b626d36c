"""What a virtual Polar strap is, says and did: shared by straps.py (real stack) and mock_bluez.py (mock).

Both rigs differ only in how a strap reaches the program under test. Who a strap is, what each of its
notifications holds, when it beats and the record of what it sent are here, so that one comparison
(compare.py) fits both.
"""

import asyncio
import json
import random
import struct
import time

POLAR_COMPANY = 0x006B

HEART_RATE_SERVICE = 0x180D
HEART_RATE_MEASUREMENT = 0x2A37
BODY_SENSOR_LOCATION = 0x2A38
BATTERY_SERVICE = 0x180F
BATTERY_LEVEL = 0x2A19
DEVICE_INFORMATION_SERVICE = 0x180A
POLAR_SERVICE = 0xFEEE  # advertised by every Polar strap

ADAPTER_ADDRESS = "00:1B:DC:07:00:01"

# How long a strap is silent before its link is cut on purpose: what it sent by then has arrived, so that the
# record stays exact. (Over the air every packet is acknowledged; the emulated link would just forget some.)
IN_FLIGHT_SECONDS = 0.5

CHEST = b"\x01"
_RR_PRESENT = 0x10
# The manufacturer data of an H10 that does not broadcast its heart rate (an advertisement seen in the field).
_IDLE_ADVERTISEMENT = bytes.fromhex("720897c9c30000000000")


def polar_id(index):
    """The eight hex digits printed on strap `index`: distinct, and with the check digit real straps have."""
    digits = [int(c, 16) for c in f"{(0xA1B2C30 + index * 0x1D) & 0xFFFFFFF:07X}"]
    check = (3 * sum(digits[0::2]) + sum(digits[1::2])) % 16
    return "".join(f"{d:X}" for d in digits) + f"{check:X}"


def address(index):
    """A public address of Polar's block; the last two bytes are the index."""
    return f"A0:9E:1A:00:{index >> 8:02X}:{index & 0xFF:02X}"


def heart_rate_payload(index, n):
    """Notification `n` of strap `index`: a valid 2A37 value that tells which one it is.

    The beat differs between neighbouring straps and neighbouring notifications. The RR interval carries n mod
    1000. Odd notifications hold two RR intervals, as a strap does whenever two beats fall into one second.
    """
    bpm = 60 + (index * 7 + n) % 120
    rr = 512 + n % 1000
    intervals = [rr, rr + 1] if n % 2 else [rr]
    return struct.pack(f"<BB{len(intervals)}H", _RR_PRESENT, bpm, *intervals)


def broadcast_data(index, n):
    """Manufacturer data of a strap that broadcasts its heart rate: flags, kHz, fast and slow (shown) beat.

    Flags: bit 0 battery, bit 1 skin contact, bits 2-4 a counter that moves with each value, bit 5
    broadcasting.
    """
    bpm = 60 + (index * 7 + n) % 120
    return bytes([0x23 | (n & 7) << 2, 0, 0, bpm])


def device_information(index):
    """Characteristics of the Device Information service, as an H10 answers them (trailing zero bytes too)."""
    return {
        0x2A29: b"Polar Electro Oy\0",
        0x2A24: b"H10\0",
        0x2A25: polar_id(index).encode(),
        0x2A27: b"00760690.03",
        0x2A26: b"5.0.0",
        0x2A28: b"5.0.0",
    }


class Record:
    """sent.ndjson: one line for each notification that left for a subscriber, written as it leaves."""

    def __init__(self, path):
        self._file = open(path, "w", buffering=1, encoding="ascii")

    def write(self, strap, n, payload):
        entry = {"strap": strap, "n": n, "hex": payload.hex(), "t": round(time.monotonic(), 6)}
        self._file.write(json.dumps(entry, separators=(",", ":")) + "\n")


class Strap:
    """State of one strap. The rigs subclass it with how it notifies and how its link is cut and restored."""

    def __init__(self, index, record):
        self.index = index
        self.id = polar_id(index)
        self.name = f"Polar H10 {self.id}"
        self.address = address(index)
        self.battery = 97
        self.sent = 0
        self.on = True
        self.muted = False
        self._cutting = False
        self._record = record

    # What a rig provides.
    def connected(self):
        """Whether a link to the strap exists."""
        raise NotImplementedError

    async def notify(self, payload):
        """Sends `payload` as 2A37; says whether there was a subscriber."""
        raise NotImplementedError

    async def cut(self, *, lost):
        """Ends the link: as if out of range (lost) or by the strap itself, which advertises again at once."""
        raise NotImplementedError

    async def restore(self):
        """Back in range: the strap advertises again."""
        raise NotImplementedError

    async def set_battery(self, percent):
        """Changes the battery level and notifies it."""
        raise NotImplementedError

    # What all straps do alike.
    def advertised_manufacturer_data(self):
        """Manufacturer data, without the company id."""
        return _IDLE_ADVERTISEMENT

    async def quiet(self):
        """Stops notifying until what is under way has arrived. See IN_FLIGHT_SECONDS."""
        self._cutting = True
        await asyncio.sleep(IN_FLIGHT_SECONDS)
        self._cutting = False

    async def beat(self, hz):
        """Notifies `hz` times a second for ever; straps are out of step with each other, as bodies are."""
        await asyncio.sleep(random.random() / hz)
        due = time.monotonic()
        while True:
            if self.on and not self.muted and not self._cutting:
                payload = heart_rate_payload(self.index, self.sent)
                if await self.notify(payload):
                    self._record.write(self.id, self.sent, payload)
                    self.sent += 1
            due += 1 / hz
            await asyncio.sleep(max(0, due - time.monotonic()))


async def control(straps, unplug, plug, words):
    """Carries out one control command (see README.md) and returns the reply, a dictionary."""
    match words:
        case ["off", i]:
            strap = straps[int(i)]
            await strap.quiet()
            strap.on = False
            await strap.cut(lost=True)
        case ["on", i]:
            strap = straps[int(i)]
            if not strap.on:
                strap.on = True
                await strap.restore()
        case ["drop", i]:
            await straps[int(i)].quiet()
            await straps[int(i)].cut(lost=False)
        case ["mute", i]:
            straps[int(i)].muted = True
        case ["unmute", i]:
            straps[int(i)].muted = False
        case ["hush"]:
            for strap in straps:
                strap.muted = True
        case ["bat", i, percent]:
            straps[int(i)].battery = int(percent)
            await straps[int(i)].set_battery(int(percent))
        case ["unplug"]:
            await asyncio.gather(*(strap.quiet() for strap in straps))
            await unplug()
        case ["plug"]:
            await plug()
        case ["stat"]:
            return {
                "sent": sum(strap.sent for strap in straps),
                "connected": sum(strap.connected() for strap in straps),
                "straps": [
                    {"id": s.id, "on": s.on, "muted": s.muted, "connected": s.connected(), "sent": s.sent}
                    for s in straps
                ],
            }
        case _:
            raise ValueError(f"unknown command: {' '.join(words)}")
    return {}


async def serve_control(path, straps, unplug, plug):
    """Listens on the UNIX socket `path`: one command a line, one JSON object a line in reply."""

    async def client(reader, writer):
        while line := await reader.readline():
            try:
                reply = {"ok": True} | await control(straps, unplug, plug, line.decode().split())
            except Exception as error:  # the command's author must hear of it, whatever it is
                reply = {"ok": False, "error": f"{type(error).__name__}: {error}"}
            writer.write(json.dumps(reply).encode() + b"\n")
            await writer.drain()
        writer.close()

    return await asyncio.start_unix_server(client, path)
