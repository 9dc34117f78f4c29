package load

import (
	"bytes"
	"strconv"
)

// Tier is where an answer came from, by what its Cache-Status says.
type Tier int

// The tiers, and what none of them vouches for.
const (
	Memory Tier = iota // a copy in memory that hearth vouches for
	Redis              // a tracked read of Redis
	Source             // a load from the database, one's own or another's
	Marked             // detail=stale or detail=untracked: hearth vouches for nothing
	Tiers              // how many there are
)

// TierNames are for reports.
var TierNames = [Tiers]string{"memory", "Redis", "the database", "marked stale or untracked"}

// TierOf reads a Cache-Status. Of a many-read it tells of the answer that came from
// farthest.
func TierOf(status []byte) Tier {
	switch {
	case bytes.Contains(status, []byte("detail=")):
		return Marked
	case bytes.HasPrefix(status, []byte("Hearth-Memory; hit")):
		return Memory
	case bytes.HasPrefix(status, []byte("Hearth-Redis; hit")):
		return Redis
	}
	return Source
}

// Status is the Cache-Status of the latest answer.
func (c *Conn) Status() []byte { return c.Answer.Header.Peek("Cache-Status") }

// Member is an integer member of the latest answer, such as `"v":`; -1 where there is
// none.
func (c *Conn) Member(name string) int64 { return numberIn(c.Answer.Body(), name) }

func numberIn(body []byte, member string) int64 {
	_, value, found := bytes.Cut(body, []byte(member))
	end := 0
	for end < len(value) && value[end] >= '0' && value[end] <= '9' {
		end++
	}
	n, err := strconv.ParseInt(string(value[:end]), 10, 64)
	if !found || err != nil {
		return -1
	}
	return n
}

// recordIn is an answer without its source, which is not the same for everybody.
func recordIn(body []byte) []byte {
	before, _, _ := bytes.Cut(body, []byte(`,"source":`))
	return before
}
