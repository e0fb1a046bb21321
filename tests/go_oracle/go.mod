module gort.test/oracle

go 1.24
