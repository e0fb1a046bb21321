package main

import (
	"runtime"
	"sync"
	"time"
)

// together runs each body in a goroutine of its own and returns the time until all have ended.
func together(bodies ...func()) time.Duration {
	var done sync.WaitGroup
	start := time.Now()
	done.Add(len(bodies))
	for _, body := range bodies {
		go func() {
			body()
			done.Done()
		}()
	}
	done.Wait()
	return time.Since(start)
}

// nanoseconds is the time per operation.
func nanoseconds(elapsed time.Duration, operations int) float64 {
	return float64(elapsed.Nanoseconds()) / float64(operations)
}

func yield(n int) float64 {
	each := max(1, n/2)
	body := func() {
		for i := 0; i < each; i++ {
			runtime.Gosched()
		}
	}
	return nanoseconds(together(body, body), 2*each)
}

func spawnWait(n int) float64 {
	var group sync.WaitGroup
	start := time.Now()
	for i := 0; i < n; i++ {
		group.Add(1)
		go group.Done()
		group.Wait()
	}
	return nanoseconds(time.Since(start), n)
}

func spawnBatch(n int) float64 {
	const size = 1000
	batches := max(1, n/size)
	var group sync.WaitGroup
	start := time.Now()
	for i := 0; i < batches; i++ {
		group.Add(size)
		for j := 0; j < size; j++ {
			go group.Done()
		}
		group.Wait()
	}
	return nanoseconds(time.Since(start), size*batches)
}
