package origin

import (
	"net/http"
	"testing"
	"time"
)

func header(fields ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(fields); i += 2 {
		h.Add(fields[i], fields[i+1])
	}
	return h
}

// TestWhatMayNotBeShared goes through what a shared cache must not keep (RFC 9111, 3),
// and what looks like it.
func TestWhatMayNotBeShared(t *testing.T) {
	t.Parallel()
	f := func(unshared bool, fields ...string) {
		t.Helper()
		for _, obey := range []bool{false, true} {
			if got := termOf(header(fields...), obey, time.Now()); (got.Unshared != "") != unshared {
				t.Errorf("%q, obey %t: got %+v, want unshared %t", fields, obey, got, unshared)
			}
		}
	}
	const cc = "Cache-Control"
	for _, value := range []string{"no-store", "private", "NO-STORE", "max-age=60, Private", "max-age=60,no-store", ` a="b, c" , private`, "private, private=\"x\"", "no-store=1"} {
		f(true, cc, value)
	}
	f(true, cc, "max-age=60", cc, "private")
	f(true, "Set-Cookie", "a=b", cc, "public, max-age=60")
	for _, value := range []string{"*", "Cookie", "accept-encoding, Authorization", "User-Agent", ", Accept-Language"} {
		f(true, "Vary", value)
	}
	f(true, "Vary", "Accept-Encoding", "Vary", "X-User")
	f(false)
	for _, value := range []string{"", "public", "max-age=60", `private="set-cookie"`, `a="private, no-store"`, "x-private", "must-revalidate", "no-transform", `no-cache="x"`} {
		f(false, cc, value)
	}
	for _, value := range []string{"", "Accept-Encoding", "accept , ACCEPT-ENCODING", "Origin, Access-Control-Request-Method"} {
		f(false, "Vary", value)
	}
}

// TestHowLongAnAnswerIsGood: only where it is asked for.
func TestHowLongAnAnswerIsGood(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	f := func(want time.Duration, fields ...string) {
		t.Helper()
		if got := termOf(header(fields...), false, now); got.Most != 0 || got.Unshared != "" {
			t.Errorf("%q: not asked for, got %+v", fields, got)
		}
		got := termOf(header(fields...), true, now)
		if over := got.Unshared != ""; over != (want < 0) || !over && got.Most != want {
			t.Errorf("%q: got %+v, want %v", fields, got, want)
		}
	}
	const cc, over = "Cache-Control", -1
	f(0)
	f(0, cc, "public")
	f(time.Minute, cc, "max-age=60")
	f(time.Minute, cc, `max-age="60"`)
	f(time.Second, cc, "max-age=60, s-maxage=1")
	f(30*time.Second, cc, "max-age=60", cc, "max-age=30")
	f(50*time.Second, cc, "max-age=60", "Age", "10")
	f(time.Minute, cc, "max-age=60", "Age", "-1")
	f(time.Minute, cc, "max-age=60", "Expires", at(-time.Hour))
	f(time.Hour, "Expires", at(time.Hour))
	f(time.Minute, "Expires", at(-time.Hour), "Date", at(-time.Hour-time.Minute))
	f(365*24*time.Hour, cc, "max-age=99999999999999999999999")
	f(over, cc, "max-age=0")
	f(over, cc, "max-age=soon")
	f(over, cc, "max-age")
	f(over, cc, "max-age=60", "Age", "60")
	f(over, cc, "max-age=60, no-cache")
	f(over, "Expires", "0")
	f(over, "Expires", at(-time.Second))
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{"": 0, "5": 5 * time.Second, "-5": 0, "soon": 0, now.Add(time.Minute).Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).Format(http.TimeFormat): 0} {
		if got := retryAfter(header("Retry-After", text), now); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}
