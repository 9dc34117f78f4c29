package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"hearth/internal/param"
	"hearth/internal/source/engine"
)

// Which server a connection may lead to. target_session_attrs in the URL decides; without
// it, by what the configuration needs:
//
//	                   one host    several hosts
//	resources write    any         one that takes writes
//	all only read      any         any, in the order of the URL
//
// A standby lags behind, so where there is a choice loads go to the primary, too: where
// it was found last is tried first, of hosts and of the addresses of a host. With one
// host nobody can tell a primary that is read-only for an hour from one that was demoted:
// reads go on, and Seek looks once a second whether the host leads elsewhere by now.

// attrs are the values of target_session_attrs that exclude a server which takes writes.
var attrs = map[string]bool{"read-only": true, "standby": true, "prefer-standby": true}

// target is what a URL says of the servers that it leads to.
type target struct {
	hosts  []host
	chosen string // target_session_attrs, "" if the URL has none
}

// host is one of a URL, with the ways to reach it: with TLS, and without where that is
// allowed.
type host []*pgconn.FallbackConfig

func (h host) is(way *pgconn.FallbackConfig) bool {
	return h[0].Host == way.Host && h[0].Port == way.Port
}

// targetOf reads it. The driver has parsed both already.
func targetOf(address string, c *pgx.ConnConfig) (t target) {
	if u, err := url.Parse(param.FirstHost(address)); err == nil {
		t.chosen = u.Query().Get("target_session_attrs")
	}
	for _, way := range append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...) {
		if last := len(t.hosts) - 1; last >= 0 && t.hosts[last].is(way) {
			t.hosts[last] = append(t.hosts[last], way)
		} else {
			t.hosts = append(t.hosts, host{way})
		}
	}
	return t
}

// aim bounds and judges the connections that are made from here on. Several hosts share
// the time that a call has: one that is dead must leave some for the next.
func (e *server) aim(t target, timeout time.Duration) {
	c := e.config.ConnConfig
	e.target, e.judge, e.lookup = t, c.ValidateConnect, c.LookupFunc
	if each := timeout / time.Duration(len(t.hosts)+1); e.several() && c.ConnectTimeout > each {
		c.ConnectTimeout = each
	}
	c.ValidateConnect, c.LookupFunc = e.validate, e.lookUp
	e.moves = engine.NewMoves()
	e.moves.Renew = func() { e.pool.exchange() }
	e.moves.Dial = e.dialPrimary
	e.moves.Strict = e.strict
}

// several tells whether the URL names more hosts than one.
func (e *server) several() bool { return len(e.target.hosts) > 1 }

// strict tells whether connections to a server that takes no writes are of no use.
func (e *server) strict() bool { return e.target.chosen == "" && e.several() && e.writes.Load() }

// order puts the host where the primary was found last before the others.
func (e *server) order(c *pgx.ConnConfig) {
	at := int(e.primary.Load())
	if at == 0 || e.target.chosen != "" {
		return
	}
	lead(c, slices.Concat(append([]host{e.target.hosts[at]}, slices.Delete(slices.Clone(e.target.hosts), at, at+1)...)...))
}

// lead has a connection be made by these ways, in their order. It copies them: who logs
// in is put into them afterwards.
func lead(c *pgx.ConnConfig, ways []*pgconn.FallbackConfig) {
	c.Host, c.Port, c.TLSConfig, c.Fallbacks = ways[0].Host, ways[0].Port, ways[0].TLSConfig, nil
	for _, way := range ways[1:] {
		own := *way
		c.Fallbacks = append(c.Fallbacks, &own)
	}
}

// lookUp puts the address where the primary was found last before the host's others. A
// name is resolved for each connection that is made.
func (e *server) lookUp(ctx context.Context, host string) ([]string, error) {
	all, err := e.lookup(ctx, host)
	if last := e.address.Load(); err == nil && last != nil {
		slices.SortStableFunc(all, func(a, b string) int {
			switch {
			case a == *last && b != *last:
				return -1
			case b == *last && a != *last:
				return 1
			}
			return 0
		})
	}
	return all, err
}

// WantsWrites implements engine.Engine.
func (e *server) WantsWrites() error {
	if attrs[e.target.chosen] {
		return fmt.Errorf("database.url has target_session_attrs=%s, which leads to a server that takes no writes; leave the upsert and the delete out, or write read-write there", e.target.chosen)
	}
	e.writes.Store(true)
	return nil
}

