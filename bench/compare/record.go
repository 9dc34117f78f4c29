package main

import (
	"fmt"
	"strconv"
	"strings"

	"hearth/internal/testkit"
)

// record is the value of user n: about 100 bytes of JSON.
func record(n int) string {
	return fmt.Sprintf(`{"id":%d,"name":"张三","city":"北京","email":"user-%d@shop.example","since":"2019-05-04T12:00:00Z"}`, n, n)
}

// fill stores the records 1 to n, a thousand commands at a time: their replies fit into
// the buffers of the connection, as none is read before all are sent.
func fill(tb testkit.TB, conn *testkit.RedisConn, n int) {
	const chunk = 1000
	for first := 1; first <= n; first += chunk {
		last := min(first+chunk-1, n)
		for i := first; i <= last; i++ {
			if err := conn.Send("SET", fmt.Sprint("user:", i), record(i), "EX", strconv.Itoa(expiry)); err != nil {
				tb.Fatalf("filling redis-server: %v", err)
			}
		}
		for range last - first + 1 {
			if reply, err := conn.Receive(); err != nil || reply != "OK" {
				tb.Fatalf("filling redis-server: %v, %v", reply, err)
			}
		}
	}
}

// getsIn is how many GET commands Redis has run, by its own statistics.
func getsIn(stats string) (int64, error) {
	_, calls, found := strings.Cut(stats, "cmdstat_get:calls=")
	if !found {
		return 0, nil
	}
	calls, _, _ = strings.Cut(calls, ",")
	return strconv.ParseInt(calls, 10, 64)
}
