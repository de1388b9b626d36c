#!/usr/bin/env python3
"""Virtual Polar H10 straps for a real Linux Bluetooth stack.

One Bumble controller is handed to the kernel through /dev/vhci: that is the adapter hci0. Each strap is a
Bumble device on a controller of its own. All controllers share one emulated radio link in this process.

Bumble's emulation is made for Bumble on both sides. `Link` and `Emulated` correct what a Linux host minds;
each correction says what went wrong without it (seen with kernel 6.1 and BlueZ 5.66).
"""

import argparse
import asyncio
import os
import random
import struct
import sys

from bumble import controller, hci, ll
from bumble.core import UUID, AdvertisingData
from bumble.device import Device, DeviceConfiguration
from bumble.gatt import Characteristic, Service
from bumble.hci import Address, LeFeatureMask
from bumble.link import LocalLink
from bumble.transport.common import AsyncPipeSink

import strap_model

ADVERTISING_INTERVAL_MS = 200
VHCI = "/dev/vhci"
VHCI_CONTROL_PACKET = 0xFF

READ = Characteristic.Properties.READ
NOTIFY = Characteristic.Properties.NOTIFY


def complain(*what):
    """For the log: an emulation fault, which must not end the emulation."""
    print(*what, file=sys.stderr, flush=True)


class Link(LocalLink):
    """The radio link between the controllers."""

    def send_acl_data(self, sender_controller, destination_address, transport, data):
        """Bumble names the sender by its random address; ours have public ones, and their data got lost."""
        connection = sender_controller.le_connections.get(destination_address)
        destination = self.find_le_controller(destination_address)
        if connection is not None and destination is not None:
            asyncio.get_running_loop().call_soon(
                destination.on_link_acl_data, connection.self_address, transport, data
            )

    def send_advertising_pdu(self, sender_controller, packet):
        """Bumble sends everything to everybody, the square of the straps: send to who listens."""
        loop = asyncio.get_running_loop()
        for receiver in self.controllers:
            if receiver is sender_controller:
                continue
            if isinstance(packet, ll.ConnectInd):
                listens = packet.advertiser_address in (receiver.public_address, receiver.random_address)
            else:
                listens = receiver.le_scan_enable or receiver.pending_le_connection
            if listens:
                loop.call_soon(receiver.on_ll_advertising_pdu, packet)

    def send_ll_control_pdu(self, sender_address, receiver_address, packet):
        """Bumble raises when the receiver has gone, as straps here do; a radio would not notice."""
        if receiver := self.find_le_controller(receiver_address):
            asyncio.get_running_loop().call_soon(receiver.on_ll_control_pdu, sender_address, packet)


class Advertiser(controller.LegacyAdvertiser):
    """An advertiser whose advertisements lead to its scan response."""

    def send_advertising_data(self):
        """Bumble's packet has the advertising data only: see Emulated.on_advertising_pdu."""
        if self.enabled:
            packet = ll.AdvInd(advertiser_address=self.address, data=self.advertising_data)
            packet.scan_response_data = self.scan_response_data
            self.controller.send_advertising_pdu(packet)


