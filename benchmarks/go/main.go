// The subject "go": the cases of benchmarks/cases.py in Go, one per process.
//
//	go_bench --case NAME --procs N --repetitions R --scale F
//
// prints one JSON line (benchmarks/protocol.py). GOMAXPROCS comes from the environment and must equal N.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
)

// answer is the JSON line. Value is nil for a case this program lacks; Reason then says why.
type answer struct {
	Case   string             `json:"case"`
	Value  *float64           `json:"value"`
	Unit   string             `json:"unit,omitempty"`
	Extra  map[string]float64 `json:"extra,omitempty"`
	Reason string             `json:"reason,omitempty"`
}

// perOperation holds the cases that report nanoseconds per operation: each function does about n operations.
var perOperation = map[string]func(n int) float64{
	"yield":           yield,
	"spawn_wait":      spawnWait,
	"spawn_batch":     spawnBatch,
	"round_trip":      roundTrip,
	"buffered":        buffered,
	"select2":         select2,
	"select10":        select10,
	"select_default":  selectDefault,
	"chan_contended":  chanContended,
	"mutex":           mutex,
	"mutex_contended": mutexContended,
	"mutex_handoff":   mutexHandoff,
	"rwmutex_read":    rwmutexRead,
	"wait_group":      waitGroup,
	"pool":            pool,
	"map_load":        mapLoad,
	"map_mixed":       mapMixed,
	"context_cancel":  contextCancel,
	"timer_stop":      timerStop,
	"skynet":          skynet,
	"ring":            ring,
	"sleep_late":      sleepLate,
	"sleep_late_hogs": sleepLateHogs,
	"stop_world":      stopWorld,
	"stop_world_hogs": stopWorldHogs,
}

// measure runs one case with n operations, after a tenth of them where the case is one of perOperation.
func measure(name string, n int) answer {
	if work, ok := perOperation[name]; ok {
		work(max(1, n/10))
		value := work(n)
		return answer{Case: name, Value: &value, Unit: "ns"}
	}
	switch name {
	case "parked":
		value, bytesEach := parked(n)
		result := answer{Case: name, Value: &value, Unit: "ns"}
		if bytesEach > 0 {
			result.Extra = map[string]float64{"bytes_each": bytesEach}
		}
		return result
	case "sleepers":
		value := sleepers(n)
		return answer{Case: name, Value: &value, Unit: "ns"}
	case "bintrees":
		value := bintrees(n)
		return answer{Case: name, Value: &value, Unit: "s"}
	}
	return answer{Case: name, Reason: "a case about Python"}
}

func main() {
	name := flag.String("case", "", "name of the case")
	procs := flag.Int("procs", 1, "what GOMAXPROCS must be")
	repetitions := flag.Int("repetitions", 1, "operations at scale 1")
	scale := flag.Float64("scale", 1, "factor on the repetitions")
	flag.Parse()
	if *procs != runtime.GOMAXPROCS(0) {
		fmt.Fprintf(os.Stderr, "GOMAXPROCS is %d, not %d\n", runtime.GOMAXPROCS(0), *procs)
		os.Exit(2)
	}
	n := max(1, int(math.Round(float64(*repetitions)**scale)))
	result := make(chan answer)
	go func() { result <- measure(*name, n) }()
	if err := json.NewEncoder(os.Stdout).Encode(<-result); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
