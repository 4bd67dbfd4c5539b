#!/usr/bin/env python3
"""A DL/T 645-2007 meter, 260305510009, by PyPI's dlt645: dlt645_meter.py PORT"""

import sys
import time

from dlt645 import MeterServerService

meter = MeterServerService.new_tcp_server("127.0.0.1", int(sys.argv[1]), 3000)
meter.set_address("090051050326")  # the order of the wire
meter.set_password("00000000")
meter.set_00(0x00010000, 1234.56)
meter.set_02(0x02010100, 229.7)
meter.set_02(0x02020100, 5.123)
meter.set_02(0x02030000, 1.1766)
meter.set_02(0x02060000, 0.501)
meter.server.start()
while True:
    time.sleep(3600)
