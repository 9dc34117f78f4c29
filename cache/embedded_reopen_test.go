package cache

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEmbeddedSurvivesReopening(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a name with ? and #.db")
	cfg := testConfig()
	cfg.Embedded = path
	first, err := cfg.start()
	if err != nil {
		t.Fatal(err)
	}
	book := newLedger("1", `{"id":1}`)
	d := newDesk(t, first, book)
	d.wantRead("1", `{"id":1}`, TierSource)
	x := fixture{first, t, "item:1"}
	x.set(`{"id":1}`)
	for range 3 {
		if _, err := first.Increment(within(t), "n"); err != nil {
			t.Fatal(err)
		}
	}
	fixture{first, t, "guarded"}.set("1")
	fixture{first, t, "guarded"}.guard("dies with the process")
	first.Close()
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}

	d.Cache = open(t, cfg)
	d.wantRead("1", `{"id":1}`, TierEmbedded)
	x.Cache = d.Cache
	x.want(`{"id":1}`)
	fixture{d.Cache, t, "guarded"}.want("nothing") // never the value from before the write
	if n, err := d.Increment(within(t), "n"); n != 4 || err != nil {
		t.Errorf("counting on: got %d, %v, want 4", n, err)
	}
}

func TestEmbeddedIsLocked(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	cfg.Embedded = filepath.Join(t.TempDir(), "tier.db")
	first, err := cfg.start()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cfg.start(); err == nil || !strings.Contains(err.Error(), "another process has it open") || !strings.Contains(err.Error(), "embedded.path") {
		t.Errorf("opening a file that is open: got %v, want what to do", err)
	}
	first.Close()
	second, err := cfg.start()
	if err != nil {
		t.Fatalf("opening after the first was closed: %v", err)
	}
	second.Close()
	cfg.Embedded = filepath.Join(t.TempDir(), "no", "such", "directory.db")
	if _, err := cfg.start(); err == nil || !strings.Contains(err.Error(), cfg.Embedded) {
		t.Errorf("opening in no directory: got %v, want the path named", err)
	}
}
