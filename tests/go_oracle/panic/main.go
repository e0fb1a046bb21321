// defer, panic, recover and Goexit: what a program of them says, and the first paragraph of the report if it panics.
//
// A function is a list of statements: ["say", text], ["panic", value], ["recover"] (says what it got), ["repanic"] (panics with what recover gives, if that
// is not nil), ["goexit"], ["call", function], ["defer", function]. Each program is run in a process of its own, this one once more with an argument.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"gort.test/oracle/script"
)

func main() {
	if len(os.Args) > 1 {
		run()
	}
	script.Play(func(operation string, arguments []any) any {
		program, err := json.Marshal(arguments[0])
		if err != nil {
			panic(err)
		}
		child := exec.Command(os.Args[0], "child")
		child.Stdin = bytes.NewReader(program)
		var said, report bytes.Buffer
		child.Stdout, child.Stderr = &said, &report
		child.Run() // its status says no more than the report
		paragraph, _, _ := strings.Cut(report.String(), "\n\n")
		if strings.HasPrefix(paragraph, "fatal error: all goroutines are asleep") {
			paragraph = "" // the goroutine has exited
		}
		return []any{strings.Fields(said.String()), paragraph}
	})
}

func run() {
	var program []any
	if err := json.NewDecoder(os.Stdin).Decode(&program); err != nil {
		panic(err)
	}
	go func() {
		function(program)
		os.Exit(0)
	}()
	select {}
}

func function(statements []any) {
	for _, each := range statements {
		statement := each.([]any)
		switch statement[0].(string) {
		case "say":
			fmt.Println(statement[1])
		case "panic":
			panic(statement[1])
		case "recover":
			value := recover()
			if value == nil {
				value = "nil"
			}
			fmt.Println(value)
		case "repanic":
			if value := recover(); value != nil {
				panic(value)
			}
		case "goexit":
			runtime.Goexit()
		case "call":
			function(statement[1].([]any))
		case "defer":
			defer function(statement[1].([]any))
		}
	}
}
