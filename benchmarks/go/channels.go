package main

import "time"

func roundTrip(n int) float64 {
	there, back := make(chan int), make(chan int)
	ping := func() {
		for i := 0; i < n; i++ {
			there <- i
			<-back
		}
	}
	pong := func() {
		for i := 0; i < n; i++ {
			back <- <-there
		}
	}
	return nanoseconds(together(ping, pong), n)
}

func buffered(n int) float64 {
	channel := make(chan int, 128)
	produce := func() {
		for i := 0; i < n; i++ {
			channel <- i
		}
	}
	consume := func() {
		for i := 0; i < n; i++ {
			<-channel
		}
	}
	return nanoseconds(together(produce, consume), n)
}

func select2(n int) float64 {
	each := max(1, n/2)
	left, right := make(chan int), make(chan int)
	produce := func(channel chan int) func() {
		return func() {
			for i := 0; i < each; i++ {
				channel <- i
			}
		}
	}
	consume := func() {
		for i := 0; i < 2*each; i++ {
			select {
			case <-left:
			case <-right:
			}
		}
	}
	return nanoseconds(together(produce(left), produce(right), consume), 2*each)
}

func select10(n int) float64 {
	each := max(1, n/10)
	var ways [10]chan int
	bodies := make([]func(), 0, 11)
	for i := range ways {
		way := make(chan int)
		ways[i] = way
		bodies = append(bodies, func() {
			for k := 0; k < each; k++ {
				way <- k
			}
		})
	}
	bodies = append(bodies, func() {
		for i := 0; i < 10*each; i++ {
			select {
			case <-ways[0]:
			case <-ways[1]:
			case <-ways[2]:
			case <-ways[3]:
			case <-ways[4]:
			case <-ways[5]:
			case <-ways[6]:
			case <-ways[7]:
			case <-ways[8]:
			case <-ways[9]:
			}
		}
	})
	return nanoseconds(together(bodies...), 10*each)
}

func selectDefault(n int) float64 {
	empty := make(chan int)
	found := 0
	start := time.Now()
	for i := 0; i < n; i++ {
		select {
		case <-empty:
			found++
		default:
		}
	}
	elapsed := time.Since(start)
	if found != 0 {
		panic("select_default: a value came from nowhere")
	}
	return nanoseconds(elapsed, n)
}

func chanContended(n int) float64 {
	const turn = 100
	turns := max(1, n/4/turn)
	shared := make(chan int, 4*turn)
	body := func() {
		for t := 0; t < turns; t++ {
			for i := 0; i < turn; i++ {
				shared <- i
			}
			for i := 0; i < turn; i++ {
				<-shared
			}
		}
	}
	return nanoseconds(together(body, body, body, body), 4*turns*turn)
}
