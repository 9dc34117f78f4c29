package cache

// HotKey is how much a key was asked for lately. Rates are per second.
type HotKey struct {
	Key      string  `json:"key"`
	Resource string  `json:"resource"` // name of it
	Reads    float64 `json:"reads"`    // answered, from whatever tier
	Bytes    float64 `json:"bytes"`    // of records answered
	Misses   float64 `json:"misses"`   // reads that memory had no fresh record for
	Loads    float64 `json:"loads"`    // from the source, by this instance
	TTL      float64 `json:"ttl"`      // seconds left in memory; negative: memory has no fresh copy
}

// HotOrder is by what hot keys are listed.
type HotOrder string

// The orders.
const (
	HotByReads  HotOrder = "reads"
	HotByBytes  HotOrder = "bytes"
	HotByMisses HotOrder = "misses"
	HotByLoads  HotOrder = "loads"
)

// HotKeys lists the most keys at most that rank first in an order.
func (c *Cache) HotKeys(by HotOrder, most int) []HotKey { return nil }
