package limit

import (
	"strconv"
	"time"
)

// policyOf is the item of RateLimit-Policy that describes a limit
// (draft-ietf-httpapi-ratelimit-headers): quota and window in seconds.
func policyOf(cfg Config) string {
	window := (cfg.Rate.Window + time.Second - 1) / time.Second
	return strconv.Quote(cfg.Name) + ";q=" + strconv.Itoa(cfg.Rate.Count) + ";w=" + strconv.FormatInt(int64(window), 10)
}

// Policy is the limit's item of the header RateLimit-Policy.
func (l *Limiter) Policy() string { return l.policy }

// AppendState appends the limit's item of the header RateLimit: how many
// requests are surely admitted yet, and when the window ends.
func (l *Limiter) AppendState(dst []byte, d Decision) []byte {
	dst = append(dst, '"')
	dst = append(dst, l.cfg.Name...) // a-z, 0-9 and _
	dst = append(dst, `";r=`...)
	dst = strconv.AppendInt(dst, max(0, d.Remaining), 10)
	dst = append(dst, ";t="...)
	return strconv.AppendInt(dst, Seconds(max(d.Reset, d.Retry)), 10)
}

// Seconds rounds up: a client that comes back after so many is not early. It is
// at least 1.
func Seconds(d time.Duration) int64 {
	return max(1, int64((d+time.Second-1)/time.Second))
}
