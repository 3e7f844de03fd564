import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

/** A pool of threads, a shared map, a monitor and a pause. */
public class Threads {
    private static int turns;

    public static void main(String[] args) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(4);
        ConcurrentHashMap<Integer, AtomicLong> sums = new ConcurrentHashMap<>();
        ConcurrentLinkedQueue<String> order = new ConcurrentLinkedQueue<>();
        List<Future<Long>> futures = new ArrayList<>();
        for (int i = 0; i < 16; i++) {
            final int job = i;
            futures.add(pool.submit(() -> {
                long sum = 0;
                for (int k = 0; k < 100_000; k++) sum += (long) k * job % 7;
                sums.computeIfAbsent(job % 4, key -> new AtomicLong()).addAndGet(sum);
                order.add(Thread.currentThread().getName().replaceAll(".*-", "") + ":" + job);
                return sum;
            }));
        }
        long total = 0;
        for (Future<Long> future : futures) total += future.get();
        pool.shutdown();
        System.out.println(total + " " + sums + " " + pool.awaitTermination(1, TimeUnit.SECONDS));
        Object lock = new Object();
        Thread other = new Thread(() -> {
            synchronized (lock) {
                turns++;
                lock.notify();
            }
        });
        synchronized (lock) {
            other.start();
            while (turns == 0) lock.wait();
        }
        Thread.sleep(20);
        other.join();
        System.out.println("turns " + turns);
        if (args.length > 0) System.out.println(order + " " + System.nanoTime() + " " + new Object().hashCode());
    }
}
