#!/usr/bin/env python3
"""A mock of bluetoothd: one adapter and many Polar straps on the bus named by DBUS_SYSTEM_BUS_ADDRESS.

It covers what btleplug calls, no more: object manager, introspection with child nodes, properties, discovery,
connect and disconnect, reading and notifying. No pairing, no AcquireNotify.

Like bluetoothd, it keeps notification sessions over a disconnection (they resume with the link) and ends the
sessions of a program that leaves the bus.
"""

import argparse
import asyncio
import collections
import random

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

import strap_model

ADAPTER = "org.bluez.Adapter1"
DEVICE = "org.bluez.Device1"
SERVICE = "org.bluez.GattService1"
CHARACTERISTIC = "org.bluez.GattCharacteristic1"
DESCRIPTOR = "org.bluez.GattDescriptor1"
PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"

HCI = "/org/bluez/hci0"
ADVERTISING_SECONDS = 1.0
CONNECT_SECONDS = 0.3
# bluetoothd answers Connect for an absent device after about this long.
CONNECT_TIMEOUT_SECONDS = 20.0
CLIENT_CONFIGURATION_DESCRIPTOR = 0x2902


def uuid(short):
    """The 128-bit form of a 16-bit UUID."""
    return f"0000{short:04x}-0000-1000-8000-00805f9b34fb"


class PatientSocket:
    """A socket whose send() reports a full buffer as "0 bytes written".

    dbus-fast waits until it can write after an incomplete send, but takes EAGAIN for the end of the bus.
    """

    def __init__(self, sock):
        self._sock = sock

    def send(self, data):
        """As socket.send."""
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0

    def __getattr__(self, name):
        return getattr(self._sock, name)


class BluezError(Exception):
    """Becomes a D-Bus error reply."""

    def __init__(self, name, text):
        super().__init__(text)
        self.name = name


class ObjectTree:
    """The objects below org.bluez and the signals about them."""

    def __init__(self, bus):
        self._bus = bus
        self.objects = {}  # path -> {interface: {property: Variant}}

    def _signal(self, path, interface, member, signature, body):
        self._bus.send(Message(
            message_type=MessageType.SIGNAL,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=body,
        ))

    def add(self, path, interface, **properties):
        """Adds an object with one interface."""
        self.objects[path] = {interface: properties}
        shown = {interface: properties, INTROSPECTABLE: {}, PROPERTIES: {}}
        self._signal("/", OBJECT_MANAGER, "InterfacesAdded", "oa{sa{sv}}", [path, shown])

    def remove(self, prefix):
        """Removes the object `prefix` and all below it, leaves first."""
        for path in sorted((p for p in self.objects if (p + "/").startswith(prefix + "/")), reverse=True):
            interfaces = [*self.objects.pop(path), INTROSPECTABLE, PROPERTIES]
            self._signal("/", OBJECT_MANAGER, "InterfacesRemoved", "oas", [path, interfaces])

    def get(self, path, interface, name):
        """The value of a property, or None."""
        value = self.objects.get(path, {}).get(interface, {}).get(name)
        return None if value is None else value.value

    def change(self, path, interface, **properties):
        """Changes properties and says so."""
        if path in self.objects:
            self.objects[path][interface].update(properties)
            self._signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", [interface, properties, []])

    def introspect(self, path):
        """The XML that lists interfaces and children: this is how services and characteristics are found."""
        prefix = path.rstrip("/") + "/"
        children = sorted({p[len(prefix):].split("/")[0] for p in self.objects if p.startswith(prefix)})
        interfaces = "".join(f'<interface name="{i}"></interface>' for i in self.objects.get(path, {}))
        nodes = "".join(f'<node name="{child}"/>' for child in children)
        return (
            '<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"\n'
            '"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">\n'
            f"<node>{interfaces}{nodes}</node>"
        )


