package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"hearth/bench/load"
	"hearth/internal/testkit"
	"hearth/internal/testkit/outside"
)

// truth is what the database has, by key, as the public listener and Redis answer it.
type truth map[string]string

// pathOf is the path of a key.
func pathOf(key string) string {
	resource, rest, _ := strings.Cut(key, ":")
	return "/" + resource + "/" + rest[strings.LastIndexByte(rest, ':')+1:]
}

// truth asks the database for all rows and groups.
func (f *fleet) truth(rows int) truth {
	f.Helper()
	all := truth{}
	groups := map[string][]string{}
	for id := range rows {
		for _, resource := range f.byRow() {
			all[resource+strconv.Itoa(id)] = "null"
		}
		groups[strconv.Itoa(id/groupSize)] = nil
	}
	for _, row := range f.ground.exec(f.trial, "SELECT id, grp, v FROM numbers ORDER BY id;") {
		record := fmt.Sprintf(`{"id":%s,"v":%s}`, row[0], row[2])
		for _, resource := range f.byRow() {
			all[resource+row[0]] = record
		}
		groups[row[1]] = append(groups[row[1]], record)
	}
	for name, members := range groups {
		all["group:"+name] = "[" + strings.Join(members, ",") + "]"
	}
	return all
}

// byRow are the beginnings of keys whose records are rows.
func (f *fleet) byRow() []string { return append([]string{"row:"}, f.more...) }

// keys are those of the truth, in order.
func (all truth) keys() []string {
	var keys []string
	for key := range all {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// difference is an answer or a copy that is not what the database has.
type difference struct {
	where, key, got, want string
	marked                bool
}

func (d difference) String() string {
	return fmt.Sprintf("%s has %s as %.200s, the database has %.200s", d.where, d.key, d.got, d.want)
}

// slow is an answer that took its time.
type slow struct {
	took     time.Duration
	instance int
	key      string
}

func (s slow) String() string {
	return fmt.Sprintf("instance %d for %s, %v", s.instance+1, s.key, s.took.Round(time.Millisecond))
}

// reach is how Redis is asked past all instances; nil: there is none.
type reach func() *outside.Client

// one asks one server.
func one(server *testkit.RedisServer) reach {
	if server == nil {
		return nil
	}
	return func() *outside.Client { return outside.One(server) }
}

// differences asks every instance for everything, and Redis, if there is one.
func (f *fleet) differences(all truth, copies reach) (wrong []difference) {
	f.Helper()
	keys := all.keys()
	for i := range f.ins {
		wrong = append(wrong, f.inMemory(i, all, keys)...)
	}
	if copies != nil {
		wrong = append(wrong, f.inRedis(copies, all, keys)...)
	}
	return wrong
}

// inMemory asks one instance. nil: nothing is wrong.
func (f *fleet) inMemory(i int, all truth, keys []string) (wrong []difference) {
	f.Helper()
	conn := load.NewConn(f.ins[i].Public, load.AnswerWithin)
	defer conn.Close()
	where := fmt.Sprintf("instance %d", i+1)
	for some := range slices.Chunk(keys, 64) {
		for _, key := range some {
			conn.Queue(http.MethodGet, pathOf(key), "")
		}
		if err := conn.Flush(); err != nil {
			f.Fatal(err)
		}
		for _, key := range some {
			began := time.Now()
			if err := conn.Next(); err != nil {
				f.Fatal(err)
			}
			if took := time.Since(began); took > f.slowest.took {
				f.slowest = slow{took, i, key}
			}
			got := "null"
			switch code := conn.Answer.StatusCode(); code {
			case http.StatusNotFound:
			case http.StatusOK:
				got = recordIn(conn.Answer.Body())
			default:
				got = "status " + strconv.Itoa(code)
			}
			marked := load.TierOf(conn.Status()) == load.Marked
			if all != nil && (got != all[key] || marked) {
				wrong = append(wrong, difference{where, key, fmt.Sprintf("%.150s (%s)", got, conn.Status()), all[key], marked})
			}
		}
	}
	return wrong
}

// recordIn is the record of an answer {"name":record,"source":"…"}.
func recordIn(body []byte) string {
	var answer map[string]json.RawMessage
	if err := json.Unmarshal(body, &answer); err != nil {
		return string(body)
	}
	for name, record := range answer {
		if name != "source" {
			return string(record)
		}
	}
	return string(body)
}

// inRedis looks at every copy. What is not there is nobody's answer, and a lease or a
// guard is no copy.
func (f *fleet) inRedis(copies reach, all truth, keys []string) (wrong []difference) {
	f.Helper()
	client := copies()
	defer client.Close()
	for _, key := range keys {
		v, err := client.Do(key, "GET", key)
		if err != nil {
			f.Fatalf("asking Redis for %s: %v", key, err)
		}
		copied, _ := v.(string)
		if copied == "" || strings.HasPrefix(copied, "lease:") || strings.HasPrefix(copied, "guard") {
			continue
		}
		if copied != all[key] {
			wrong = append(wrong, difference{"Redis", key, copied, all[key], false})
		}
	}
	return wrong
}

// settled waits until everything everywhere is what the database has, for so long, and
// notes the bound that it is. Nobody may be writing.
func (f *fleet) settled(what string, rows int, copies reach, within time.Duration) {
	f.Helper()
	all := f.truth(rows)
	var wrong []difference
	took, good := f.await(within, func() bool { wrong = f.differences(all, copies); return len(wrong) == 0 })
	if good && took <= within {
		f.Bound(true, "%s: of %d keys all answers of %d instances and all copies are what the database has, after %v", what, len(all), len(f.ins), took.Round(time.Millisecond))
		return
	}
	if good {
		f.Bound(false, "%s: everything is what the database has, but only after %v, not within %v; the answer that took longest was that of %s", what, took.Round(time.Millisecond), within, f.slowest)
		return
	}
	f.Bound(false, "%s: after %v %d of %d keys on %d instances differ, such as: %v", what, took.Round(time.Millisecond), len(wrong), len(all), len(f.ins), wrong[0])
}
