package cache

import (
	"strconv"
	"time"
)

// title is the tier's name in Cache-Status.
func (t Tier) title() string {
	if t == TierRedis {
		return "Hearth-Redis"
	}
	return "Hearth-Embedded"
}

// AppendStatus appends the Cache-Status field (RFC 9211), which lists the
// caches from the origin's side to the client's.
func (a Answer) AppendStatus(dst []byte) []byte {
	switch a.Tier {
	case TierMemory, TierStale:
		dst = append(dst, "Hearth-Memory; hit; ttl="...)
		dst = strconv.AppendInt(dst, seconds(a.TTL), 10)
	case TierRedis, TierEmbedded:
		dst = append(dst, a.Tier.title()...)
		if a.absent {
			dst = append(dst, "; fwd=miss"...)
		} else {
			dst = append(dst, "; hit"...)
		}
		if a.TTL != 0 {
			dst = strconv.AppendInt(append(dst, "; ttl="...), seconds(a.TTL), 10)
		}
		dst = appendForward(append(dst, ", "...), "Hearth-Memory", a.overMemory, a.Stored)
	case TierSource:
		if a.Detail == "untracked" { // the shared tier was not asked
			dst = appendForward(dst, "Hearth-Memory", a.overMemory, a.Stored)
			break
		}
		dst = appendForward(dst, a.Shared.title(), a.overShared, a.Stored)
		dst = appendForward(append(dst, ", "...), "Hearth-Memory", a.overMemory, false)
	}
	if a.Detail != "" {
		dst = append(append(dst, "; detail="...), a.Detail...)
	}
	return dst
}

// appendForward appends the member of a cache that had nothing, or nothing that met the
// request's demand, and whether it has something now.
func appendForward(dst []byte, cache string, over, stored bool) []byte {
	dst = append(dst, cache...)
	if over {
		dst = append(dst, "; fwd=request"...)
	} else {
		dst = append(dst, "; fwd=miss"...)
	}
	if stored {
		dst = append(dst, "; stored"...)
	}
	return dst
}

// seconds rounds towards minus infinity: what expired is never shown fresh.
func seconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d < 0 && d%time.Second != 0 {
		s--
	}
	return s
}
