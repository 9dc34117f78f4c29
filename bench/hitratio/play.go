package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// options say what is played.
type options struct {
	universe, requests int
	sizes              []int // percent of the data
	traces             []maker
	policies           []contender
	record             string
}

// contender is a policy of the table.
type contender struct {
	name, about string
	make        func(capacity, keys int) policy
}

// contenders are in the order of the table.
var contenders = []contender{
	{"lru", "LRU", newLRU},
	{"fifo", "FIFO", newFIFO(0)},
	{"clock", "CLOCK", newFIFO(1)},
	{"s3fifo", "S3-FIFO", newS3FIFO},
	{"wtinylfu", "W-TinyLFU", newWTinyLFU},
	{"hearth", "simulated", newHearth},
	{"store", "Hearth", newStore},
}

// choose keeps what is named in lists that are separated by commas.
func (o *options) choose(sizes, traces, policies string) error {
	if o.universe < 1000 || o.requests < o.universe {
		return fmt.Errorf("%d keys and %d requests: at least 1000 keys are needed, and as many requests as keys", o.universe, o.requests)
	}
	for _, s := range strings.Split(sizes, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 100 {
			return fmt.Errorf("size %q is no percentage: -sizes takes some of 1 to 100", s)
		}
		o.sizes = append(o.sizes, n)
	}
	var err error
	if o.traces, err = pick("-traces", traces, makers, func(m maker) string { return m.name }); err != nil {
		return err
	}
	if policies != "all" && !slices.Contains(strings.Split(policies, ","), "lru") {
		policies = "lru," + policies
	}
	o.policies, err = pick("-policies", policies, contenders, func(c contender) string { return c.name })
	return err
}

// pick returns those of all that a list names.
func pick[T any](option, list string, all []T, name func(T) string) ([]T, error) {
	if list == "all" {
		return all, nil
	}
	var picked []T
	for _, want := range strings.Split(list, ",") {
		i := slices.IndexFunc(all, func(one T) bool { return name(one) == want })
		if i < 0 {
			var names []string
			for _, one := range all {
				names = append(names, name(one))
			}
			return nil, fmt.Errorf("%q is none of those that %s takes: %s", want, option, strings.Join(names, ", "))
		}
		picked = append(picked, all[i])
	}
	return picked, nil
}

// result is what was played.
type result struct {
	*options
	rows []row
}

// row is a trace at one size of memory.
type row struct {
	maker
	percent int
	ratios  []float64 // by policy
	best    float64   // the optimum's
	fixed   float64   // the best fixed set's
}

func (o *options) play() *result {
	r := &result{options: o}
	for _, percent := range o.sizes {
		for _, m := range o.traces {
			t := m.trace(o.universe, o.requests)
			capacity := o.universe * percent / 100
			one := row{maker: m, percent: percent, best: optimum(t, capacity), fixed: fixedSet(t, capacity)}
			for _, c := range o.policies {
				one.ratios = append(one.ratios, hitRatio(t, c.make(capacity, t.keys())))
			}
			r.rows = append(r.rows, one)
		}
	}
	return r
}

// hitRatio is the share of requests that a policy answers from memory, which is empty at
// the beginning.
func hitRatio(t *trace, p policy) float64 {
	hits := 0
	for _, key := range t.requests {
		if p.request(key) {
			hits++
		}
	}
	return float64(hits) / float64(len(t.requests))
}
