// Calls that share: after each step everybody comes to rest. Every call of the function waits until a step ends it.
package main

import (
	"errors"

	"golang.org/x/sync/singleflight"

	"gort.test/oracle/script"
)

func main() {
	script.Play(func(operation string, arguments []any) any {
		var group singleflight.Group
		ends, states, said := []chan string{}, []any{}, []any{}
		fn := func() (any, error) {
			end := make(chan string, 1)
			ends = append(ends, end)
			number := len(ends)
			if text := <-end; text != "" {
				return nil, errors.New(text)
			}
			return number, nil
		}
		tell := func(i int, value any, err error, shared bool) {
			if err != nil {
				states[i] = err.Error()
			} else {
				states[i] = []any{value, shared}
			}
		}
		for _, argument := range arguments {
			step := argument.([]any)
			switch step[0].(string) {
			case "do":
				i := len(states)
				states = append(states, "waits")
				go func() {
					value, err, shared := group.Do(step[1].(string), fn)
					tell(i, value, err, shared)
				}()
			case "do_chan":
				i := len(states)
				states = append(states, "waits")
				channel := group.DoChan(step[1].(string), fn)
				go func() {
					result := <-channel
					tell(i, result.Val, result.Err, result.Shared)
				}()
			case "forget":
				group.Forget(step[1].(string))
			case "end":
				if n := int(script.Int(step[1])); n < len(ends) && ends[n] != nil {
					ends[n] <- step[2].(string)
					ends[n] = nil
				}
			}
			script.Rest()
			said = append(said, append([]any{len(ends)}, states...))
		}
		for _, end := range ends {
			if end != nil {
				end <- ""
			}
		}
		script.Rest()
		return said
	})
}