class MockStrap(strap_model.Strap):
    """A strap as bluetoothd shows it."""

    def __init__(self, index, record, rig):
        super().__init__(index, record)
        self.rig = rig
        self.path = f"{HCI}/dev_{self.address.replace(':', '_')}"
        self.heart_rate_path = None
        self.battery_path = None
        self._broadcasts = 0

    @property
    def tree(self):
        """Shorthand."""
        return self.rig.tree

    def connected(self):
        return bool(self.tree.get(self.path, DEVICE, "Connected"))

    def advertised_manufacturer_data(self):
        if not self.rig.broadcast:
            return super().advertised_manufacturer_data()
        self._broadcasts += 1
        return strap_model.broadcast_data(self.index, self._broadcasts)

    def advertise(self):
        """The adapter hears an advertisement."""
        company_data = {strap_model.POLAR_COMPANY: Variant("ay", self.advertised_manufacturer_data())}
        heard = {
            "RSSI": Variant("n", random.randint(-75, -45)),
            "ManufacturerData": Variant("a{qv}", company_data),
        }
        if self.path in self.tree.objects:
            self.tree.change(self.path, DEVICE, **heard)
            return
        services = [uuid(strap_model.HEART_RATE_SERVICE), uuid(strap_model.POLAR_SERVICE)]
        self.tree.add(
            self.path,
            DEVICE,
            Adapter=Variant("o", HCI),
            Address=Variant("s", self.address),
            AddressType=Variant("s", "public"),
            Name=Variant("s", self.name),
            Alias=Variant("s", self.name),
            UUIDs=Variant("as", services),
            Paired=Variant("b", False),
            Bonded=Variant("b", False),
            Trusted=Variant("b", False),
            Blocked=Variant("b", False),
            LegacyPairing=Variant("b", False),
            Connected=Variant("b", False),
            ServicesResolved=Variant("b", False),
            WakeAllowed=Variant("b", False),
            **heard,
        )

    async def connect(self):
        """Answers Connect; services appear shortly after. Raises BluezError."""
        if self.connected():
            return
        await asyncio.sleep(CONNECT_SECONDS)
        waited = 0.0
        while not self.on:
            if waited >= CONNECT_TIMEOUT_SECONDS:
                raise BluezError("org.bluez.Error.Failed", "le-connection-abort-by-local")
            await asyncio.sleep(0.1)
            waited += 0.1
        if self.path not in self.tree.objects:
            raise BluezError("org.freedesktop.DBus.Error.UnknownObject", "the device has been removed")
        self.tree.change(self.path, DEVICE, Connected=Variant("b", True))
        self.rig.spawn(self._resolve())

    async def _resolve(self):
        """GATT discovery. The objects stay over a disconnection, as in bluetoothd's cache."""
        await asyncio.sleep(CONNECT_SECONDS / 3)
        if not self.connected():
            return
        if f"{self.path}/service0001" not in self.tree.objects:
            self._add_services()
        self.tree.change(self.path, DEVICE, ServicesResolved=Variant("b", True))

    def _add_services(self):
        handle = 0

        def next_handle():
            nonlocal handle
            handle += 1
            return f"{handle:04x}"

        def characteristic(service, short, value, *flags):
            path = f"{service}/char{next_handle()}"
            next_handle()  # the value has a handle of its own
            self.tree.add(
                path,
                CHARACTERISTIC,
                UUID=Variant("s", uuid(short)),
                Service=Variant("o", service),
                Value=Variant("ay", value),
                Notifying=Variant("b", False),
                Flags=Variant("as", list(flags)),
                MTU=Variant("q", 247),
            )
            if "notify" in flags:
                self.tree.add(
                    f"{path}/desc{next_handle()}",
                    DESCRIPTOR,
                    UUID=Variant("s", uuid(CLIENT_CONFIGURATION_DESCRIPTOR)),
                    Characteristic=Variant("o", path),
                    Value=Variant("ay", b""),
                )
            return path

        def service(short):
            path = f"{self.path}/service{next_handle()}"
            self.tree.add(
                path,
                SERVICE,
                UUID=Variant("s", uuid(short)),
                Device=Variant("o", self.path),
                Primary=Variant("b", True),
                Includes=Variant("ao", []),
            )
            return path

        heart = service(strap_model.HEART_RATE_SERVICE)
        self.heart_rate_path = characteristic(heart, strap_model.HEART_RATE_MEASUREMENT, b"", "notify")
        characteristic(heart, strap_model.BODY_SENSOR_LOCATION, strap_model.CHEST, "read")
        battery = service(strap_model.BATTERY_SERVICE)
        level = bytes([self.battery])
        self.battery_path = characteristic(battery, strap_model.BATTERY_LEVEL, level, "read", "notify")
        information = service(strap_model.DEVICE_INFORMATION_SERVICE)
        for short, value in strap_model.device_information(self.index).items():
            characteristic(information, short, value, "read")

    def disconnect(self):
        """The link has ended, for whatever reason."""
        if self.connected():
            self.tree.change(self.path, DEVICE, ServicesResolved=Variant("b", False))
            self.tree.change(self.path, DEVICE, Connected=Variant("b", False))

    async def cut(self, *, lost):
        self.disconnect()

    async def restore(self):
        pass  # rig.advertise() asks each strap whether it is on

    async def notify(self, payload):
        # After a reconnection the sessions resume once the services are there again.
        resolved = self.tree.get(self.path, DEVICE, "ServicesResolved")
        if not (resolved and self.rig.sessions.get(self.heart_rate_path)):
            return False
        self.tree.change(self.heart_rate_path, CHARACTERISTIC, Value=Variant("ay", payload))
        return True

    async def set_battery(self, percent):
        if self.battery_path:
            self.tree.change(self.battery_path, CHARACTERISTIC, Value=Variant("ay", bytes([percent])))


