// Locks and wait groups used by one caller: what each operation that never waits says. Steps that Go ends the process for are never sent.
package main

import (
	"sync"

	"gort.test/oracle/script"
)

func main() {
	var mutex sync.Mutex
	var table sync.RWMutex
	var group sync.WaitGroup
	script.Play(func(operation string, arguments []any) any {
		switch operation {
		case "try_lock":
			return mutex.TryLock()
		case "unlock":
			mutex.Unlock()
		case "try_write":
			return table.TryLock()
		case "end_write":
			table.Unlock()
		case "try_read":
			return table.TryRLock()
		case "end_read":
			table.RUnlock()
		case "read":
			table.RLocker().Lock()
		case "end":
			table.RLocker().Unlock()
		case "add":
			group.Add(int(script.Int(arguments[0])))
		case "wait":
			group.Wait()
		case "group":
			group = sync.WaitGroup{}
		}
		return nil
	})
}
