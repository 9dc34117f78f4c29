package redis

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Validate finds what New would refuse. It connects to nothing.
func (c Config) Validate() error {
	_, err := (&Tier{cfg: c, timeout: time.Second}).options(nil)
	return err
}

// Probe connects to Redis as the shared tier would, for a moment, and says
// what would keep it from being one: nobody answers, it refuses the account, it is
// too old, it lets nobody track what he reads.
func Probe(ctx context.Context, c Config) error {
	const patience = 3 * time.Second // twice, to connect and to ask
	o, err := (&Tier{cfg: c, timeout: patience}).options(nil)
	if err != nil {
		return err
	}
	o.Dialer.Timeout = patience
	client, err := dial(o)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer client.Close()
	if err := supported(ctx, client, patience); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = client.Do(ctx, client.B().Arbitrary("CLIENT", "TRACKING", "OFF").Build()).Error()
	if reply := answered(err); reply != "" {
		return errors.New("memory would be nearly useless without CLIENT TRACKING: " + reply)
	}
	return err
}
