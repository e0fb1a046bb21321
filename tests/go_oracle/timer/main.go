// Timers and tickers: what their methods and looks at their channels say. A step is one timer's life: what it is, and operations on it.
package main

import (
	"time"

	"gort.test/oracle/script"
)

type timer interface {
	Stop() any
	Reset(time.Duration) any
}

type channelTimer struct{ *time.Timer }

func (t channelTimer) Stop() any                 { return t.Timer.Stop() }
func (t channelTimer) Reset(d time.Duration) any { return t.Timer.Reset(d) }

type ticker struct{ *time.Ticker }

func (t ticker) Stop() any                 { t.Ticker.Stop(); return nil }
func (t ticker) Reset(d time.Duration) any { t.Ticker.Reset(d); return nil }

func main() {
	script.Play(func(kind string, operations []any) any {
		var t timer
		var c <-chan time.Time
		switch kind {
		case "timer":
			made := time.NewTimer(time.Hour)
			t, c = channelTimer{made}, made.C
		case "ticker":
			made := time.NewTicker(time.Hour)
			t, c = ticker{made}, made.C
		}
		said := []any{}
		for _, operation := range operations {
			said = append(said, do(operation.(string), t, c))
		}
		t.Stop()
		return said
	})
}

func do(operation string, t timer, c <-chan time.Time) any {
	switch operation {
	case "stop":
		return t.Stop()
	case "later":
		return t.Reset(time.Hour)
	case "now":
		result := t.Reset(1)
		time.Sleep(50 * time.Microsecond)
		return result
	case "zero":
		return t.Reset(0)
	case "look":
		select {
		case <-c:
			return true
		default:
			return false
		}
	case "length":
		return []int{len(c), cap(c)}
	case "old": // Is a time that nobody looked at for 100 ms that of the clock then, or that of the look?
		t.Reset(time.Millisecond)
		time.Sleep(100 * time.Millisecond)
		return time.Since(<-c) > 50*time.Millisecond
	}
	panic("no operation " + operation)
}
