package cache

import "testing"

// TestPulse leaves nothing behind, and is felt however full memory is.
func TestPulse(t *testing.T) {
	c := openFile(t, func(cfg *setup) { cfg.Budget = 1 << 20 })
	before := c.Stats()
	for range 10_000 {
		if err := c.ProbeMemory(); err != nil {
			t.Fatal(err)
		}
	}
	after := c.Stats()
	if after.MemoryBytes > before.MemoryBytes+1<<16 { // no more than a few segments of holes
		t.Errorf("%d bytes are used before, %d after", before.MemoryBytes, after.MemoryBytes)
	}
	if after.MemoryBytes = before.MemoryBytes; after != before {
		t.Errorf("numbers before %+v, after %+v", before, after)
	}
}

// TestNoPulseWhileAShardIsStuck: whoever holds a lock for good is noticed.
func TestNoPulseWhileAShardIsStuck(t *testing.T) {
	c := openFile(t)
	for i := range c.flights.shards {
		c.flights.shards[i].mu.Lock()
	}
	felt := make(chan error, 1)
	go func() { felt <- c.ProbeMemory() }()
	select {
	case err := <-felt:
		t.Errorf("a pulse although every shard is locked: %v", err)
	default:
	}
	for i := range c.flights.shards {
		c.flights.shards[i].mu.Unlock()
	}
	if err := <-felt; err != nil {
		t.Error(err)
	}
}
