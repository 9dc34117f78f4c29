package listen_test

import (
	"net"
	"testing"

	"go.uber.org/goleak"

	"hearth/internal/listen"
)

// opened is a listener around l that keeps timeouts.
func opened(l net.Listener, t listen.Timeouts) *listen.Listener {
	opened := listen.New(l, t)
	opened.Open()
	return opened
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp keeps one goroutine per process that renders the Date
		// header, and one per server that ends up to ten seconds after it.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}
