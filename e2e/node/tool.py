#!/usr/bin/env python3
# tool.py SOCKET [PROGRAM]: the container with the vendor's tools, in the guest: answers what vmgpu-node asks (node-daemon/tool.h) by running
# NVIDIA's sriov-manage, which stands at /usr/lib/nvidia/sriov-manage, and nothing else. Several at once; one request a connection.
import os, re, socketserver, subprocess, sys

WORDS = 1000
REQUEST = re.compile(r"sriov-manage (-[ed]) ([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])")
path, program = sys.argv[1], (sys.argv[2:] + ["/usr/lib/nvidia/sriov-manage"])[0]


class Ask(socketserver.StreamRequestHandler):
    def handle(self):
        line = self.rfile.readline(200).decode(errors="replace").strip()
        asked = REQUEST.fullmatch(line)
        if not asked:
            self.wfile.write(b"2 no such request is answered here\n")
            return
        ran = subprocess.run([program, *asked.groups()], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        words = ran.stdout.decode(errors="replace").strip().splitlines()[-1:]
        print(line, ran.returncode, *words, flush=True)
        self.wfile.write(f"{ran.returncode & 255} {''.join(words)[:WORDS]}\n".encode())


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


os.makedirs(os.path.dirname(path), exist_ok=True)
if os.path.exists(path):
    os.unlink(path)
Server(path, Ask).serve_forever()
