package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

const (
	// engineWithin is how long servers may take to come back by themselves: longer than
	// any of their own timeouts.
	engineWithin = 2 * time.Minute
	// probes is how many records are looked at: in a Cluster, some of every master.
	probes = 9
	// probeEvery is the pause between two looks at the instances, engineEvery at the
	// servers.
	probeEvery, engineEvery = 10 * time.Millisecond, 50 * time.Millisecond
)

// rounds are what has come of the faults. They belong to the owner's goroutine, but for
// the number of them.
type rounds struct {
	healed map[string][]time.Duration // by fault: from the servers' recovery to the instances'
	unwell []string                   // rounds without recovery, in words
	probed int64                      // the version that probes have reached
}

// recover waits until the servers have come back, and then until the instances are
// whole. Those that are not within the bound have failed the round, and are waited for
// no longer: the next round tells whether they ever heal.
func (h *harness) recover(ctx context.Context, fault string) error {
	var err error
	if !wait(ctx, engineWithin, engineEvery, func() bool { err = h.engine.recovered(); return err == nil }) && ctx.Err() == nil {
		return fmt.Errorf("after %q the servers themselves do not come back: %w", fault, err)
	}
	h.losing.Store(false)
	began := time.Now()
	wait(ctx, h.heal, probeEvery, func() bool { err = h.whole(); return err == nil })
	took := time.Since(began)
	if ctx.Err() != nil && err != nil {
		return nil // the run ended meanwhile: nobody can say
	}
	h.rounds.healed[fault] = append(h.rounds.healed[fault], took)
	if err != nil || took > h.heal {
		h.rounds.unwell = append(h.rounds.unwell, fmt.Sprintf("at %v: %v after the servers came back from %q: %v",
			time.Since(h.began).Round(time.Millisecond), took.Round(time.Millisecond), fault, err))
	}
	h.done.Add(1)
	return nil
}

// wait looks until a look is good, or the time is over; false: it was not.
func wait(ctx context.Context, within, every time.Duration, good func() bool) bool {
	deadline := time.Now().Add(within)
	for {
		if good() {
			return true
		}
		if time.Now().After(deadline) || !testkit.Sleep(ctx, every) {
			return false
		}
	}
}

// whole is nil when every instance does everything: it is ready, takes writes of both
// kinds, reads what was written through any, loads what the shared tier lost, and
// answers from memory without a mark.
func (h *harness) whole() error {
	h.rounds.probed++
	for i, in := range h.hearths {
		if got := in.AskAdmin(http.MethodGet, "/readyz", ""); got.Code != http.StatusOK {
			return fmt.Errorf("instance %d is not ready: %v", i+1, got)
		}
	}
	out := h.engine.outside()
	if out != nil {
		defer out.Close()
	}
	for n := range probes {
		if err := h.probe(n, out); err != nil {
			return err
		}
	}
	return nil
}

// probe writes and reads one record of each resource. Ids below 0 are nobody else's.
func (h *harness) probe(n int, out outsider) error {
	id, version := int64(-1-n), h.rounds.probed
	row, item := "/row/"+strconv.FormatInt(id, 10), "/free/"+strconv.FormatInt(id, 10)
	at := n % h.instances
	var err error
	if h.foreign && n%2 == 1 {
		out.(changer).change(id, version)
	} else {
		err = expect(h.hearths[at].Ask(http.MethodPut, row, fmt.Sprintf(`{"v":%d}`, version)), "PUT "+row, at)
	}
	if err == nil && out != nil {
		err = out.Del("row:" + strconv.FormatInt(id, 10)) // so that it has to be loaded
	}
	if err == nil {
		err = expect(h.hearths[at].Ask(http.MethodPost, "/store", fmt.Sprintf(`[{"id":%d,"v":%d}]`, id, version)), "POST /store", at)
	}
	for i := 0; i < h.instances && err == nil; i++ {
		for _, path := range []string{row, item} {
			if err = h.remembers(i, path, version); err != nil {
				break
			}
		}
	}
	return err
}

// remembers asks an instance twice: at the second time the record is in memory. Another
// look is taken while a push may be under way.
func (h *harness) remembers(instance int, path string, version int64) (err error) {
	for range 5 {
		if err = expect(h.hearths[instance].Get(path), "GET "+path, instance); err != nil {
			return err
		}
		got := h.hearths[instance].Get(path)
		if err = expect(got, "GET "+path, instance); err != nil {
			return err
		}
		if got.FromMemory() && versionOf(got.Body) == version {
			return nil
		}
		err = fmt.Errorf("GET %s on instance %d shows %v, want version %d from memory", path, instance+1, got, version)
	}
	return err
}

// versionOf is the version that the body of an answer shows, 0 for none.
func versionOf(body string) int64 {
	_, text, _ := strings.Cut(body, `"v":`)
	end := strings.IndexAny(text, ",}")
	version, err := strconv.ParseInt(text[:max(end, 0)], 10, 64)
	if err != nil {
		return 0
	}
	return version
}

// expect is nil for an answer with 200 and without a mark.
func expect(got launch.Reply, what string, instance int) error {
	if got.Err == nil && got.Code == http.StatusOK && got.Unmarked() {
		return nil
	}
	return fmt.Errorf("%s on instance %d is answered %v", what, instance+1, got)
}

// print tells how long the instances took to be whole again, by fault.
func (r *rounds) print(out io.Writer, faults []fault) {
	total := 0
	for _, all := range r.healed {
		total += len(all)
	}
	fmt.Fprintf(out, "rounds      %d, each with one fault; then the instances were whole again within (median, at most):\n", total)
	for _, f := range faults {
		all := slices.Sorted(slices.Values(r.healed[f.name]))
		if len(all) == 0 {
			fmt.Fprintf(out, "  %-44s 0\n", f.name)
			continue
		}
		fmt.Fprintf(out, "  %-44s %-4d %v, %v\n", f.name, len(all), all[len(all)/2].Round(time.Millisecond), all[len(all)-1].Round(time.Millisecond))
	}
	fmt.Fprintf(out, "without recovery %d\n", len(r.unwell))
	for _, text := range r.unwell {
		fmt.Fprintln(out, " ", text)
	}
}

var (
	errBroken = errors.New("promises were broken")
	errUnwell = errors.New("there were rounds without recovery")
)
