package memory

import (
	"fmt"
	"strconv"
	"testing"
	"time"
)

// BenchmarkLook is a hit without what is around it: how much of it goes to samples shows
// between none, as many as a busy server takes, and all, which are never taken.
func BenchmarkLook(b *testing.B) {
	for _, of := range []int{0, 256, 1} {
		b.Run(fmt.Sprint("one-of-", of), func(b *testing.B) {
			s, sh := New(Config{Budget: 64 << 20, MissingShare: 0.1, LinkTimeout: time.Hour}), NewShape("user")
			o := s.NewOwner(true)
			var keys [1024][]byte
			for i := range keys {
				name := "user:" + strconv.Itoa(i)
				keys[i] = []byte(name)
				s.Keep(s.NewAnswer(sh, name, []byte(`{"id":1}`), 0), o, o.Epoch(), s.Now()+int64(time.Hour), Never)
			}
			s.SampleOneOf(of)
			now := time.Now()
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				now = now.Add(997)
				if n++; n%4096 == 0 {
					s.TakeSamples(func(*Sample) {})
					s.SampleOneOf(of)
				}
				pin := s.Pin(0)
				if v, _ := s.Look(sh, keys[n%len(keys)], now); !v.Found() {
					b.Fatal("a fresh record is no hit")
				}
				pin.Release()
			}
		})
	}
}