// numberKey is where a connection keeps the number of Moves that it belongs to.
const numberKey = "hearth number"

// numberOf returns it.
func numberOf(conn *pgx.Conn) uint64 {
	number, _ := conn.PgConn().CustomData()[numberKey].(uint64)
	return number
}

// errTakesNoWrites is a server's that was dialled and is not the one looked for.
var errTakesNoWrites = errors.New("the server takes no writes (it is a standby, or default_transaction_read_only is on)")

// validate judges a connection that was just made. The number is that of a dial that
// may have begun before the pool was renewed: the pool itself throws such a one away
// when it comes back.
func (e *server) validate(ctx context.Context, conn *pgconn.PgConn) error {
	conn.CustomData()[numberKey] = e.moves.Number()
	switch {
	case e.judge != nil:
		return e.judge(ctx, conn)
	case !e.strict():
		return nil
	}
	if takes, err := takesWrites(ctx, conn); err != nil || takes {
		return err
	}
	return errTakesNoWrites
}

// takesWrites asks a session. On a standby its transactions are read-only, whatever they
// are set to. It goes as simple text, which every proxy passes on. A relative of
// PostgreSQL that does not know the question is none that fails over so.
func takesWrites(ctx context.Context, conn *pgconn.PgConn) (bool, error) {
	results, err := conn.Exec(ctx, "SHOW transaction_read_only").ReadAll()
	var answer *pgconn.PgError
	if errors.As(err, &answer) && answerFault(answer).Class != engine.FaultLost {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return len(results) != 1 || len(results[0].Rows) != 1 || string(results[0].Rows[0][0]) != "on", nil
}

// Ping implements engine.Engine.
func (e *server) Ping(ctx context.Context) (bool, error) {
	conn, err := e.pool.Acquire(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Release()
	takes, err := takesWrites(ctx, conn.Conn().PgConn())
	// Those who only read are as well off with a standby, if there is nothing else.
	if idle := e.rest.Load(); err == nil && !takes && e.several() && !e.writes.Load() && time.Since(time.Unix(0, idle)) > restEvery {
		e.rest.Store(time.Now().UnixNano())
		e.moves.Seek(ctx, numberOf(conn.Conn()))
	}
	return takes, err
}

// restEvery is how often a primary is looked for where nobody writes.
const restEvery = 30 * time.Second

// Lost implements engine.Engine.
func (e *server) Lost() { e.moves.Lost() }

// Seek implements engine.Engine.
func (e *server) Seek(ctx context.Context) bool { return e.moves.Seek(ctx, e.moves.Number()) }

// dialPrimary is Moves.Dial. It asks each host, and each address of it, and remembers
// where it has found the primary.
func (e *server) dialPrimary(ctx context.Context) (err error) {
	if e.target.chosen == "any" && e.several() {
		return errTakesNoWrites // the URL asks for whichever comes first
	}
	for at, h := range e.target.hosts {
		c := e.config.ConnConfig.Copy()
		lead(c, h)
		e.renew(c)
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
		var conn *pgx.Conn
		if conn, err = pgx.ConnectConfig(ctx, c); err != nil {
			continue
		}
		e.primary.Store(int32(at))
		if ip, _, err := net.SplitHostPort(conn.PgConn().Conn().RemoteAddr().String()); err == nil {
			e.address.Store(&ip)
		}
		_ = conn.Close(ctx) // which leads where it should; nothing more was asked of it
		return nil
	}
	return err
}

// readOnlyAnswers are answers of a server that takes no writes and have no code of their
// own: parts of messages, by their code.
var readOnlyAnswers = map[string][]string{
	"0A000": {"in a hot standby", "during recovery"}, // SERIALIZABLE, READ WRITE
	"55000": {"recovery is in progress"},             // locks, and functions of the log
	"XX000": {"during recovery"},                     // transaction ids
}

// takesNone tells whether an answer means that the server takes no writes.
func takesNone(answer *pgconn.PgError) bool {
	if answer.Code == "25006" {
		return true
	}
	for _, part := range readOnlyAnswers[answer.Code] {
		if strings.Contains(answer.Message, part) {
			return true
		}
	}
	return false
}
