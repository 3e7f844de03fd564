"""Everything that differs from run to run of a Python program."""
import os
import random
import tempfile
import threading
import time
import uuid

# Without both, libuuid counts in /var/lib/libuuid, where that is, and each run's id is another one.
by_time = uuid.uuid1(node=1, clock_seq=2)

print("time", time.time(), time.monotonic(), time.perf_counter_ns(), time.process_time())
print("ids", os.getpid(), os.getppid(), threading.get_native_id(), uuid.uuid4(), by_time)
print("random", random.random(), os.urandom(8).hex(), hash("seed"))
print("set", {"a", "b", "c", "d", "e"})
print("id", id(object()), hex(id(main := lambda: 0)))
print("names", tempfile.mktemp(), os.uname())
print("machine", os.cpu_count(), os.sched_getaffinity(0), os.getloadavg())
