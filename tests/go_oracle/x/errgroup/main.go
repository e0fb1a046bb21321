// Groups: what Wait says and what the context's cause is after goroutines that end one after the other; what TryGo and SetLimit say.
package main

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"gort.test/oracle/script"
)

func main() {
	script.Play(func(operation string, arguments []any) any {
		if operation == "errors" {
			return wait(arguments)
		}
		return limit(arguments)
	})
}

// wait says the first error and the cause, of goroutines each of which returns an error with a text, or nil for "".
func wait(texts []any) any {
	group, ctx := errgroup.WithContext(context.Background())
	for _, text := range texts {
		group.Go(func() error {
			if text == "" {
				return nil
			}
			return errors.New(text.(string))
		})
		script.Rest()
	}
	said := ""
	if err := group.Wait(); err != nil {
		said = err.Error()
	}
	return []any{said, context.Cause(ctx).Error(), ctx.Err().Error()}
}

// limit plays numbers: n >= 0 tries to start n goroutines that wait and says how many were started; n < 0 sets the limit to -n-1 and says what it panics with.
func limit(numbers []any) any {
	group, end := new(errgroup.Group), make(chan struct{})
	said := []any{}
	for _, argument := range numbers {
		n := int(script.Int(argument))
		if n < 0 {
			said = append(said, set(group, -n-1))
			continue
		}
		started := 0
		for range n {
			if group.TryGo(func() error { <-end; return nil }) {
				started++
			}
		}
		said = append(said, started)
	}
	close(end)
	return said // without Wait: what was started before the first limit would take a place from it
}

func set(group *errgroup.Group, n int) (said string) {
	defer func() {
		if reason := recover(); reason != nil {
			said = reason.(error).Error()
		}
	}()
	group.SetLimit(n)
	return ""
}
