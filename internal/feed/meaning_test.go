package feed

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/source/outbox"
)

// TestKeysOfARow: by which keys the records of a row go that the outbox shows so.
func TestKeysOfARow(t *testing.T) {
	t.Parallel()
	made, err := newTemplate(outbox.Meaning{Resource: "r", Key: "r:{code}:{n}", Params: []outbox.Param{
		{Name: "n", Type: "int", Column: "n"}, {Name: "code", Type: "string", Column: "c"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	f := func(row string, want ...string) {
		t.Helper()
		var cells map[string]json.RawMessage
		if err := json.Unmarshal([]byte(row), &cells); err != nil {
			t.Fatal(err)
		}
		got, err := made.keysOf(t.Context(), nil, cells)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v, -want +got:\n%s", row, err, diff)
		}
	}
	f(`{"n": 7, "c": "a b"}`, "r:a%20b:7")
	f(`{"n": 7.00, "c": "a"}`, "r:a:7")
	f(`{"n": "007", "c": 5}`, "r:5:7")
	f(`{"n": 7, "c": "ab  "}`, "r:ab%20%20:7", "r:ab:7") // a char(4)
	f(`{"n": 7, "c": "  "}`, "r:%20%20:7")
	f(`{"n": 7, "c": null}`)
	f(`{"n": null, "c": "a"}`)
	f(`{"n": "x", "c": "a"}`) // which no path can name
	f(`{"n": 7, "c": "a\u0000"}`)
}
