package limit

import (
	"strconv"
	"time"
)

// policyOf is the item of RateLimit-Policy that describes a limit
// (draft-ietf-httpapi-ratelimit-headers): quota and window in seconds.
func policyOf(name string, r Rate) string {
	window := (r.Window + time.Second - 1) / time.Second
	return strconv.Quote(name) + ";q=" + strconv.Itoa(r.Count) + ";w=" + strconv.FormatInt(int64(window), 10)
}

// appendState appends an item of RateLimit: how many requests are surely admitted yet,
// and in how many seconds the window ends. name has no character to be quoted.
func appendState(dst []byte, name string, remaining int64, reset time.Duration) []byte {
	dst = append(dst, '"')
	dst = append(dst, name...)
	dst = append(dst, `";r=`...)
	dst = strconv.AppendInt(dst, max(0, remaining), 10)
	dst = append(dst, ";t="...)
	return strconv.AppendInt(dst, Seconds(reset), 10)
}

// Seconds rounds up, to 1 at least: a client that comes back after so many seconds is
// not early.
func Seconds(d time.Duration) int64 {
	return max(1, int64((d+time.Second-1)/time.Second))
}
