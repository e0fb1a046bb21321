// sync.Map: what each operation returns and leaves behind. One map at a time; "new" makes the next.
package main

import (
	"encoding/json"
	"fmt"
	"sort"
	"sync"

	"gort.test/oracle/script"
)

var table *sync.Map

// plain is a whole number as an int, and anything else as it is: a list has a type without a hash, as in Python.
func plain(argument any) any {
	if number, is := argument.(json.Number); is {
		return int(script.Int(number))
	}
	return argument
}

// pair is what a missing value and its flag are in Python.
func pair(value any, flag bool) []any { return []any{value, flag} }

func contents() []string {
	all := []string{}
	table.Range(func(key, value any) bool {
		all = append(all, fmt.Sprint(key, "=", value))
		return true
	})
	sort.Strings(all)
	return all
}

func main() {
	script.Play(func(operation string, arguments []any) any {
		a := make([]any, 3)
		for i, argument := range arguments {
			a[i] = plain(argument)
		}
		var said any
		switch operation {
		case "new":
			table = new(sync.Map)
		case "load":
			said = pair(table.Load(a[0]))
		case "store":
			table.Store(a[0], a[1])
		case "load_or_store":
			said = pair(table.LoadOrStore(a[0], a[1]))
		case "load_and_delete":
			said = pair(table.LoadAndDelete(a[0]))
		case "delete":
			table.Delete(a[0])
		case "swap":
			said = pair(table.Swap(a[0], a[1]))
		case "compare_and_swap":
			said = table.CompareAndSwap(a[0], a[1], a[2])
		case "compare_and_delete":
			said = table.CompareAndDelete(a[0], a[1])
		case "clear":
			table.Clear()
		}
		return []any{said, contents()}
	})
}
