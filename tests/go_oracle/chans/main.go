// Channels and select without waiting: every operation on nil, open and closed channels of every capacity.
package main

import (
	"reflect"

	"gort.test/oracle/script"
)

var channels []chan int64

// Channel 0 is nil.
func channel(argument any) chan int64 { return channels[script.Int(argument)] }

func main() {
	channels = append(channels, nil)
	script.Play(do)
}

func do(operation string, arguments []any) any {
	switch operation {
	case "make":
		channels = append(channels, make(chan int64, script.Int(arguments[0])))
	case "send":
		select {
		case channel(arguments[0]) <- script.Int(arguments[1]):
			return true
		default:
			return false
		}
	case "receive":
		select {
		case value, ok := <-channel(arguments[0]):
			return []any{value, ok}
		default:
			return nil
		}
	case "close":
		close(channel(arguments[0]))
	case "len":
		return len(channel(arguments[0]))
	case "cap":
		return cap(channel(arguments[0]))
	case "range":
		values := []int64{}
		for value := range channel(arguments[0]) {
			values = append(values, value)
		}
		return values
	case "select":
		return choose(arguments)
	}
	return nil
}

// Arms are ["send", channel, value] and ["receive", channel]; the last case is a default.
func choose(arms []any) any {
	cases := []reflect.SelectCase{}
	for _, arm := range arms {
		words := arm.([]any)
		if words[0] == "send" {
			cases = append(cases, reflect.SelectCase{
				Dir: reflect.SelectSend, Chan: reflect.ValueOf(channel(words[1])), Send: reflect.ValueOf(script.Int(words[2]))})
		} else {
			cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(channel(words[1]))})
		}
	}
	index, value, ok := reflect.Select(append(cases, reflect.SelectCase{Dir: reflect.SelectDefault}))
	if index == len(arms) {
		return -1
	}
	if arms[index].([]any)[0] == "send" {
		return index
	}
	return []any{index, value.Int(), ok}
}
