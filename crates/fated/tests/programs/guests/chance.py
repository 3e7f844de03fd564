"""Everything that differs from run to run of a Python program."""
import os
import random
import tempfile
import threading
import time
import uuid

print("time", time.time(), time.monotonic(), time.perf_counter_ns(), time.process_time())
# By itself uuid1 reads and writes a file of the host, if the machine has libuuid's state.
print("ids", os.getpid(), os.getppid(), threading.get_native_id(), uuid.uuid4(), uuid.uuid1(1, 2))
print("random", random.random(), os.urandom(8).hex(), hash("seed"))
print("set", {"a", "b", "c", "d", "e"})
print("id", id(object()), hex(id(main := lambda: 0)))
print("names", tempfile.mktemp(), os.uname())
print("machine", os.cpu_count(), os.sched_getaffinity(0), os.getloadavg())
