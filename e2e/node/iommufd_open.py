#!/usr/bin/env python3
"""iommufd_open.py CDEV: opens a device as QEMU does with -object iommufd: /dev/iommu, an address space, the character device CDEV bound and attached
to it, its information read, a reset. Prints a line, and keeps it open until it is killed. Numbers are those of linux/vfio.h and linux/iommufd.h."""
import ctypes, fcntl, os, signal, sys

IOC = ord(";") << 8  # both headers have the type ';'
BIND, ATTACH, INFO, RESET, ALLOC = IOC | 118, IOC | 119, IOC | 107, IOC | 111, IOC | 0x81


class Bind(ctypes.Structure):
    _fields_ = [("argsz", ctypes.c_uint32), ("flags", ctypes.c_uint32), ("iommufd", ctypes.c_int32), ("out_devid", ctypes.c_uint32)]


class Attach(ctypes.Structure):
    _fields_ = [("argsz", ctypes.c_uint32), ("flags", ctypes.c_uint32), ("pt_id", ctypes.c_uint32)]


class Alloc(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint32), ("flags", ctypes.c_uint32), ("out_ioas_id", ctypes.c_uint32)]


class Info(ctypes.Structure):
    _fields_ = [("argsz", ctypes.c_uint32), ("flags", ctypes.c_uint32), ("num_regions", ctypes.c_uint32), ("num_irqs", ctypes.c_uint32),
                ("cap_offset", ctypes.c_uint32), ("pad", ctypes.c_uint32)]


def call(fd, number, what):
    fcntl.ioctl(fd, number, what)
    return what


iommu, device = os.open("/dev/iommu", os.O_RDWR), os.open(sys.argv[1], os.O_RDWR)
call(device, BIND, Bind(ctypes.sizeof(Bind), 0, iommu))
space = call(iommu, ALLOC, Alloc(ctypes.sizeof(Alloc)))
call(device, ATTACH, Attach(ctypes.sizeof(Attach), 0, space.out_ioas_id))
info = call(device, INFO, Info(ctypes.sizeof(Info)))
fcntl.ioctl(device, RESET)
print("%s: bound and attached, %d regions, reset" % (sys.argv[1], info.num_regions), flush=True)
signal.pause()
