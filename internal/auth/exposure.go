package auth

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// RefuseOpenWrites is the start-up rule: a server that takes writes and listens
// beyond this machine must have tokens, unless auth.open_writes says that this
// is meant. Listen is server.listen; tokens says that some token is configured;
// hasWrites, that some route changes anything. A name other than localhost
// counts as beyond, since what it resolves to may change.
func RefuseOpenWrites(listen string, tokens, openWrites, hasWrites bool) error {
	if !hasWrites || tokens || openWrites || Loopback(listen) {
		return nil
	}
	return fmt.Errorf("refusing to take writes from everybody on %q: "+
		"configure an [[auth.token]] with the scope \"write\", set auth.open_writes = true if that is meant, "+
		"or set server.listen to a loopback address", listen)
}

// Loopback reports that only this machine can reach a listener at addr
// ("host:port" or "unix:/path").
func Loopback(addr string) bool {
	if strings.HasPrefix(addr, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
