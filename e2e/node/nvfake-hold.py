#!/usr/bin/env python3
# nvfake-hold.py GROUP DEVICE: opens a vfio device, as a virtual machine does, prints "open" and holds it until its input ends.
import fcntl, os, sys

SET_IOMMU, SET_CONTAINER, GET_DEVICE_FD, TYPE1 = 0x3B66, 0x3B68, 0x3B6A, 1
container = os.open("/dev/vfio/vfio", os.O_RDWR)
group = os.open("/dev/vfio/" + sys.argv[1], os.O_RDWR)
fcntl.ioctl(group, SET_CONTAINER, container.to_bytes(4, "little"))
fcntl.ioctl(container, SET_IOMMU, TYPE1)
try:
    device = fcntl.ioctl(group, GET_DEVICE_FD, sys.argv[2].encode() + b"\0")
except OSError as e:
    sys.exit(e.strerror)
print("open", flush=True)
sys.stdin.read()