class Rig:
    """bluetoothd: the object tree, its methods and who uses them."""

    def __init__(self, bus, count, record, *, broadcast):
        self.bus = bus
        self.tree = ObjectTree(bus)
        self.broadcast = broadcast
        self.discovering = set()  # programs (unique bus names)
        self.sessions = collections.defaultdict(set)  # characteristic path -> programs notified
        self.straps = [MockStrap(i, record, self) for i in range(count)]
        self._by_path = {strap.path: strap for strap in self.straps}
        self._tasks = set()

    def spawn(self, coroutine):
        """Runs `coroutine` in the background (asyncio itself keeps no reference to a task)."""
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def plug(self):
        """Plugs the adapter in."""
        if HCI in self.tree.objects:
            return
        self.tree.add(
            HCI,
            ADAPTER,
            Address=Variant("s", strap_model.ADAPTER_ADDRESS),
            AddressType=Variant("s", "public"),
            Name=Variant("s", "mock"),
            Alias=Variant("s", "mock"),
            Class=Variant("u", 0),
            Powered=Variant("b", False),
            Discoverable=Variant("b", False),
            DiscoverableTimeout=Variant("u", 180),
            Pairable=Variant("b", False),
            PairableTimeout=Variant("u", 0),
            Discovering=Variant("b", False),
            UUIDs=Variant("as", []),
            Modalias=Variant("s", "usb:v1D6Bp0246d0542"),
            Roles=Variant("as", ["central", "peripheral"]),
        )

    async def unplug(self):
        """Pulls the adapter out."""
        self.discovering.clear()
        self.sessions.clear()
        for strap in self.straps:
            strap.disconnect()
        self.tree.change(HCI, ADAPTER, Powered=Variant("b", False))
        self.tree.remove(HCI)

    async def advertise(self):
        """All straps in range that are not connected advertise, once a second."""
        while True:
            await asyncio.sleep(ADVERTISING_SECONDS)
            if self.discovering:
                for strap in self.straps:
                    if strap.on and not strap.connected():
                        strap.advertise()

    def forget_program(self, name):
        """A program has left the bus."""
        if name in self.discovering:
            self.stop_discovery(name)
        for path, programs in self.sessions.items():
            if name in programs:
                programs.discard(name)
                self.tree.change(path, CHARACTERISTIC, Notifying=Variant("b", bool(programs)))

    def stop_discovery(self, name):
        """One program less wants to discover."""
        self.discovering.discard(name)
        self.tree.change(HCI, ADAPTER, Discovering=Variant("b", bool(self.discovering)))

    def on_message(self, message):
        """Entry point for everything that arrives from the bus."""
        if message.message_type == MessageType.SIGNAL and message.member == "NameOwnerChanged":
            name, _old, new = message.body
            if not new:
                self.forget_program(name)
            return None
        if message.message_type != MessageType.METHOD_CALL:
            return None
        if message.interface == "org.freedesktop.DBus.Peer":
            return None  # dbus-fast answers pings
        self.spawn(self._answer(message))
        return True

    async def _answer(self, message):
        try:
            signature, *body = await self.call(message) or [""]
            reply = Message.new_method_return(message, signature, body)
        except BluezError as error:
            reply = Message.new_error(message, error.name, str(error))
        self.bus.send(reply)

    async def call(self, message):
        """Carries out a method call: returns the reply's signature and values, or None for an empty reply."""
        match message.interface, message.member:
            case (interface, "GetManagedObjects") if interface == OBJECT_MANAGER:
                return "a{oa{sa{sv}}}", self.tree.objects
            case (interface, "Introspect") if interface == INTROSPECTABLE:
                return "s", self.tree.introspect(message.path)
        if message.path not in self.tree.objects:
            text = f'Method "{message.member}" on interface "{message.interface}" doesn\'t exist\n'
            raise BluezError("org.freedesktop.DBus.Error.UnknownObject", text)
        methods = {
            PROPERTIES: self._properties,
            ADAPTER: self._adapter,
            DEVICE: self._device,
            CHARACTERISTIC: self._characteristic,
        }
        if message.interface in methods:
            return await methods[message.interface](message)
        raise BluezError("org.freedesktop.DBus.Error.UnknownMethod", f"{message.interface}.{message.member}")

    async def _properties(self, message):
        interface, *arguments = message.body
        properties = self.tree.objects[message.path].get(interface)
        if properties is None:
            raise BluezError("org.freedesktop.DBus.Error.InvalidArgs", "No such interface")
        match message.member, arguments:
            case "GetAll", []:
                return "a{sv}", properties
            case "Get", [name] if name in properties:
                return "v", properties[name]
            case "Set", [name, value]:
                if properties.get(name) != value:
                    self.tree.change(message.path, interface, **{name: value})
                return None
        raise BluezError("org.freedesktop.DBus.Error.InvalidArgs", "No such property")

    async def _adapter(self, message):
        match message.member:
            case "SetDiscoveryFilter":
                return
            case "StartDiscovery":
                if not self.tree.get(HCI, ADAPTER, "Powered"):
                    raise BluezError("org.bluez.Error.NotReady", "Resource Not Ready")
                if message.sender in self.discovering:
                    raise BluezError("org.bluez.Error.InProgress", "Operation already in progress")
                self.discovering.add(message.sender)
                self.tree.change(HCI, ADAPTER, Discovering=Variant("b", True))
            case "StopDiscovery":
                if message.sender not in self.discovering:
                    raise BluezError("org.bluez.Error.Failed", "No discovery started")
                self.stop_discovery(message.sender)
            case "RemoveDevice":
                if message.body[0] in self._by_path:
                    self._by_path[message.body[0]].disconnect()
                self.tree.remove(message.body[0])
            case member:
                raise BluezError("org.freedesktop.DBus.Error.UnknownMethod", f"{ADAPTER}.{member}")

    async def _device(self, message):
        strap = self._by_path[message.path]
        match message.member:
            case "Connect":
                await strap.connect()
            case "Disconnect":
                strap.disconnect()
            case member:
                raise BluezError("org.freedesktop.DBus.Error.UnknownMethod", f"{DEVICE}.{member}")

    async def _characteristic(self, message):
        path = message.path
        if not self.tree.get("/".join(path.split("/")[:5]), DEVICE, "Connected"):
            raise BluezError("org.bluez.Error.Failed", "Not connected")
        programs = self.sessions[path]
        match message.member:
            case "StartNotify":
                programs.add(message.sender)
                self.tree.change(path, CHARACTERISTIC, Notifying=Variant("b", True))
            case "StopNotify":
                if message.sender not in programs:
                    raise BluezError("org.bluez.Error.Failed", "No notify session started")
                programs.discard(message.sender)
                self.tree.change(path, CHARACTERISTIC, Notifying=Variant("b", bool(programs)))
            case "ReadValue":
                return "ay", self.tree.get(path, CHARACTERISTIC, "Value")
            case member:
                raise BluezError("org.freedesktop.DBus.Error.UnknownMethod", f"{CHARACTERISTIC}.{member}")


async def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int, help="number of straps")
    parser.add_argument("--hz", type=float, default=1.0, help="notifications per second and strap")
    parser.add_argument("--control", required=True, help="path of the control socket")
    parser.add_argument("--record", required=True, help="file for what was sent")
    parser.add_argument("--broadcast", action="store_true", help="broadcast the heart rate in advertisements")
    options = parser.parse_args()

    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    bus._writer.sock = PatientSocket(bus._sock)
    rig = Rig(bus, options.count, strap_model.Record(options.record), broadcast=options.broadcast)
    bus.add_message_handler(rig.on_message)
    rule = "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'"
    await bus.call(Message(
        destination="org.freedesktop.DBus",
        path="/org/freedesktop/DBus",
        interface="org.freedesktop.DBus",
        member="AddMatch",
        signature="s",
        body=[rule],
    ))
    await rig.plug()
    await bus.request_name("org.bluez")
    await strap_model.serve_control(options.control, rig.straps, rig.unplug, rig.plug)
    for strap in rig.straps:
        rig.spawn(strap.beat(options.hz))
    rig.spawn(rig.advertise())
    print("READY", flush=True)
    await bus.wait_for_disconnect()


if __name__ == "__main__":
    asyncio.run(main())
