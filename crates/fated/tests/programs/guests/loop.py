"""asyncio without network: sleeps, a queue, a lock, a timeout, a subprocess, work in threads."""
import asyncio
import time


async def producer(queue):
    for i in range(5):
        await asyncio.sleep(0.01)
        await queue.put(i)
    await queue.put(None)


async def consumer(queue):
    got = []
    while (item := await queue.get()) is not None:
        got.append(item)
    return got


async def main():
    queue = asyncio.Queue()
    _, got = await asyncio.gather(producer(queue), consumer(queue))
    print(got)
    try:
        await asyncio.wait_for(asyncio.sleep(10), timeout=0.05)
    except asyncio.TimeoutError:
        print("timed out")
    child = await asyncio.create_subprocess_exec("echo", "from a child", stdout=asyncio.subprocess.PIPE)
    output, _ = await child.communicate()
    print(output.decode().strip(), child.returncode)
    print(await asyncio.gather(*(asyncio.to_thread(time.sleep, 0.01) for _ in range(4))))


asyncio.run(main())