class Emulated(controller.Controller):
    """A Bluetooth 5.0 controller that a Linux host is content with."""

    hci_version = hci.HCI_VERSION_BLUETOOTH_CORE_5_0
    # Neither LL privacy nor extended advertising: both are incomplete in the emulation; connecting timed out.
    le_features = (
        LeFeatureMask.LE_ENCRYPTION
        | LeFeatureMask.LE_PING
        | LeFeatureMask.PERIPHERAL_INITIATED_FEATURE_EXCHANGE
    )
    le_acl_data_packet_length = 251
    acl_data_packet_length = 251
    filter_accept_list_size = 32

    def __init__(self, name, link, public_address):
        super().__init__(name, link=link, public_address=public_address)
        self.le_legacy_advertiser = Advertiser(self)

    def on_advertising_pdu(self, pdu):
        """Bumble repeats the advertising data as scan response (no name), and in passive scans too."""
        if self.le_scan_enable:
            self._report(pdu, hci.HCI_LE_Advertising_Report_Event.EventType.ADV_IND, pdu.data)
            if self.le_scan_type == 1:
                response = hci.HCI_LE_Advertising_Report_Event.EventType.SCAN_RSP
                self._report(pdu, response, pdu.scan_response_data)
        pending = self.pending_le_connection
        if pending and pending.peer_address == pdu.advertiser_address:
            if pdu.advertiser_address not in self.le_connections:
                self.create_le_connection(pdu.advertiser_address)

    def _report(self, pdu, event_type, data):
        event = hci.HCI_LE_Advertising_Report_Event
        report = event.Report(
            event_type=event_type,
            address_type=pdu.advertiser_address.address_type,
            address=pdu.advertiser_address,
            data=data,
            rssi=random.randint(-70, -45),
        )
        self.send_hci_packet(event([report]))

    def on_hci_le_create_connection_cancel_command(self, _command):
        """Bumble does not cancel: the connection stayed pending, and every later one was disallowed."""
        pending, self.pending_le_connection = self.pending_le_connection, None
        if pending is None:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        cancelled = hci.HCI_LE_Connection_Complete_Event(
            status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
            connection_handle=0,
            role=0,
            peer_address_type=pending.peer_address.address_type,
            peer_address=pending.peer_address,
            connection_interval=0,
            peripheral_latency=0,
            supervision_timeout=0,
            central_clock_accuracy=0,
        )
        self.send_hci_packet(cancelled)
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def on_hci_disconnect_command(self, command):
        """Bumble tells the host the host's own reason; a controller says "by local host" (0x16)."""
        connection = self.find_le_connection_by_handle(command.connection_handle)
        if connection is None:
            unknown = hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR
            self._send_hci_command_status(unknown, command.op_code)
            return
        self._send_hci_command_status(hci.HCI_COMMAND_STATUS_PENDING, command.op_code)
        connection.send_ll_control_pdu(
            ll.TerminateInd(hci.HCI_ErrorCode.REMOTE_USER_TERMINATED_CONNECTION_ERROR)
        )
        self.on_le_disconnected(connection, hci.HCI_ErrorCode.CONNECTION_TERMINATED_BY_LOCAL_HOST_ERROR)

    def on_hci_reset_command(self, command):
        """Bumble's reset keeps scans and links alive; the kernel resets whenever the adapter is started."""
        self.le_scan_enable = False
        self.abandon_links()
        return super().on_hci_reset_command(command)

    def abandon_links(self):
        """Forgets all links without a word to the host; the other ends see a supervision timeout."""
        self.pending_le_connection = None
        for connection in list(self.le_connections.values()):
            connection.send_ll_control_pdu(ll.TerminateInd(hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR))
        self.le_connections.clear()

    def lose(self, peer_address=None):
        """The link to `peer_address` (or every link) times out at this end."""
        for connection in list(self.le_connections.values()):
            if peer_address in (None, connection.peer_address):
                self.on_le_disconnected(connection, hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)


class Adapter:
    """The kernel's adapter: an emulated controller behind /dev/vhci, one packet per read and write."""

    def __init__(self, link):
        self.link = link
        address = Address(strap_model.ADAPTER_ADDRESS, Address.PUBLIC_DEVICE_ADDRESS)
        self.controller = Emulated("adapter", link, address)
        self.controller.host = self
        self._fd = os.open(VHCI, os.O_RDWR | os.O_NONBLOCK)
        os.write(self._fd, bytes([VHCI_CONTROL_PACKET, 0]))  # create the adapter
        asyncio.get_running_loop().add_reader(self._fd, self._from_kernel)

    def _from_kernel(self):
        # A few at a time: the straps must get their turn even when the kernel has much to say.
        for _ in range(16):
            try:
                packet = os.read(self._fd, 4096)
            except BlockingIOError:
                return
            if not packet or packet[0] == VHCI_CONTROL_PACKET:
                continue
            try:
                self.controller.on_packet(packet)
            except Exception as error:
                complain("controller:", repr(error), packet.hex())

    def on_packet(self, packet):
        """Called by the controller: a packet for the kernel."""
        try:
            os.write(self._fd, packet)
        except OSError as error:
            complain("vhci:", repr(error))

    def unplug(self):
        """Closing the device removes the adapter."""
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)
        self._fd = -1
        self.controller.abandon_links()
        self.link.remove_controller(self.controller)


