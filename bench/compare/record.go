package main

import (
	"fmt"
	"strconv"
	"strings"

	"hearth/bench/resp"
)

// record is the value of user n: about 100 bytes of JSON.
func record(n int) string {
	return fmt.Sprintf(`{"id":%d,"name":"张三","city":"北京","email":"user-%d@shop.example","since":"2019-05-04T12:00:00Z"}`, n, n)
}

// fill stores the records 1 to n, a thousand commands at a time.
func fill(conn *resp.Conn, n int) error {
	const chunk = 1000
	var b []byte
	for first := 1; first <= n; first += chunk {
		b = b[:0]
		last := min(first+chunk-1, n)
		for i := first; i <= last; i++ {
			b = resp.Append(b, "SET", fmt.Sprint("user:", i), record(i), "EX", strconv.Itoa(expiry))
		}
		if err := conn.Pipeline(b, last-first+1); err != nil {
			return fmt.Errorf("filling redis-server: %w", err)
		}
	}
	return nil
}

// gets is how many GET commands the server has run.
func gets(conn *resp.Conn) (int64, error) {
	stats, err := conn.Do("INFO", "commandstats")
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut(stats, "cmdstat_get:calls=")
	if !found {
		return 0, nil
	}
	calls, _, _ := strings.Cut(rest, ",")
	return strconv.ParseInt(calls, 10, 64)
}
