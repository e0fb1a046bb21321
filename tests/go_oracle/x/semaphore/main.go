// A weighted semaphore: after each step everybody comes to rest, so the queue is in the order of the steps.
package main

import (
	"context"
	"fmt"

	"golang.org/x/sync/semaphore"

	"gort.test/oracle/script"
)

type waiter struct {
	cancel context.CancelFunc
	said   string
}

func main() {
	script.Play(func(operation string, arguments []any) any {
		s := semaphore.NewWeighted(script.Int(arguments[0]))
		waiters, said := []*waiter{}, []any{}
		for _, argument := range arguments[1].([]any) {
			step := argument.([]any)
			answer := one(s, &waiters, step[0].(string), script.Int(step[1]))
			script.Rest()
			states := []string{}
			for _, w := range waiters {
				states = append(states, w.said)
			}
			said = append(said, []any{answer, states})
			if answer == "semaphore: released more than held" {
				break // Go's holds fewer than none now
			}
		}
		for _, w := range waiters {
			w.cancel()
		}
		script.Rest()
		return said
	})
}

func one(s *semaphore.Weighted, waiters *[]*waiter, operation string, n int64) (answer string) {
	defer func() {
		if reason := recover(); reason != nil {
			answer = fmt.Sprint(reason)
		}
	}()
	switch operation {
	case "acquire":
		ctx, cancel := context.WithCancel(context.Background())
		w := &waiter{cancel, "waits"}
		*waiters = append(*waiters, w)
		go func() {
			if err := s.Acquire(ctx, n); err != nil {
				w.said = err.Error()
			} else {
				w.said = "has"
			}
		}()
	case "try":
		return fmt.Sprint(s.TryAcquire(n))
	case "release":
		s.Release(n)
	case "cancel":
		if int(n) < len(*waiters) {
			(*waiters)[n].cancel()
		}
	}
	return ""
}
