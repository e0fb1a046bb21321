package main

import (
	"context"
	"sync"
	"time"
)

func waitGroup(n int) float64 {
	var group sync.WaitGroup
	start := time.Now()
	for i := 0; i < n; i++ {
		group.Add(1)
		group.Done()
	}
	return nanoseconds(time.Since(start), n)
}

func pool(n int) float64 {
	type buffer struct{ bytes [64]byte }
	each := max(1, n/4)
	var buffers sync.Pool
	body := func() {
		for i := 0; i < each; i++ {
			got, ok := buffers.Get().(*buffer)
			if !ok {
				got = new(buffer)
			}
			buffers.Put(got)
		}
	}
	return nanoseconds(together(body, body, body, body), 4*each)
}

// nextRandom is Marsaglia's xorshift: the same keys in each language.
func nextRandom(state *uint64) uint64 {
	*state ^= *state << 13
	*state ^= *state >> 7
	*state ^= *state << 17
	return *state
}

// mapWith: of storeEvery operations one stores; 0: none. Keys and values are made interfaces once, so that nothing is allocated for them.
func mapWith(storeEvery, n int) float64 {
	const size = 1024
	each := max(1, n/4)
	var table sync.Map
	var keys [size]any
	for key := range keys {
		keys[key] = key
		table.Store(keys[key], keys[key])
	}
	body := func(seed uint64) func() {
		return func() {
			state := seed
			for i := 1; i <= each; i++ {
				key := keys[nextRandom(&state)%size]
				if storeEvery != 0 && i%storeEvery == 0 {
					table.Store(key, key)
				} else if value, _ := table.Load(key); value != key {
					panic("map: a key has got lost")
				}
			}
		}
	}
	return nanoseconds(together(body(1), body(2), body(3), body(4)), 4*each)
}

func mapLoad(n int) float64  { return mapWith(0, n) }
func mapMixed(n int) float64 { return mapWith(10, n) }

func contextCancel(n int) float64 {
	parent, stop := context.WithCancel(context.Background())
	defer stop()
	start := time.Now()
	for i := 0; i < n; i++ {
		_, cancel := context.WithCancel(parent)
		cancel()
	}
	return nanoseconds(time.Since(start), n)
}

func timerStop(n int) float64 {
	start := time.Now()
	for i := 0; i < n; i++ {
		time.NewTimer(time.Hour).Stop()
	}
	return nanoseconds(time.Since(start), n)
}
