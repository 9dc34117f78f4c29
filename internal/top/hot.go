package top

import (
	"cmp"
	"slices"
	"strings"

	"hearth/internal/timeline"
)

// Orders are by what hot keys can be listed, as /api/hot has them.
var Orders = []string{"reads", "bytes", "misses", "loads"}

// by is what an order looks at.
func by(order string) func(timeline.Hot) float64 {
	switch order {
	case "bytes":
		return func(h timeline.Hot) float64 { return h.Bytes }
	case "misses":
		return func(h timeline.Hot) float64 { return h.Misses }
	case "loads":
		return func(h timeline.Hot) float64 { return h.Loads }
	}
	return func(h timeline.Hot) float64 { return h.Reads }
}

// chosen are the keys that a filter leaves, in an order.
func chosen(all []timeline.Hot, order, filter string) (keys []timeline.Hot) {
	filter = strings.ToLower(filter)
	for _, h := range all {
		if strings.Contains(strings.ToLower(h.Key), filter) || strings.Contains(strings.ToLower(h.Resource), filter) {
			keys = append(keys, h)
		}
	}
	of := by(order)
	slices.SortStableFunc(keys, func(a, b timeline.Hot) int {
		return cmp.Or(cmp.Compare(of(b), of(a)), cmp.Compare(a.Key, b.Key))
	})
	return keys
}

// column is one of the list of hot keys.
type column struct {
	order string // "": nothing is listed by it
	name  string
	width int
	text  func(timeline.Hot) string
}

var hotColumns = []column{
	{"", "RESOURCE", 10, func(h timeline.Hot) string { return h.Resource }},
	{"reads", "READS/s", 9, func(h timeline.Hot) string { return short(h.Reads) }},
	{"bytes", "BYTES/s", 10, func(h timeline.Hot) string { return bytesOf(h.Bytes) }},
	{"misses", "MISS/s", 9, func(h timeline.Hot) string { return short(h.Misses) }},
	{"loads", "LOAD/s", 9, func(h timeline.Hot) string { return short(h.Loads) }},
	{"", "LIFE", 8, func(h timeline.Hot) string {
		if h.TTL < 0 {
			return "no copy"
		}
		return span(h.TTL)
	}},
}

// leastKey is how wide a key is at least: other columns are given up for it, but never the one
// that keys are listed by.
const leastKey = 20

// mostKey is how wide it is at most: what stands beside it should be seen to belong to it.
const mostKey = 72

// columnsFor are those that have room, and how wide keys are.
func columnsFor(width int, order string) (columns []column, key int) {
	columns = slices.Clone(hotColumns)
	if width >= 120 { // then names of resources have room, too
		columns[0].width = 20
	}
	for _, dispensable := range []string{"RESOURCE", "BYTES/s", "LOAD/s", "MISS/s", "LIFE", "READS/s"} {
		key = width
		for _, c := range columns {
			key -= c.width
		}
		if key >= leastKey {
			break
		}
		columns = slices.DeleteFunc(columns, func(c column) bool { return c.name == dispensable && c.order != order })
	}
	key = width
	for _, c := range columns {
		key -= c.width
	}
	return columns, max(1, min(key, mostKey))
}

// hotLines are the head of the list and its keys.
func (a alphabet) hotLines(keys []timeline.Hot, columns []column, key int, order, title string) (lines []line) {
	top := a.fit(a.clean(title), key)
	for _, c := range columns {
		name := c.name
		if c.order == order {
			name = a.clean("↓") + name
		}
		top += c.cell(a, name)
	}
	lines = append(lines, line{{head, top}})
	for _, h := range keys {
		row := line{{plain, a.fit(a.clean(h.Key), key)}}
		for _, c := range columns {
			m := plain
			if c.order == order {
				m = strong
			}
			row = append(row, part{m, c.cell(a, a.clean(c.text(h)))})
		}
		lines = append(lines, row)
	}
	return lines
}

// cell is a clean text of a column, with a blank before it. Names stand left, numbers right.
func (c column) cell(a alphabet, text string) string {
	if c.name == "RESOURCE" {
		return " " + a.fit(text, c.width-1)
	}
	return " " + a.right(text, c.width-1)
}
