// Package script plays a list of steps that the Python side made: one program a group of primitives, the same steps on both sides, equal results.
//
// Standard input is a JSON list of steps, each [operation, argument...]; standard output the JSON list of their results. A step that panics has the
// result {"panic": text}, and the next one goes on.
package script

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// Play answers every step on standard input by do. Numbers among the arguments are json.Number, so that none loses digits.
func Play(do func(operation string, arguments []any) any) {
	decoder := json.NewDecoder(os.Stdin)
	decoder.UseNumber()
	var steps [][]any
	if err := decoder.Decode(&steps); err != nil {
		fmt.Fprintln(os.Stderr, "steps:", err)
		os.Exit(2)
	}
	results := make([]any, 0, len(steps))
	for _, step := range steps {
		results = append(results, one(do, step[0].(string), step[1:]))
	}
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		fmt.Fprintln(os.Stderr, "results:", err)
		os.Exit(2)
	}
}

func one(do func(string, []any) any, operation string, arguments []any) (result any) {
	defer func() {
		if reason := recover(); reason != nil {
			result = map[string]string{"panic": fmt.Sprint(reason)}
		}
	}()
	return do(operation, arguments)
}

// Int is an argument that is a whole number.
func Int(argument any) int64 {
	n, err := argument.(json.Number).Int64()
	if err != nil {
		panic(err)
	}
	return n
}

var dump = make([]byte, 1<<20)

// Rest waits until every other goroutine waits for another one.
func Rest() {
	for !resting(string(dump[:runtime.Stack(dump, true)])) {
		runtime.Gosched()
	}
}

// resting says whether every goroutine of a dump, besides the first one, waits for another goroutine, and not for the collector or a moment's lock.
func resting(dump string) bool {
	for _, goroutine := range strings.Split(dump, "\n\n")[1:] {
		header, _, _ := strings.Cut(goroutine, "\n")
		if !strings.Contains(header, "[chan ") && !strings.Contains(header, "[select") && !strings.Contains(header, "[sync.WaitGroup.Wait") {
			return false
		}
	}
	return true
}
