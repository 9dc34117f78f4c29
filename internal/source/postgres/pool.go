package postgres

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pool is a pool of connections that can be exchanged for a new one. pgxpool can only be
// reset, and then connections in use keep their places until they are closed in good
// order: of a server that is frozen, or cut off without a word, each asks for a cancel
// and waits 15 s for its end. A pool that is full of them would make no connection to the
// server that has taken over.
type pool struct {
	config *pgxpool.Config
	now    atomic.Pointer[filled]

	mu      sync.Mutex // held to exchange
	closed  bool
	closing sync.WaitGroup // goroutines that close former pools
}

// filled is one pool. gone ends when another one has taken its place.
type filled struct {
	*pgxpool.Pool
	gone context.Context
	end  context.CancelFunc
}

// openPool connects to nothing yet.
func openPool(config *pgxpool.Config) (*pool, error) {
	p := &pool{config: config}
	first, err := p.fill()
	if err != nil {
		return nil, err
	}
	p.now.Store(first)
	return p, nil
}

func (p *pool) fill() (*filled, error) {
	made, err := pgxpool.NewWithConfig(context.Background(), p.config)
	if err != nil {
		return nil, err
	}
	f := &filled{Pool: made}
	f.gone, f.end = context.WithCancel(context.Background())
	return f, nil
}

// Acquire waits for a connection no longer in a pool that was exchanged meanwhile.
func (p *pool) Acquire(ctx context.Context) (*pgxpool.Conn, error) {
	for {
		f := p.now.Load()
		waiting, cancel := context.WithCancel(ctx)
		stop := context.AfterFunc(f.gone, cancel)
		conn, err := f.Pool.Acquire(waiting)
		stop()
		cancel()
		if err == nil || ctx.Err() != nil || f.gone.Err() == nil || p.now.Load() == f {
			return conn, err
		}
	}
}

// QueryRow asks on any connection.
func (p *pool) QueryRow(ctx context.Context, text string, args ...any) pgx.Row {
	conn, err := p.Acquire(ctx)
	if err != nil {
		return failedRow{err}
	}
	return lastRow{conn.QueryRow(ctx, text, args...), conn}
}

// failedRow is the answer to a question that could not be asked.
type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return r.err }

// lastRow gives the connection back when it was read.
type lastRow struct {
	pgx.Row
	conn *pgxpool.Conn
}

func (r lastRow) Scan(to ...any) error {
	defer r.conn.Release()
	return r.Row.Scan(to...)
}

// exchange puts a new pool in the place of the present one, whose idle connections end
// now and the others when they are given back.
func (p *pool) exchange() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.now.Load().Stat().TotalConns() == 0 { // what it makes next is new in any case
		return
	}
	next, err := p.fill()
	if err != nil { // the configuration has been taken before
		panic("BUG: a pool of PostgreSQL that cannot be made twice: " + err.Error())
	}
	former := p.now.Swap(next)
	former.end()
	p.closing.Go(former.Pool.Close)
}

// Close waits until all connections have been given back.
func (p *pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	f := p.now.Load()
	f.Pool.Close()
	f.end()
	p.closing.Wait()
}
