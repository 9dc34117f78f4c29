package limit

import (
	"testing"
	"time"
)

// released is what a window allows up to a millisecond, counted plainly.
func released(count, burst, into, size int64) int64 {
	return min(count, burst+count*into/size)
}

// FuzzShare plays one window against a plain model: a list of requests, each
// some milliseconds after the last.
func FuzzShare(f *testing.F) {
	f.Add(uint16(5), uint16(5), uint16(1), []byte{0, 1, 0, 1, 0, 200})
	f.Add(uint16(100), uint16(1), uint16(60), []byte{3, 50, 255, 1})
	f.Add(uint16(65535), uint16(10), uint16(1), []byte{9, 9, 9, 9, 250, 255})
	f.Fuzz(func(t *testing.T, count, burst, seconds uint16, steps []byte) {
		if count == 0 || seconds == 0 || seconds > 3600 {
			return
		}
		burst = max(1, min(burst, count))
		rate := Rate{Count: int(count), Window: time.Duration(seconds) * time.Second}
		size := rate.Window.Milliseconds()
		used, into := 0, int64(0)
		for i := 0; i+1 < len(steps); i += 2 {
			into += int64(steps[i]) * max(1, size/500)
			if into >= size {
				return
			}
			want := int(steps[i+1])
			may := released(int64(count), int64(burst), into, size)
			permits, rest, wait := share(rate, int(burst), used, want, into)
			switch {
			case permits < 0 || permits > want || int64(used+permits) > max(may, int64(used)):
				t.Fatalf("at %d of %d ms %d permits were granted of %d wanted; %d used, %d released", into, size, permits, want, used, may)
			case permits == 0 && want > 0 && may > int64(used):
				t.Fatalf("at %d ms nothing was granted although %d are free", into, may-int64(used))
			case rest != int(count)-used-permits:
				t.Fatalf("%d permits are said to be left, want %d", rest, int(count)-used-permits)
			}
			if permits == 0 && want > 0 {
				checkWait(t, rate, int(burst), used, into, wait)
			}
			used += permits
		}
	})
}

// checkWait: after the wait there is a token, or the window is over; before it
// there is none.
func checkWait(t *testing.T, rate Rate, burst, used int, into, wait int64) {
	t.Helper()
	size := rate.Window.Milliseconds()
	if wait < 1 || into+wait > size {
		t.Fatalf("at %d of %d ms the wait is %d ms", into, size, wait)
	}
	if permits, _, _ := share(rate, burst, used, 1, into+wait-1); permits != 0 {
		t.Fatalf("there is a token 1 ms before the %d ms are over", wait)
	}
	if into+wait < size {
		if permits, _, _ := share(rate, burst, used, 1, into+wait); permits != 1 {
			t.Fatalf("there is no token after %d ms", wait)
		}
	}
}
