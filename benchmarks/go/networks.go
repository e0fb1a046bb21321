package main

func grow(parent chan int, number, size int) {
	if size == 1 {
		parent <- number
		return
	}
	children := make(chan int)
	for i := 0; i < 10; i++ {
		go grow(children, number+i*(size/10), size/10)
	}
	sum := 0
	for i := 0; i < 10; i++ {
		sum += <-children
	}
	parent <- sum
}

func skynet(n int) float64 {
	leaves := 1
	for leaves*10 <= n {
		leaves *= 10
	}
	root, sum := make(chan int), 0
	elapsed := together(func() { grow(root, 0, leaves) }, func() { sum = <-root })
	if sum != leaves*(leaves-1)/2 {
		panic("skynet: wrong sum of leaves")
	}
	return nanoseconds(elapsed, leaves)
}

func ring(n int) float64 {
	const size = 1000
	laps := max(1, n/size)
	channels := make([]chan int, size)
	for i := range channels {
		channels[i] = make(chan int)
	}
	for i := 1; i < size; i++ {
		go func(in, out chan int) {
			for token := range in {
				out <- token + 1
			}
			close(out)
		}(channels[i-1], channels[i])
	}
	elapsed := together(func() {
		for i := 0; i < laps; i++ {
			channels[0] <- 0
			<-channels[size-1]
		}
	})
	close(channels[0])
	<-channels[size-1]
	return nanoseconds(elapsed, size*laps)
}
