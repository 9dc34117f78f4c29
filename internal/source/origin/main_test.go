package origin_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// The one goroutine that cannot be joined: it belongs to the HTTP client,
	// which offers no way to, and ends by itself (see Origin.Close).
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"))
}
