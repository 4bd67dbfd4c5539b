#!/usr/bin/env python3
"""Meters that nobody here wrote: pymodbus as a server with the register map of an Eastron SDM630.

  meters.py tcp|rtutcp PORT EDGE        meters.py rtu DEVICE EDGE

Units 1 to 4. The import register shows 1000 + unit until EDGE (Unix seconds, real time) and 12.5 kWh per unit more
from then on, so that two runs whose edge lies elsewhere bill the same quantities.
"""

import asyncio
import struct
import sys
import time

from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice


def words(value):
    return list(struct.unpack(">HH", struct.pack(">f", value)))


async def grow(unit, edge, _function, start, _address, _count, registers, _values):
    """Called at each request: the counter as it stands now."""
    if start <= 72 < start + len(registers):
        energy = 1000 + unit + (12.5 * unit if time.time() >= edge else 0)
        registers[72 - start : 74 - start] = words(energy)


async def main():
    kind, where, edge = sys.argv[1], sys.argv[2], float(sys.argv[3])
    devices = []
    for unit in range(1, 5):

        async def action(function, start, address, count, registers, values, unit=unit):
            await grow(unit, edge, function, start, address, count, registers, values)

        values = [SimData(0, values=[0.0] * 200, datatype=DataType.FLOAT32)]
        zeros = [SimData(0, values=[0] * 100, datatype=DataType.REGISTERS)]
        bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
        devices.append(SimDevice(id=unit, simdata=(bits, bits, zeros, values), action=action))
    if kind == "tcp":
        server = ModbusTcpServer(devices, address=("127.0.0.1", int(where)))
    elif kind == "rtutcp":
        server = ModbusTcpServer(devices, framer=FramerType.RTU, address=("127.0.0.1", int(where)))
    else:
        server = ModbusSerialServer(devices, framer=FramerType.RTU, port=where, baudrate=9600)
    await server.serve_forever()


asyncio.run(main())
