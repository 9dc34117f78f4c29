package limit

import "time"

// overflow is the one count of all subjects of a limit for which there was no
// room in a window. It admits no more than the rate, so all of them together
// get what one subject may.
//
// Room may come back within the window, and a subject that was admitted from
// here may then get a count of its own. That begins with what it has had, or
// it would get it twice. Who has had how much is kept by a part of the
// subject's name: others may share that part, so the number is never too small.
type overflow struct {
	used int
	had  [overflowCells]int32
}

const overflowCells = 4096

func (o *overflow) of(id name) int { return int(o.had[id[0]%overflowCells]) }

// takeShared asks for one token of the overflow count. It is never returned:
// nobody could say whose it was.
func (m *LocalStore) takeShared(b *book, limit string, id name, rate Rate, burst int, into int64, g *Grant) {
	over := b.shared[limit]
	if over == nil {
		if b.shared == nil {
			b.shared = map[string]*overflow{}
		}
		const bytes = 4*overflowCells + countBytes
		m.room.Overdraw(bytes) // of at most one per limit
		b.bytes += bytes
		over = &overflow{}
		b.shared[limit] = over
	}
	tokens, _, wait := share(rate, burst, over.used, 1, into)
	over.used += tokens
	over.had[id[0]%overflowCells] += int32(tokens)
	g.Permits, g.Wait, g.Common, g.Exclusive = tokens, time.Duration(wait)*time.Millisecond, true, false
}
