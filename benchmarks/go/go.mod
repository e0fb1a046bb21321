module gort.example/benchmarks

go 1.23
