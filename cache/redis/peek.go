package redis

import (
	"context"
	"errors"
	"time"

	"github.com/redis/rueidis"
)

// Peek reads the text of one key for a program that is no part of the fleet: it opens no
// tier, tracks nothing and leaves no connection behind. left is how long the key will
// stand, 0 where it has no expiry; found is false where there is no such key.
func Peek(ctx context.Context, c Config, key string) (text string, left time.Duration, found bool, err error) {
	o, addrs, err := c.servers(ctx)
	if err != nil {
		return "", 0, false, err
	}
	ask := false
	for hops := 0; len(addrs) > 0 && hops < maxHops; hops++ {
		addr := addrs[0]
		var failed error
		text, left, found, failed = peekAt(ctx, o, addr, key, ask)
		if failed == nil {
			return text, left, found, nil
		}
		next, asked, moved := redirection(failed, addr)
		if addrs, ask = addrs[1:], asked; moved {
			addrs = append([]string{next}, addrs...)
			continue
		}
		err = errors.Join(err, failed)
	}
	if err == nil {
		err = errors.New("the nodes of the Cluster do not agree on who has the key")
	}
	return "", 0, false, err
}

// peekAt reads it from one server.
func peekAt(ctx context.Context, o rueidis.ClientOption, addr, key string, ask bool) (text string, left time.Duration, found bool, err error) {
	client, _, err := dialOnce(o, addr)
	if err != nil {
		return "", 0, false, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if ask {
		client = asking{client}
	}
	answers := client.DoMulti(ctx, client.B().Get().Key(key).Build(), client.B().Pttl().Key(key).Build())
	if text, err = answers[0].ToString(); rueidis.IsRedisNil(err) {
		return "", 0, false, nil
	} else if err != nil {
		return "", 0, false, err
	}
	ms, err := answers[1].AsInt64()
	return text, time.Duration(max(0, ms)) * time.Millisecond, true, err
}
