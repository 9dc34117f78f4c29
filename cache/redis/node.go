package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"hearth/cache/shared"
)

// linksOf returns one link per node that serves keys, and goes on with those of before.
func (t *Tier) linksOf(ctx context.Context, c *clients, before []*link) ([]*link, error) {
	if c.tracked.Mode() != rueidis.ClientModeCluster {
		if len(before) == 1 {
			return before, nil
		}
		return []*link{t.newLink("redis", canaryPrefix, nodeReader{t, c.tracked, c.plain})}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	ranges, err := c.tracked.Do(ctx, c.tracked.B().ClusterSlots().Build()).ToArray()
	if err != nil {
		return before, err
	}
	nodes := c.tracked.Nodes()
	earlier := map[string]*link{}
	for _, l := range before {
		earlier[l.name] = l
	}
	var links []*link
	listed := map[string]bool{}
	for i := range ranges { // a node may serve several
		addr, first, last, err := slotRange(ranges[i])
		if err != nil {
			return before, err
		}
		node := nodes[addr]
		switch {
		case listed[addr]:
			continue
		case node == nil:
			return before, fmt.Errorf("cluster node %q is not connected yet", addr)
		case earlier[addr] != nil:
			earlier[addr].via = nodeReader{t, node, c.plain}
			links = append(links, earlier[addr])
		default:
			prefix := canaryPrefix + "{" + t.slotTag(first, last) + "}:"
			links = append(links, t.newLink(addr, prefix, nodeReader{t, node, c.plain}))
		}
		listed[addr] = true
	}
	return links, nil
}

func (t *Tier) newLink(name, prefix string, via canaryCarrier) *link {
	return &link{store: t.store, reads: t.reads, timeout: t.cfg.LinkTimeout, via: via, name: name, prefix: prefix, key: prefix + shared.NewToken()}
}

// slotRange reads one element of CLUSTER SLOTS: first, last, master, ….
func slotRange(m rueidis.RedisMessage) (addr string, first, last uint16, err error) {
	parts, err := m.ToArray()
	if err != nil || len(parts) < 3 {
		return "", 0, 0, errors.New("reading CLUSTER SLOTS: unexpected answer")
	}
	from, err1 := parts[0].AsInt64()
	to, err2 := parts[1].AsInt64()
	node, err3 := parts[2].ToArray()
	if err := errors.Join(err1, err2, err3); err != nil || len(node) < 2 {
		return "", 0, 0, errors.New("reading CLUSTER SLOTS: unexpected answer")
	}
	host, err1 := node[0].ToString()
	port, err2 := node[1].AsInt64()
	return net.JoinHostPort(host, strconv.FormatInt(port, 10)), uint16(from), uint16(to), errors.Join(err1, err2)
}

// nodeReader implements canaryCarrier for one node: it reads on the tracked connection
// to that node.
type nodeReader struct {
	tier           *Tier
	tracked, plain rueidis.Client
}

func (n nodeReader) readTracked(ctx context.Context, key string) error {
	_, err := contentOf(n.tracked.DoCache(ctx, n.tracked.B().Get().Key(key).Cache(), n.tier.cfg.Revalidate), 0)
	return err
}

func (n nodeReader) writeCanary(ctx context.Context, key string) error {
	return n.plain.Do(ctx, n.plain.B().Set().Key(key).Value("0").Ex(time.Minute).Build()).Error()
}

// slotTag returns text whose hash slot lies in [first, last], so that a key
// with it in braces lives on the node that serves those slots.
func (t *Tier) slotTag(first, last uint16) string {
	for i := 0; ; i++ {
		tag := strconv.Itoa(i)
		if slot := t.Slot(tag); slot >= first && slot <= last {
			return tag
		}
	}
}
