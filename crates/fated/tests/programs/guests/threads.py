"""Threads with a lock, a queue, an event and a condition; the order in which they ran is part of the output."""
import queue
import threading
import time

order, lock, work, done = [], threading.Lock(), queue.Queue(), threading.Event()


def worker(name):
    while (item := work.get()) is not None:
        time.sleep(0.001 * (item % 3))
        with lock:
            order.append(f"{name}{item}")
    done.wait()


threads = [threading.Thread(target=worker, args=(name,)) for name in "abcd"]
for thread in threads:
    thread.start()
for item in range(24):
    work.put(item)
for _ in threads:
    work.put(None)
done.set()
for thread in threads:
    thread.join()
print(len(order), " ".join(order))
