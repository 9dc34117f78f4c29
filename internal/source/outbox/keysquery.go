package outbox

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"hearth/internal/param"
	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

const (
	// keysWithin is how long one question may take where the caller has no deadline
	// that ends sooner.
	keysWithin = 10 * time.Second
	// mostKeys bounds what one changed row may concern: beyond it removing all records
	// of the resource costs less.
	mostKeys = 100_000
)

// ErrManyKeys says that a changed row concerns so many records that all may be meant.
var ErrManyKeys = errors.New("a change of one row concerns more than 100000 records")

// Keys asks which records a changed row concerns: the values of a meaning's parameters, in
// their order, as texts that param.Param.Parse takes, for each record. What is NULL names
// no record and is left out. Values of the row are bound, so none can change what is asked.
//
// It is asked after the change was committed, of the data as they are by then. Whatever
// the query reads is watched, too: a row that has moved since has a change of its own in
// the outbox.
func (o *Outbox) Keys(ctx context.Context, m Meaning, row map[string]json.RawMessage) ([][]string, error) {
	within := keysWithin
	if end, ok := ctx.Deadline(); ok {
		// It ends before the caller's time does: whoever waits in vain can say so then, and
		// need not ask the same slow question for ever.
		within = min(within, time.Until(end)*3/4)
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	q, err := keysQuery(o.engine.Dialect(), m.Keys, row)
	if err != nil {
		return nil, fmt.Errorf("reading the keys of resource %q: %w", m.Resource, err)
	}
	res, err := o.engine.Query(ctx, q)
	// Once more where that may help: somebody has altered a table, or the connection is
	// one of before a fail-over.
	if err != nil && ctx.Err() == nil {
		if q.Remedy = o.engine.Fault(err).Remedy; q.Remedy != engine.RemedyNone {
			res, err = o.engine.Query(ctx, q)
		}
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("asking for the keys of resource %q: %w", m.Resource, err)
	case len(res.Rows) > mostKeys:
		return nil, fmt.Errorf("asking for the keys of resource %q: %w", m.Resource, ErrManyKeys)
	case len(res.Names) != len(m.Params):
		return nil, fmt.Errorf("asking for the keys of resource %q: the query returns %d columns, and the path has %d parameters", m.Resource, len(res.Names), len(m.Params))
	}
	var all [][]string
	for _, cells := range res.Rows {
		if texts := keyTexts(cells, m.Params); texts != nil {
			all = append(all, texts)
		}
	}
	return all, nil
}

// keysQuery puts the values of a row into a query.
func keysQuery(d sqltext.Dialect, text string, row map[string]json.RawMessage) (q engine.Query, err error) {
	s, err := sqltext.ParseRow(d, text)
	if err != nil {
		return q, err
	}
	values := make([]any, len(s.Fields))
	for i, f := range s.Fields {
		cell, ok := row[f.Path[0]]
		if !ok {
			return q, fmt.Errorf("the row has no column %q; run: hearth feed install -apply", f.Path[0])
		}
		if values[i], err = bindCell(d, cell); err != nil {
			return q, fmt.Errorf("column %q: %w", f.Path[0], err)
		}
	}
	q = engine.QueryOf(s, nil, values)
	q.Most = mostKeys + 1
	return q, nil
}

// bindCell turns a value of the outbox into a bind value. PostgreSQL reads all of them as
// text, as the type that it has found for the parameter. The others compare numbers with
// numbers.
func bindCell(d sqltext.Dialect, cell json.RawMessage) (any, error) {
	var text string
	switch {
	case len(cell) == 0 || string(cell) == "null":
		return nil, nil
	case cell[0] == '"':
		err := json.Unmarshal(cell, &text)
		return text, err
	case cell[0] == '{' && isGone(cell):
		return nil, errors.New("the table has it no more")
	case cell[0] == '{':
		if data, ok := bytesOf(cell); ok {
			return data, nil
		}
	case d == sqltext.PostgreSQL:
		return string(cell), nil
	case string(cell) == "true":
		return int64(1), nil
	case string(cell) == "false":
		return int64(0), nil
	}
	if n, err := strconv.ParseInt(string(cell), 10, 64); err == nil {
		return n, nil
	}
	if n, err := strconv.ParseFloat(string(cell), 64); err == nil && d == sqltext.SQLite {
		return n, nil
	}
	return string(cell), nil
}

// isGone tells the mark of a column that its table has no more.
func isGone(cell json.RawMessage) bool {
	var mark map[string]bool
	return json.Unmarshal(cell, &mark) == nil && len(mark) == 1 && mark["gone"]
}

// bytesOf reads a value that SQLite's triggers tell as {"bytes": "00FF"}.
func bytesOf(cell json.RawMessage) ([]byte, bool) {
	var told struct {
		Bytes *string `json:"bytes"`
	}
	if len(cell) == 0 || cell[0] != '{' || json.Unmarshal(cell, &told) != nil || told.Bytes == nil {
		return nil, false
	}
	data, err := hex.DecodeString(*told.Bytes)
	return data, err == nil
}

// BytesText is a captured value of bytes as a path names it: sixteen are a uuid, and what
// is no text is in hexadecimal digits. ok is false for any other value.
func BytesText(cell json.RawMessage) (text string, ok bool) {
	data, ok := bytesOf(cell)
	switch {
	case !ok:
		return "", false
	case len(data) == 16:
		return uuidText(base64.StdEncoding.EncodeToString(data)), true
	case utf8.Valid(data):
		return string(data), true
	}
	return hex.EncodeToString(data), true
}

// ValueText is a captured value as a path names it; "" for null.
func ValueText(cell json.RawMessage) string {
	if text, ok := BytesText(cell); ok {
		return text
	}
	return textOf(bytes.TrimSpace(cell))
}

// keyTexts are the values of parameters in a row of the answer; nil if one of them is NULL.
func keyTexts(cells [][]byte, params []Param) []string {
	texts := make([]string, len(cells))
	for i, cell := range cells {
		if string(cell) == "null" {
			return nil
		}
		texts[i] = textOf(cell)
		if params[i].Type == string(param.UUID) {
			texts[i] = uuidText(texts[i])
		}
	}
	return texts
}

// uuidText is a uuid that is kept in 16 bytes as its text; any other text stays as it is.
func uuidText(text string) string {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(data) != 16 {
		return text
	}
	digits := hex.EncodeToString(data)
	return digits[:8] + "-" + digits[8:12] + "-" + digits[12:16] + "-" + digits[16:20] + "-" + digits[20:]
}
