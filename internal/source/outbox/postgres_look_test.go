package outbox_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"hearth/internal/source/outbox"
	"hearth/internal/testkit"
)

// TestPostgresLooks has transactions begin, write, commit and roll back in any order. Each
// look from the beginning finds exactly what is there, also rows that commit long after
// later ones, and rows that were read and not handled.
func TestPostgresLooks(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	o := open(t, db.URL())
	db.Exec(`CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY, n int)`)
	install(t, o, outbox.Options{}, userSet("id"))
	steps, seed := 400, uint64(1)
	if testkit.Long() {
		steps, seed = 20_000, rand.Uint64()
	}
	random := rand.New(rand.NewPCG(seed, 0))
	truth, err := pgx.Connect(t.Context(), db.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { truth.Close(t.Context()) })
	var sessions [6]func(string, ...any)
	for i := range sessions {
		sessions[i] = session(t, db.URL())
	}
	var within [6]bool // a transaction
	found := 0
	for step := range steps {
		i := random.IntN(len(sessions))
		run := sessions[i]
		switch random.IntN(7) {
		case 0:
			if !within[i] {
				run("BEGIN")
				within[i] = true
			}
			run("SELECT txid_current()") // it may write much later
		case 1, 2:
			if !within[i] && random.IntN(2) == 0 {
				run("BEGIN")
				within[i] = true
			}
			run("INSERT INTO users (n) VALUES (1)")
		case 3:
			if within[i] && random.IntN(3) == 0 { // so that some stay for long
				run([]string{"COMMIT", "COMMIT", "ROLLBACK"}[random.IntN(3)])
				within[i] = false
			}
		default:
			most := 1 + random.IntN(4)
			rows, err := o.Read(t.Context(), 0, most)
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, r := range rows {
				got = append(got, r.ID)
			}
			answer, err := truth.Query(t.Context(), fmt.Sprintf("SELECT id FROM hearth.feed ORDER BY id LIMIT %d", most))
			if err != nil {
				t.Fatal(err)
			}
			want, err := pgx.CollectRows(answer, pgx.RowTo[int64])
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d, step %d: a look finds %v, and %v are there", seed, step, got, want)
			}
			found += len(got)
			if n := random.IntN(len(got) + 1); random.IntN(4) > 0 {
				if err := o.Done(t.Context(), got[n:]); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if found < steps/20 {
		t.Errorf("%d rows were found in %d steps", found, steps)
	}
}
