package cache

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"hearth/internal/testkit"
)

// commands is how often a server has executed each command.
func commands(srv *testkit.RedisServer) map[string]int {
	all := map[string]int{}
	for _, m := range regexp.MustCompile(`cmdstat_([^:]+):calls=(\d+)`).FindAllStringSubmatch(srv.Text("INFO", "commandstats"), -1) {
		all[m[1]], _ = strconv.Atoi(m[2])
	}
	return all
}

// TestCommandsOfARead counts what Redis executes for a record that memory keeps, and for one
// that it does not.
func TestCommandsOfARead(t *testing.T) {
	srv := testkit.Redis(t)
	c := openRedis(t, srv, patientLink)
	d, reads := newDesk(t, c, nil), 1000
	var ids []string
	for i := range reads {
		ids = append(ids, fmt.Sprint(i))
		srv.Do("SET", d.key(ids[i]), `{"v":1}`)
	}
	f := func(what string, admits bool, read func(), want map[string]int) {
		t.Helper()
		c.admits = func(string) bool { return admits }
		before := commands(srv)
		read()
		after := commands(srv)
		delete(after, "info")
		for name, n := range after {
			if n -= before[name]; n != want[name] && (n >= 20 || want[name] != 0) { // a few are those of links
				t.Errorf("%s: Redis has executed %s %d times, want %d", what, name, n, want[name])
			}
		}
	}
	one := func() {
		for _, id := range ids {
			d.wantRead(id, `{"v":1}`, TierRedis)
		}
	}
	many := func() {
		for i := range 10 {
			if _, err := d.readMany(ids[100*i : 100*i+100]...); err != nil {
				t.Fatal(err)
			}
		}
	}
	f("not kept", false, one, map[string]int{"get": reads})
	f("not kept, many at once", false, many, map[string]int{"get": reads})
	f("kept", true, one, map[string]int{"client|caching": reads, "multi": reads, "pttl": reads, "get": reads, "exec": reads})
}

// TestAnswersAreTheSameKeptOrNot: one record has one tag, whether memory keeps it or not.
func TestAnswersAreTheSameKeptOrNot(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		for name, size := range map[string]int{"small": 10, "with a variant": 4000, "large": 100 << 10} {
			d := newDesk(t, open(t), newLedger())
			d.book.write(name, `"`+strings.Repeat("x", size)+`"`)
			if _, err := d.read(name); err != nil {
				t.Fatal(err)
			}
			d.admits = keepNothing
			plain, err := d.read(name)
			if err != nil || plain.Stored || plain.Entry.Gzip() != nil {
				t.Fatalf("%s: got %v, with a variant %v", name, err, plain.Entry.Gzip() != nil)
			}
			d.admits = func(string) bool { return true }
			kept, err := d.read(name)
			if err != nil || !kept.Stored {
				t.Fatalf("%s: got %v, stored %v", name, err, kept.Stored)
			}
			if plain.Entry.ETag() != kept.Entry.ETag() || !bytes.Equal(plain.Body(), kept.Body()) || plain.Entry.Compressible() != kept.Entry.Compressible() {
				t.Errorf("%s: not kept it has the tag %s, compressible %v; kept %s, %v", name, plain.Entry.ETag(), plain.Entry.Compressible(), kept.Entry.ETag(), kept.Entry.Compressible())
			}
		}
	})
}
