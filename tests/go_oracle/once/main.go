// Functions that do their work once: what the first call, the second call and a call after a panic or a Goexit say.
package main

import (
	"sync"

	"gort.test/oracle/script"
)

func main() {
	script.Play(func(operation string, arguments []any) any {
		calls := 0
		work := func() int {
			calls++
			if arguments[0].(string) == "panic" {
				panic("broken")
			}
			return 7
		}
		once := sync.OnceValue(work)
		said := []any{}
		for range script.Int(arguments[1]) {
			said = append(said, outcome(once))
		}
		return []any{said, calls}
	})
}

func outcome(once func() int) (said any) {
	defer func() {
		if reason := recover(); reason != nil {
			said = reason
		}
	}()
	return once()
}
