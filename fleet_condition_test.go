package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"hearth/internal/testkit"
)

// askIf is ask with a condition, one field.
func (in *instance) askIf(method, path, body, field, value string) <-chan reply {
	said := make(chan reply, 1)
	go func() {
		req, err := http.NewRequest(method, "http://public"+path, strings.NewReader(body))
		if err != nil {
			said <- reply{err: err}
			return
		}
		req.Host = "localhost"
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set(field, value)
		resp, err := in.http.Do(req)
		if err != nil {
			said <- reply{err: err}
			return
		}
		said <- reply{code: resp.StatusCode, err: resp.Body.Close()}
	}()
	return said
}

// TestTwoWritersWhoBothReadFirst: on two instances two clients read one record,
// and each writes over what it has read. One change is stored, the other refused,
// and everybody reads the one.
func TestTwoWritersWhoBothReadFirst(t *testing.T) {
	t.Parallel()
	f := newFleet(t, brisk, testkit.Postgres(t))
	all := f.start(2)
	for round := range 10 {
		id := round + 1
		f.store(id, "old")
		var writes [2]<-chan reply
		var tags [2]string
		for i, in := range all {
			got := in.get(pathOf(id))
			if tags[i] = got.header.Get("ETag"); !got.tells(id, "old") || tags[i] == "" {
				t.Fatalf("instance %d answers %v", i, got)
			}
		}
		if tags[0] != tags[1] {
			t.Errorf("one record has the validators %s and %s", tags[0], tags[1])
		}
		for i, in := range all {
			writes[i] = in.askIf(http.MethodPut, pathOf(id), nameOf(fmt.Sprintf("new %d", i)), "If-Record-Match", tags[i])
		}
		first, second := <-writes[0], <-writes[1]
		name := "new 0"
		if first.code != http.StatusOK {
			first, second, name = second, first, "new 1"
		}
		if first.code != http.StatusOK || second.code != http.StatusPreconditionFailed {
			t.Errorf("round %d: the two answers are %v and %v, want 200 and 412", round, first, second)
			continue
		}
		if n := f.count("SELECT count(*) FROM users WHERE id = $1 AND name = $2", id, name); n != 1 {
			t.Errorf("round %d: the database does not have %q", round, name)
		}
		testkit.Eventually(t, patience, "both instances tell of the change", func() bool {
			return all[0].get(pathOf(id)).tells(id, name) && all[1].get(pathOf(id)).tells(id, name)
		})
	}
}
