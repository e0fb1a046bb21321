// A limiter at given times, in nanoseconds: one step plays a whole list of calls on a new one.
package main

import (
	"encoding/json"
	"math"
	"time"

	"golang.org/x/time/rate"

	"gort.test/oracle/script"
)

func main() {
	script.Play(func(operation string, arguments []any) any {
		if operation == "every" {
			return finite(float64(rate.Every(time.Duration(script.Int(arguments[0])))))
		}
		limiter := rate.NewLimiter(limit(arguments[0]), int(script.Int(arguments[1])))
		var made []*rate.Reservation
		said := []any{}
		for _, argument := range arguments[2].([]any) {
			step := argument.([]any)
			at := time.Unix(0, script.Int(step[1]))
			switch step[0].(string) {
			case "allow":
				said = append(said, limiter.AllowN(at, int(script.Int(step[2]))))
			case "reserve":
				r := limiter.ReserveN(at, int(script.Int(step[2])))
				made = append(made, r)
				said = append(said, []any{r.OK(), delay(r, at)})
			case "delay", "cancel":
				i := int(script.Int(step[2]))
				if i >= len(made) {
					said = append(said, nil)
				} else if step[0] == "cancel" {
					made[i].CancelAt(at)
					said = append(said, nil)
				} else {
					said = append(said, delay(made[i], at))
				}
			case "limit":
				limiter.SetLimitAt(at, limit(step[2]))
				said = append(said, nil)
			case "burst":
				limiter.SetBurstAt(at, int(script.Int(step[2])))
				said = append(said, nil)
			}
			said = append(said, limiter.TokensAt(at))
		}
		return append(said, finite(float64(limiter.Limit())), limiter.Burst())
	})
}

// delay is in ns, and -1 for what never comes: a reservation without a rate comes after Go's longest Duration.
func delay(r *rate.Reservation, at time.Time) int64 {
	if d := r.DelayFrom(at); d < math.MaxInt64/2 {
		return int64(d)
	}
	return -1
}

func limit(argument any) rate.Limit {
	if argument == "inf" {
		return rate.Inf
	}
	r, err := argument.(json.Number).Float64()
	if err != nil {
		panic(err)
	}
	return rate.Limit(r)
}

func finite(r float64) any {
	if r == float64(rate.Inf) {
		return "inf"
	}
	return r
}
