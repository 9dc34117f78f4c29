package process

import (
	"context"
	"errors"
	"net"
	"time"

	"hearth/bench/resp"
)

// redisWithin is how long Redis may take for all that is asked on one connection.
const redisWithin = time.Minute

// Redis is a redis-server that keeps nothing on disk. Do may be called by anybody at
// the same time.
type Redis struct {
	*Process
	Addr string // host:port
}

// StartRedis starts one on a free port, on one processor or AnyCPU, and waits until
// it answers. dir is where it runs and logs.
func StartRedis(ctx context.Context, dir string, cpu int) (*Redis, error) {
	path, err := Find("redis-server", "redis-server")
	if err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	p, err := Start(Command{
		Name: "redis", Dir: dir, Logs: dir, CPU: cpu,
		Argv: []string{path, "--port", port, "--bind", host, "--save", "", "--appendonly", "no", "--dir", dir},
	})
	if err != nil {
		return nil, err
	}
	r := &Redis{p, addr}
	err = r.Await(ctx, func() error {
		_, err := r.Do("PING")
		return err
	})
	if err != nil {
		return nil, errors.Join(err, r.Kill())
	}
	return r, nil
}

// Dial connects to it.
func (r *Redis) Dial() (*resp.Conn, error) { return resp.Dial(r.Addr, redisWithin) }

// Do sends one command on a connection of its own.
func (r *Redis) Do(args ...string) (string, error) {
	c, err := r.Dial()
	if err != nil {
		return "", err
	}
	defer c.Close()
	return c.Do(args...)
}
