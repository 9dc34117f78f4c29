package cache

import (
	"testing"

	"hearth/cache/shared"
	"hearth/internal/testkit"
)

// TestAnOutdatedKeyIsGoneBeforeItsPush: the script is answered on one connection, and the
// push is still on its way on another one. Whoever has told of the change is answered
// nothing older, and a read that began before keeps nothing.
func TestAnOutdatedKeyIsGoneBeforeItsPush(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	d := newDesk(t, openStage(t, s, patientLink), newLedger("kept", "2", "read", "2"))
	kept, read := d.key("kept"), d.key("read")
	s.set(kept, "1")
	s.set(read, "1")
	d.wantRead("kept", "1", TierRedis)
	d.wantMemory("kept", "1")
	s.plan(read, holdAt(partExec)) // from here on nothing comes on the tracked connection
	before := d.readBeside("read")
	s.awaitReads(t, read, 1)
	if err := d.Outdate(within(t), []shared.Outdated{{Key: kept}, {Key: read}}); err != nil {
		t.Fatal(err)
	}
	d.wantMemory("kept", "")
	s.release()
	if a := before.want(t, "1"); a.Stored {
		t.Error("a reply from before the change was stored")
	}
	testkit.Eventually(t, patience, "the key can be read tracked again", func() bool { return !onTheBooks(d.Cache, read) })
	d.wantMemory("read", "")
	for _, id := range []string{"kept", "read"} {
		if a, err := d.read(id); err != nil || string(a.Data()) != "2" {
			t.Errorf("%s: read %s, %v, want the record as it is", id, a.Data(), err)
		}
	}
}
