package handlers

import (
	"bytes"
	"fmt"
	"testing"

	"hearth/internal/param"
)

// benchItems is the body of a batch of 100, as bench/compare sends it.
func benchItems() []byte {
	var body bytes.Buffer
	for i := range 100 {
		fmt.Fprintf(&body, `,{"id":%d,"name":"item number %d","price":%d.50,"tags":["a","b"]}`, 100+i, 100+i, i)
	}
	body.WriteByte(']')
	body.Bytes()[0] = '['
	return body.Bytes()
}

func BenchmarkItems(b *testing.B) {
	body, id := benchItems(), param.Param{Name: "id", Type: param.String}
	key := param.NewKey([]param.Part{{Literal: "item:"}, {Param: "id"}}, []param.Param{id})
	b.ReportAllocs()
	for b.Loop() {
		batch := batchBodies.Get().(*batchBody)
		batch.body, batch.param, batch.key, batch.limit = body, id, key, 10_000
		if err := batch.read(false); err != nil || len(batch.items) != 100 {
			b.Fatal(err)
		}
		batch.release()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(100*b.N), "ns/item")
}
