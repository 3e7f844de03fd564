# Threads, a queue, a fiber, a child and a pipe.
queue = Queue.new
threads = 4.times.map { |n| Thread.new { 5.times { |i| sleep 0.001; queue << [n, i] } } }
threads.each(&:join)
puts queue.size
fiber = Fiber.new { 3.times { |i| Fiber.yield i }; nil }
puts 3.times.map { fiber.resume }.inspect
reader, writer = IO.pipe
pid = fork { reader.close; writer.puts "child says hello"; exit! 4 }
writer.close
puts reader.read
_, status = Process.wait2(pid)
puts status.exitstatus
puts `echo backticks`
