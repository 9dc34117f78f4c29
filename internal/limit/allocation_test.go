//go:build !race

package limit

import (
	"testing"
	"time"
)

func TestTryAllocatesNothing(t *testing.T) {
	l := New(Config{Name: "api", Rate: Rate{2, time.Hour}})
	l.Open()
	defer l.Close()
	subject := []byte("192.0.2.1")
	l.Take(t.Context(), subject)
	for range 3 { // admitted, then denied
		if n := testing.AllocsPerRun(100, func() { l.Try(subject) }); n != 0 {
			t.Errorf("%v allocations, want none", n)
		}
	}
}
