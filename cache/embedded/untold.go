package embedded

import "context"

// Memory is told of each change of a row, by whoever has asked for it, once it is in the
// file. Between the two it is counted, so that somebody who has read the file can tell
// whether what they have seen there was told.

// change queues changes of rows, whose shards are locked. Its caller waits for it, tells
// memory of it, and says so by told. If the caller leaves it before it is done, the writer
// tells memory once more, behind the commit:
//
//	caller  leaves; memory is told
//	reader  reads the row of before, which is kept
//	writer  commits, and tells: or that copy would stay
func (e *Tier) change(rows ...row) *rowJob {
	for _, r := range rows {
		e.shard(r.key).untold++
	}
	return e.writer.enqueue(&rowJob{rows: rows, done: make(chan struct{}), late: func() {
		for _, r := range rows {
			e.reads.Changed(r.key)
		}
		e.countTold(rows)
	}})
}

// told says that memory was told of a change, as far as it was to be.
func (e *Tier) told(job *rowJob) {
	if !job.gone {
		e.countTold(job.rows)
	}
}

func (e *Tier) countTold(rows []row) {
	for _, r := range rows {
		sh := e.shard(r.key)
		sh.mu.Lock()
		sh.untold--
		sh.mu.Unlock()
	}
}

// Settle tells whether memory was told of every change of key that a read which has come
// back can have seen, as far as it is told at all. A change of the file is seen from its
// commit on and told a moment later; until then it is counted as untold, with the others of
// its shard. That another file stands in the place of the tier's the writer notices first.
func (e *Tier) Settle(ctx context.Context, key string) bool {
	if e.writer.queue().wait(ctx) != nil {
		return false
	}
	sh := e.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.untold == 0
}
