"""Processes: a pool, a queue, a pipe, shared memory and a lock of multiprocessing."""
import multiprocessing as mp


def square(x):
    return x * x


def feed(queue, total, lock, n):
    with lock:
        total.value += n
    queue.put(n)


if __name__ == "__main__":
    with mp.Pool(3) as pool:
        print(sum(pool.map(square, range(100), chunksize=7)))
    queue, total, lock = mp.Queue(), mp.Value("i", 0), mp.Lock()
    children = [mp.Process(target=feed, args=(queue, total, lock, n)) for n in range(5)]
    for child in children:
        child.start()
    got = sorted(queue.get() for _ in children)
    for child in children:
        child.join()
    print(got, total.value, [child.exitcode for child in children])
