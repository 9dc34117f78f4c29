package memory

import (
	"strings"
	"testing"
)

// TestAHeapRecordThatWasReplaced: a reader that has found a record may look for its object
// when another record of the key has the number, made for another Shape by a reload.
func TestAHeapRecordThatWasReplaced(t *testing.T) {
	t.Parallel()
	tb := newTableOf(32 << 20)
	before, after := NewShape("user"), NewShape("account")
	data := `"` + strings.Repeat("a", largeBytes) + `"`
	defer tb.grace.enter(0).Release()
	tb.put(newRecord(before, "k", data))
	p := tb.now.Load().of(HashKey("k"))
	r := p.lookup(HashKey("k"), []byte("k"))
	if e := p.heap.of(r); e == nil || e.shape != before.id {
		t.Fatalf("the object of the record is %v", e)
	}
	tb.put(newRecord(after, "k", data))
	if e := p.heap.of(r); e != nil {
		t.Errorf("the record of shape %d names an object of shape %d", before.id, e.shape)
	}
	if r, e := tb.lookup(HashKey("k"), []byte("k")); e == nil || e.shape != after.id {
		t.Errorf("the record %v has the object %v, want that of shape %d", r, e, after.id)
	}
}
