// Contexts: a step builds a tree of contexts, cancels some of them, and says what all of them say. An operation is [name, index of a context,
// argument...]; context 0 is the background, each that is made takes the next index.
package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"gort.test/oracle/script"
)

// wrap hands everything on.
type wrap struct{ context.Context }

func (w wrap) String() string { return fmt.Sprint(w.Context) + ".wrap" }

// own has a done channel and an error of its own, and calls those who want to know.
type own struct {
	context.Context
	done  chan struct{}
	err   error
	funcs map[int]func()
	next  int
}

func (o *own) String() string        { return fmt.Sprint(o.Context) + ".own" }
func (o *own) Done() <-chan struct{} { return o.done }
func (o *own) Err() error            { return o.err }
func (o *own) AfterFunc(f func()) func() bool {
	key := o.next
	o.next++
	o.funcs[key] = f
	return func() bool {
		_, there := o.funcs[key]
		delete(o.funcs, key)
		return there
	}
}

func (o *own) end(err error) {
	if o.err != nil {
		return
	}
	o.err = err
	close(o.done)
	funcs := o.funcs
	o.funcs = map[int]func(){}
	for _, f := range funcs {
		f()
	}
}

type tree struct {
	contexts []context.Context
	parents  []int
	cancels  map[int]func(error)
	stops    []func() bool
	said     []any
}

var times = regexp.MustCompile(`WithDeadline\([^)]*\)`)

// Go shows a context with AfterFunc as "context.stopCtx" once it has a child, and what is above it no more. Neither side shows that here.
var stopped = regexp.MustCompile(`^.*\.own(\.WithCancel|\.WithDeadline)`)

func main() {
	script.Play(func(_ string, operations []any) any {
		t := &tree{contexts: []context.Context{context.Background()}, parents: []int{0}, cancels: map[int]func(error){}, said: []any{}}
		for _, operation := range operations {
			t.do(operation.([]any))
			t.settle()
		}
		for _, ctx := range t.contexts {
			_, has := ctx.Deadline()
			t.said = append(t.said, []any{text(ctx.Err()), text(context.Cause(ctx)), has, ctx.Done() != nil, ctx.Value("a"), ctx.Value("b"),
				name(ctx)})
		}
		for _, cancel := range t.cancels {
			cancel(nil)
		}
		return t.said
	})
}

func name(ctx context.Context) string {
	shown := times.ReplaceAllString(fmt.Sprint(ctx), "WithDeadline()")
	return stopped.ReplaceAllString(strings.Replace(shown, "context.stopCtx", "stopCtx.own", 1), "own$1")
}

func text(err error) any {
	if err == nil {
		return nil
	}
	return err.Error()
}

func reason(argument any) error {
	if argument == nil {
		return nil
	}
	return errors.New(argument.(string))
}

func (t *tree) add(parent int, ctx context.Context, cancel func(error)) {
	t.contexts = append(t.contexts, ctx)
	t.parents = append(t.parents, parent)
	if cancel != nil {
		t.cancels[len(t.contexts)-1] = cancel
	}
}

func (t *tree) do(operation []any) {
	i := int(script.Int(operation[1])) % len(t.contexts)
	parent := t.contexts[i]
	plain := func(cancel context.CancelFunc) func(error) { return func(error) { cancel() } }
	switch operation[0].(string) {
	case "cancel":
		ctx, cancel := context.WithCancel(parent)
		t.add(i, ctx, plain(cancel))
	case "cancel_cause":
		ctx, cancel := context.WithCancelCause(parent)
		t.add(i, ctx, cancel)
	case "timeout":
		ctx, cancel := context.WithTimeoutCause(parent, time.Duration(script.Int(operation[2]))*time.Second, reason(operation[3]))
		t.add(i, ctx, plain(cancel))
	case "value":
		t.add(i, context.WithValue(parent, operation[2].(string), operation[3]), nil)
	case "without":
		t.add(i, context.WithoutCancel(parent), nil)
	case "wrap":
		t.add(i, wrap{parent}, nil)
	case "own":
		o := &own{Context: parent, done: make(chan struct{}), funcs: map[int]func(){}}
		t.add(i, o, func(error) { o.end(context.Canceled) })
	case "end":
		if cancel, there := t.cancels[i]; there {
			cancel(reason(operation[2]))
		}
	case "after":
		t.stops = append(t.stops, context.AfterFunc(parent, func() {}))
	case "stop":
		if len(t.stops) > 0 {
			t.said = append(t.said, t.stops[int(script.Int(operation[1]))%len(t.stops)]())
		}
	}
}

// settle waits for cancellations that a goroutine hands on.
func (t *tree) settle() {
	for i, ctx := range t.contexts {
		if _, isOwn := ctx.(*own); !isOwn && ctx.Done() != nil && t.contexts[t.parents[i]].Err() != nil {
			<-ctx.Done()
		}
	}
}
