module gort.test/oracle/x

go 1.26.0

require (
	golang.org/x/sync v0.24.0
	golang.org/x/time v0.16.0
	gort.test/oracle v0.0.0
)

replace gort.test/oracle => ../
