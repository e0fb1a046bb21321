package main

import (
	"math"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

func sleepLate(n int) float64 {
	const pause = 200 * time.Microsecond
	var late time.Duration
	for i := 0; i < n; i++ {
		start := time.Now()
		time.Sleep(pause)
		late += time.Since(start) - pause
	}
	return nanoseconds(late, n)
}

// hogs starts two goroutines that compute and make no call; the function it returns ends them.
func hogs() func() {
	var stop atomic.Bool
	var done sync.WaitGroup
	for i := 0; i < 2; i++ {
		done.Add(1)
		go func() {
			for x := uint64(1); !stop.Load(); {
				x = x*3 + 1
			}
			done.Done()
		}()
	}
	return func() {
		stop.Store(true)
		done.Wait()
	}
}

func sleepLateHogs(n int) float64 {
	defer hogs()()
	return sleepLate(n)
}

// stopping is the runtime's own histogram of the times from the wish to stop the world until it stands.
const stopping = "/sched/pauses/stopping/other:seconds"

func stops() *metrics.Float64Histogram {
	sample := []metrics.Sample{{Name: stopping}}
	metrics.Read(sample)
	return sample[0].Value.Float64Histogram()
}

func stopWorld(n int) float64 {
	var stop atomic.Bool
	var others sync.WaitGroup
	for i := 0; i < 1000; i++ {
		others.Add(1)
		go func() {
			for !stop.Load() {
				runtime.Gosched()
			}
			others.Done()
		}()
	}
	before := stops()
	var stats runtime.MemStats
	for i := 0; i < n; i++ {
		time.Sleep(time.Millisecond)
		runtime.ReadMemStats(&stats)
	}
	after := stops()
	stop.Store(true)
	others.Wait()
	rest := uint64(n - n*99/100) // this many took at least as long as the percentile
	for i := len(after.Counts) - 1; i >= 0; i-- {
		count := after.Counts[i] - before.Counts[i]
		if count >= rest {
			return after.Buckets[i] * 1e9 // the lower end of its bucket
		}
		rest -= count
	}
	return math.NaN()
}

func stopWorldHogs(n int) float64 {
	defer hogs()()
	return stopWorld(n)
}
