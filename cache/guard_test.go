package cache

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestGuardsOfSeveralWriters runs the steps of up to three writers in every
// order, with a foreign DEL in between or without, against the protocol's rules.
func TestGuardsOfSeveralWriters(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		c := open(t)
		n := 0
		for _, cast := range []string{"aa", "aad", "aabb", "aabbd", "aabbcc"} {
			for _, order := range orders(cast) {
				runGuards(fixture{c, t, keyOf(t, n)}, order)
				n++
			}
		}
		if n < 90 {
			t.Errorf("%d orders were tried, want more than 90", n)
		}
	})
}

// orders returns the distinct permutations of the letters of cast.
func orders(cast string) []string {
	if cast == "" {
		return []string{""}
	}
	var all []string
	for i := range cast {
		if strings.IndexByte(cast, cast[i]) < i {
			continue // the same letter was here before
		}
		for _, rest := range orders(cast[:i] + cast[i+1:]) {
			all = append(all, cast[i:i+1]+rest)
		}
	}
	return all
}

// runGuards takes a writer's letter for its next step: guard, then unguard
// with its own name as the record. d is a foreign DEL.
func runGuards(x fixture, order string) {
	x.t.Helper()
	var guards []rune
	shared, deleted, value := false, false, ""
	begun := map[rune]bool{}
	for _, w := range order {
		record := fmt.Sprintf("%q", string(w))
		switch {
		case w == 'd':
			x.remove()
			guards, shared, deleted, value = nil, false, true, ""
		case !begun[w]:
			begun[w] = true
			x.guard(string(w))
			shared = len(guards) > 0
			guards, value = append(guards, w), ""
		default:
			mine := slices.Contains(guards, w)
			if got := x.renew(string(w)); !deleted && got != mine {
				x.t.Fatalf("order %s: renewing the guard of %c said %v, want %v", order, w, got, mine)
			}
			x.unguard(string(w), record)
			guards = slices.DeleteFunc(guards, func(g rune) bool { return g == w })
			switch {
			case len(guards) > 0:
				shared = shared || !mine
				value = ""
			case mine && !shared:
				value = record
			default:
				value = ""
			}
		}
		want := "nothing"
		if len(guards) > 0 {
			want = "guard"
		} else if value != "" {
			want = value
		}
		// A tier that keeps its guards over a DEL is stricter on the way.
		if got := x.holds(); got != want && !(deleted && got == "guard") {
			x.t.Fatalf("order %s, after %c: got %s, want %s", order, w, got, want)
		}
	}
	if len(order) > 0 && x.holds() == "guard" {
		x.t.Fatalf("order %s: a guard is left", order)
	}
}
