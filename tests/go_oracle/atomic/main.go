// sync/atomic's types: what each operation returns and leaves behind.
package main

import (
	"strconv"
	"sync/atomic"

	"gort.test/oracle/script"
)

// Whole numbers go over as decimal text: JSON readers may keep 53 bits only.
type integer[T any] interface {
	Load() T
	Store(T)
	Swap(T) T
	CompareAndSwap(old, new T) bool
	Add(T) T
	And(T) T
	Or(T) T
}

func signed(argument any) int64 {
	n, err := strconv.ParseInt(argument.(string), 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func unsigned(argument any) uint64 {
	n, err := strconv.ParseUint(argument.(string), 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func play[T any](x integer[T], operation string, from func(any) T, text func(T) string, arguments []any) []any {
	var said any
	switch operation {
	case "load":
		said = text(x.Load())
	case "store":
		x.Store(from(arguments[0]))
	case "swap":
		said = text(x.Swap(from(arguments[0])))
	case "compare_and_swap":
		said = x.CompareAndSwap(from(arguments[0]), from(arguments[1]))
	case "add":
		said = text(x.Add(from(arguments[0])))
	case "and_":
		said = text(x.And(from(arguments[0])))
	case "or_":
		said = text(x.Or(from(arguments[0])))
	}
	return []any{said, text(x.Load())}
}

func playInteger(kind, operation, start string, arguments []any) any {
	switch kind {
	case "Int32":
		from := func(a any) int32 { return int32(signed(a)) }
		text := func(n int32) string { return strconv.FormatInt(int64(n), 10) }
		x := new(atomic.Int32)
		x.Store(from(start))
		return play(x, operation, from, text, arguments)
	case "Int64":
		text := func(n int64) string { return strconv.FormatInt(n, 10) }
		x := new(atomic.Int64)
		x.Store(signed(start))
		return play(x, operation, signed, text, arguments)
	case "Uint32":
		from := func(a any) uint32 { return uint32(unsigned(a)) }
		text := func(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
		x := new(atomic.Uint32)
		x.Store(from(start))
		return play(x, operation, from, text, arguments)
	case "Uint64":
		text := func(n uint64) string { return strconv.FormatUint(n, 10) }
		x := new(atomic.Uint64)
		x.Store(unsigned(start))
		return play(x, operation, unsigned, text, arguments)
	case "Uintptr":
		from := func(a any) uintptr { return uintptr(unsigned(a)) }
		text := func(n uintptr) string { return strconv.FormatUint(uint64(n), 10) }
		x := new(atomic.Uintptr)
		x.Store(from(start))
		return play(x, operation, from, text, arguments)
	}
	panic("no such type: " + kind)
}

// One Bool and one Value at a time; "new" makes the next.
var flag atomic.Bool
var value *atomic.Value

func playBool(operation string, arguments []any) any {
	var said any
	switch operation {
	case "new":
		flag.Store(false)
	case "load":
		said = flag.Load()
	case "store":
		flag.Store(arguments[0].(bool))
	case "swap":
		said = flag.Swap(arguments[0].(bool))
	case "compare_and_swap":
		said = flag.CompareAndSwap(arguments[0].(bool), arguments[1].(bool))
	}
	return []any{said, flag.Load()}
}

// plain is a whole number as an int, and anything else as it is: their types differ in Go as in Python.
func plain(argument any) any {
	switch argument.(type) {
	case nil, bool, string:
		return argument
	}
	return int(script.Int(argument))
}

func playValue(operation string, arguments []any) any {
	var said any
	switch operation {
	case "new":
		value = new(atomic.Value)
	case "load":
		said = value.Load()
	case "store":
		value.Store(plain(arguments[0]))
	case "swap":
		said = value.Swap(plain(arguments[0]))
	case "compare_and_swap":
		said = value.CompareAndSwap(plain(arguments[0]), plain(arguments[1]))
	}
	return []any{said, value.Load()}
}

func main() {
	script.Play(func(operation string, arguments []any) any {
		switch kind := arguments[0].(string); kind {
		case "Bool":
			return playBool(operation, arguments[1:])
		case "Value":
			return playValue(operation, arguments[1:])
		default:
			return playInteger(kind, operation, arguments[1].(string), arguments[2:])
		}
	})
}
