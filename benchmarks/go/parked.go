package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// residentBytes is the resident set size, or 0 where the system has no /proc/self/statm.
func residentBytes() float64 {
	file, err := os.Open("/proc/self/statm")
	if err != nil {
		return 0
	}
	defer file.Close()
	var size, resident float64
	if _, err := fmt.Fscan(file, &size, &resident); err != nil {
		return 0
	}
	return resident * float64(os.Getpagesize())
}

// parked returns nanoseconds and resident bytes (0 if unknown) per goroutine.
func parked(n int) (nanosecondsEach, bytesEach float64) {
	gate := make(chan struct{})
	var started, ended sync.WaitGroup
	before := residentBytes()
	start := time.Now()
	started.Add(n)
	ended.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			started.Done()
			<-gate
			ended.Done()
		}()
	}
	started.Wait()
	runtime.Gosched() // lets the last one reach its receive
	elapsed := time.Since(start)
	during := residentBytes()
	start = time.Now()
	close(gate)
	ended.Wait()
	elapsed += time.Since(start)
	return nanoseconds(elapsed, n), (during - before) / float64(n)
}

func processorTime() time.Duration {
	var spent syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &spent); err != nil {
		panic(err)
	}
	return time.Duration(spent.Utime.Nano() + spent.Stime.Nano())
}

// sleepers returns nanoseconds of processor time per goroutine.
func sleepers(n int) float64 {
	var ended sync.WaitGroup
	start := processorTime()
	ended.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			time.Sleep(100 * time.Millisecond)
			ended.Done()
		}()
	}
	ended.Wait()
	return nanoseconds(processorTime()-start, n)
}
