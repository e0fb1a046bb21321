package main

import (
	"runtime"
	"sync"
	"time"
)

func mutex(n int) float64 {
	var free sync.Mutex
	start := time.Now()
	for i := 0; i < n; i++ {
		free.Lock()
		free.Unlock()
	}
	return nanoseconds(time.Since(start), n)
}

func mutexContended(n int) float64 {
	each := max(1, n/4)
	var shared sync.Mutex
	counter := 0
	body := func() {
		for i := 0; i < each; i++ {
			shared.Lock()
			counter++
			shared.Unlock()
		}
	}
	return nanoseconds(together(body, body, body, body), 4*each)
}

func mutexHandoff(n int) float64 {
	each := max(1, n/4)
	var shared sync.Mutex
	counter := 0
	body := func() {
		for i := 0; i < each; i++ {
			shared.Lock()
			counter++
			runtime.Gosched()
			shared.Unlock()
		}
	}
	return nanoseconds(together(body, body, body, body), 4*each)
}

func rwmutexRead(n int) float64 {
	each := max(1, n/4)
	var shared sync.RWMutex
	counter := 0
	body := func() {
		seen := 0
		for i := 0; i < each; i++ {
			if i%100 == 0 {
				shared.Lock()
				counter++
				shared.Unlock()
			} else {
				shared.RLock()
				seen += counter
				shared.RUnlock()
			}
		}
	}
	return nanoseconds(together(body, body, body, body), 4*each)
}
