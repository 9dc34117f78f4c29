package command

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"hearth/internal/config"
	"hearth/internal/operator"
)

// probeTimeout is the default of -timeout: shorter than what usual health checks have.
const probeTimeout = 2 * time.Second

// probe is what the flags of the verb say.
type probe struct {
	live, ready bool
	address     string
	timeout     time.Duration
}

func probeVerb() verb {
	return verb{
		name:    "probe",
		summary: "exit with 0 if a running server is healthy, with 1 if not",
		about: `
Asks the running server for ` + "`/healthz`" + `, as a load balancer does, and exits with 0 if the
answer is 200, and with 1 if it is another one or there is none. For health checks of
containers, which have no other program. It says nothing when all is well; otherwise standard
error has the reason.

The configuration says where the server listens. TCP, TLS, the PROXY protocol and Unix sockets
are spoken; a certificate is not looked at, for it is this machine that is asked. Where clients
need certificates (server.tls.client_ca), or sockets are passed by systemd, take ` + "`-live`, `-ready`" + `
or ` + "`-address`" + `.`,
		examples: []example{
			{"hearth probe", "healthy: neither starting nor draining"},
			{"hearth probe -ready", "also every tier is up"},
		},
		begin: func(flags *flag.FlagSet) run {
			var o probe
			flags.BoolVar(&o.live, "live", false, "ask the admin listener for /livez: the process answers")
			flags.BoolVar(&o.ready, "ready", false, "ask the admin listener for /readyz: every tier is up, and the server does not drain")
			flags.StringVar(&o.address, "address", "", "the `ADDRESS` to be asked, HOST:PORT or unix:PATH, instead of the one of the configuration")
			flags.DurationVar(&o.timeout, "timeout", probeTimeout, "how long an answer may take: a `DURATION` such as 500ms")
			return func(p Process, path string, _ []string) error { return p.probe(path, o) }
		},
	}
}

// probe asks once. What of the configuration does not concern the address may be faulty: the
// server that runs has begun with an earlier one.
func (p Process) probe(path string, o probe) error {
	if o.live && o.ready {
		return p.refuse(probeVerb(), nil, "-live and -ready exclude each other")
	}
	if o.timeout <= 0 {
		return p.refuse(probeVerb(), nil, "invalid value %q for flag -timeout: write more than 0s", o.timeout.String())
	}
	ask := operator.Probe{Address: o.address, From: "-address", Path: "/healthz"}
	cfg, faults := config.Inspect(path, p.Env)
	switch {
	case cfg == nil && o.address == "":
		return config.NewFaults(faults)
	case cfg == nil:
		cfg = &config.Config{}
	}
	listen, from := cfg.Server.Listen, p.setBy("server.listen", path)
	switch {
	case o.live:
		ask.Path = "/livez"
	case o.ready:
		ask.Path = "/readyz"
	default:
		ask.TLS = cfg.Server.TLS.Cert != ""
		ask.Proxied = proxied(cfg.Server)
	}
	if o.live || o.ready {
		listen, from = cfg.Server.Admin, p.setBy("server.admin", path)
	}
	if o.address == "" {
		ask.Address, ask.From = listen, from
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), o.timeout, fmt.Errorf("no answer within %v", o.timeout))
	defer cancel()
	err := ask.Ask(ctx)
	if err != nil && ask.TLS && cfg.Server.TLS.ClientCA != "" {
		err = fmt.Errorf("%w; server.tls.client_ca asks for a certificate, which a probe has not: take -live or -ready", err)
	}
	return err
}

// proxied tells of whom the public listener expects the header of the PROXY protocol.
func proxied(s config.Server) func(netip.Addr) bool {
	return func(peer netip.Addr) bool {
		return s.ProxyProtocol && (len(s.TrustedProxies) == 0 || !peer.IsValid() ||
			slices.ContainsFunc(s.TrustedProxies, func(n netip.Prefix) bool { return n.Contains(peer) }))
	}
}