class BumbleStrap(strap_model.Strap):
    """A strap on the emulated radio link. `rig.adapter` is the adapter of the moment, or None."""

    def __init__(self, index, record, rig):
        super().__init__(index, record)
        self.rig = rig
        self.radio_address = Address(self.address, Address.PUBLIC_DEVICE_ADDRESS)
        self.controller = Emulated(self.id, rig.link, self.radio_address)
        self.device = Device.from_config_with_hci(
            DeviceConfiguration(
                name=self.name,
                address=self.radio_address,
                gatt_service_enabled=False,
                gap_service_enabled=True,
                le_enabled=True,
                classic_enabled=False,
                advertising_interval_min=ADVERTISING_INTERVAL_MS,
                advertising_interval_max=ADVERTISING_INTERVAL_MS,
            ),
            hci_source=self.controller,
            hci_sink=AsyncPipeSink(self.controller),
        )
        self.heart_rate = self._characteristic(strap_model.HEART_RATE_MEASUREMENT, b"", NOTIFY)
        self.battery_level = self._characteristic(
            strap_model.BATTERY_LEVEL, bytes([self.battery]), READ | NOTIFY
        )
        information = strap_model.device_information(index)
        self.device.add_services([
            self._service(
                strap_model.HEART_RATE_SERVICE,
                [self.heart_rate, self._characteristic(strap_model.BODY_SENSOR_LOCATION, strap_model.CHEST)],
            ),
            self._service(strap_model.BATTERY_SERVICE, [self.battery_level]),
            self._service(
                strap_model.DEVICE_INFORMATION_SERVICE,
                [self._characteristic(uuid, value) for uuid, value in information.items()],
            ),
        ])
        self.device.on("connection", self._on_connection)

    @staticmethod
    def _service(uuid, characteristics):
        return Service(UUID.from_16_bits(uuid), characteristics)

    @staticmethod
    def _characteristic(uuid, value, properties=READ):
        readable = Characteristic.Permissions.READABLE
        permissions = readable if properties & READ else Characteristic.Permissions(0)
        return Characteristic(UUID.from_16_bits(uuid), properties, permissions, value)

    def _on_connection(self, connection):
        connection.on("disconnection", self._on_disconnection)

    def _on_disconnection(self, _reason):
        if self.on:
            self.rig.spawn(self.advertise())

    async def start(self):
        """Switches the strap on."""
        await self.device.power_on()
        await self.advertise()

    async def advertise(self):
        """Starts advertising. The name is in the scan response, as an H10 has it."""
        services = struct.pack("<HH", strap_model.HEART_RATE_SERVICE, strap_model.POLAR_SERVICE)
        company = struct.pack("<H", strap_model.POLAR_COMPANY)
        try:
            await self.device.start_advertising(
                auto_restart=False,
                own_address_type=hci.OwnAddressType.PUBLIC,
                advertising_data=bytes(AdvertisingData([
                    (AdvertisingData.FLAGS, b"\x06"),
                    (AdvertisingData.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS, services),
                    (
                        AdvertisingData.MANUFACTURER_SPECIFIC_DATA,
                        company + self.advertised_manufacturer_data(),
                    ),
                ])),
                scan_response_data=bytes(AdvertisingData([
                    (AdvertisingData.COMPLETE_LOCAL_NAME, self.name.encode()),
                ])),
            )
        except Exception as error:
            complain("advertising of", self.id, repr(error))

    def connected(self):
        return bool(self.device.connections)

    async def notify(self, payload):
        server, subscribed = self.device.gatt_server, False
        for bearer, descriptors in list(server.subscribers.items()):
            if descriptors.get(self.heart_rate.handle, b"\0")[0] & 1:
                try:
                    await server.notify_subscriber(bearer, self.heart_rate, payload)
                    subscribed = True
                except Exception as error:
                    complain("notification of", self.id, repr(error))
        return subscribed

    async def set_battery(self, percent):
        self.battery_level.value = bytes([percent])
        await self.device.notify_subscribers(self.battery_level)

    async def cut(self, *, lost):
        if not lost:
            for connection in list(self.device.connections.values()):
                await connection.disconnect()
            return
        await self.device.stop_advertising()
        self.controller.le_legacy_advertiser.stop()
        self.rig.link.controllers.discard(self.controller)
        if self.rig.adapter:
            self.rig.adapter.controller.lose(self.radio_address)
        self.controller.lose()

    async def restore(self):
        self.rig.link.controllers.add(self.controller)
        await self.advertise()


class Rig:
    """The radio link, the adapter and the straps."""

    def __init__(self, count, record):
        self.link = Link()
        self.adapter = None
        self._tasks = set()
        self.straps = [BumbleStrap(i, record, self) for i in range(count)]

    def spawn(self, coroutine):
        """Runs `coroutine` in the background (asyncio itself keeps no reference to a task)."""
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def plug(self):
        """Plugs the adapter in."""
        if self.adapter is None:
            self.adapter = Adapter(self.link)

    async def unplug(self):
        """Pulls the adapter out."""
        if self.adapter is not None:
            self.adapter.unplug()
            self.adapter = None


async def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int, help="number of straps")
    parser.add_argument("--hz", type=float, default=1.0, help="notifications per second and strap")
    parser.add_argument("--control", required=True, help="path of the control socket")
    parser.add_argument("--record", required=True, help="file for what was sent")
    options = parser.parse_args()

    rig = Rig(options.count, strap_model.Record(options.record))
    for strap in rig.straps:
        await strap.start()
        rig.spawn(strap.beat(options.hz))
    await rig.plug()
    server = await strap_model.serve_control(options.control, rig.straps, rig.unplug, rig.plug)
    print("READY", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
