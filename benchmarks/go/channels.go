package main

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
