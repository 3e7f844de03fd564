// Goroutines, channels, a wait group, a timer and a child process.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"
)

func main() {
	jobs, results := make(chan int), make(chan int, 64)
	var group sync.WaitGroup
	for w := 0; w < 8; w++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for job := range jobs {
				time.Sleep(time.Millisecond)
				results <- job * job
			}
		}()
	}
	for i := 0; i < 64; i++ {
		jobs <- i
	}
	close(jobs)
	group.Wait()
	close(results)
	sum, order := 0, []int{}
	for r := range results {
		sum += r
		order = append(order, r)
	}
	fmt.Println("sum", sum)
	select {
	case <-time.After(10 * time.Millisecond):
		fmt.Println("timer")
	case <-make(chan int):
	}
	out, err := exec.Command("echo", "from a child").Output()
	fmt.Printf("%s%v\n", out, err)
	set := map[string]int{"a": 1, "b": 2, "c": 3, "d": 4}
	if len(os.Args) > 1 {
		for k := range set {
			fmt.Print(k, " ")
		}
		fmt.Println(order, time.Now(), os.Getpid())
	}
}
