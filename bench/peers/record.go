package peers

import (
	"fmt"
	"strconv"
	"strings"

	"hearth/internal/testkit"
)

// expiry is how many seconds records live in Redis, as the recipe has it.
const expiry = 3600

// Record is the value of user n: size bytes of JSON, 64 at least, and about 110 where size
// is 0.
func Record(n, size int) string {
	if size == 0 {
		return fmt.Sprintf(`{"id":%d,"name":"张三","city":"北京","email":"user-%d@shop.example","since":"2019-05-04T12:00:00Z"}`, n, n)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `{"id":%d,"name":"张三","note":"`, n)
	for i := 0; b.Len() < size; i++ { // words that differ, so that no compression makes it nothing
		fmt.Fprintf(&b, "line %d of user %d; ", i*i, n)
	}
	const end = `"}`
	return b.String()[:size-len(end)] + end
}

// fill stores the records 1 to n, a thousand commands at a time: their replies fit into
// the buffers of the connection, as none is read before all are sent.
func fill(tb testkit.TB, conn *testkit.RedisConn, n, size int) {
	const chunk = 1000
	for first := 1; first <= n; first += chunk {
		last := min(first+chunk-1, n)
		for i := first; i <= last; i++ {
			if err := conn.Send("SET", fmt.Sprint("user:", i), Record(i, size), "EX", strconv.Itoa(expiry)); err != nil {
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
