package source

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"regexp"
	"slices"
	"strings"
)

// stdProber prepares statements on a connection.
type stdProber struct {
	engine     *stdEngine
	conn       *sql.Conn
	rehearsing bool
	made       []string // what init creates, where it cannot be undone and so is not run
	close      func()
}

func (e *stdEngine) prober(ctx context.Context, r *rehearsal) (prober, error) {
	if r == nil {
		conn, err := e.reads.Conn(ctx)
		if err != nil {
			return nil, err
		}
		return &stdProber{engine: e, conn: conn}, nil
	}
	pool, done, err := e.flavour.rehearsalPool(e)
	if err != nil {
		return nil, err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		done()
		return nil, err
	}
	p := &stdProber{engine: e, conn: conn, rehearsing: true, close: done}
	if err := e.flavour.rehearse(ctx, p, r); err != nil {
		p.end()
		return nil, err
	}
	return p, nil
}

func (p *stdProber) end() {
	if p.rehearsing {
		ctx, cancel := context.WithTimeout(context.Background(), rollbackTimeout)
		defer cancel()
		_, _ = p.conn.ExecContext(ctx, "ROLLBACK")
		_ = p.conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	_ = p.conn.Close()
	if p.close != nil {
		p.close()
	}
}

// prepare leaves nothing behind. What cannot be prepared at all says nothing.
func (p *stdProber) prepare(ctx context.Context, text string) error {
	stmt, err := p.conn.PrepareContext(ctx, text)
	if err == nil {
		return stmt.Close()
	}
	return err
}

func (p *stdProber) probe(ctx context.Context, q query, reads bool) ([]string, error) {
	if err := p.prepare(ctx, q.sql); err != nil {
		if p.engine.flavour.unprepared(err) || p.unmade(err) {
			return nil, nil
		}
		return nil, err
	}
	if !reads {
		return nil, nil
	}
	names, err := describe(ctx, p.conn, q)
	switch {
	case err != nil && strings.Contains(err.Error(), "uplicate column"):
		return nil, err
	case err != nil:
		return nil, nil // it is no query that can stand within another one
	}
	for _, name := range names { // SQLite numbers what stands twice
		if plain, _, numbered := strings.Cut(name, ":"); numbered && slices.Contains(names, plain) {
			return nil, nil
		}
	}
	return names, nil
}

// unmade tells whether what is missing is what init would make.
func (p *stdProber) unmade(err error) bool {
	return slices.ContainsFunc(p.made, func(name string) bool { return strings.Contains(strings.ToLower(err.Error()), strings.ToLower(name)) })
}

var creates = regexp.MustCompile("(?i)\\b(?:CREATE|ALTER|RENAME)\\b[^;(]*?\\b(?:TABLE|VIEW|PROCEDURE|FUNCTION)\\s+(?:IF\\s+NOT\\s+EXISTS\\s+)?[`\"\\[]?(\\w+)")

// rehearseMySQL runs nothing, for MySQL commits at every change of a table: it
// prepares, and remembers what would be made.
func rehearseMySQL(ctx context.Context, p *stdProber, r *rehearsal) error {
	if r.writes {
		var readOnly bool
		if err := p.conn.QueryRowContext(ctx, "SELECT @@global.read_only").Scan(&readOnly); err != nil {
			return err
		}
		if readOnly {
			r.report("url", errors.New("the database takes no writes (read_only is on), and some resources write; name the primary"))
		}
	}
	for i, text := range r.init {
		if err := p.prepare(ctx, text); err != nil && !p.engine.flavour.unprepared(err) && !p.unmade(err) {
			if mysqlFault(err).kind == faultLost {
				return err
			}
			r.report(initKey(i), err)
		}
		for _, found := range creates.FindAllStringSubmatch(text, -1) {
			p.made = append(p.made, found[1])
		}
	}
	if r.demo {
		p.made = append(p.made, demoTable)
	}
	return nil
}
