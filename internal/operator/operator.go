// Package operator asks a running server's admin listener, over TCP or its Unix socket, as
// an operator's terminal does.
//
// It knows the listener's answers and no inner package: what a terminal can show, a script
// with curl can get, too. Every error says what to do about it, for it is read by somebody
// who looks at a server because something is wrong.
package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"
)

const (
	// usualTimeout bounds one question where Config has no other bound.
	usualTimeout = 10 * time.Second
	// maxAnswer bounds what is read of one answer. A day of history has a few megabytes.
	maxAnswer = 64 << 20
	// maxProblem bounds what is read of a refusal.
	maxProblem = 64 << 10
)

// Config says how a listener is reached.
type Config struct {
	// Address is as server.admin has it, HOST:PORT or unix:PATH; and the URL of one behind
	// a proxy, http:// or https://. A host that stands for all interfaces is this machine.
	Address string
	// From is where the address is from, for errors: "server.admin of config.toml".
	From string
	// Token is sent with every question; "" for none.
	Token string
	// TokenFrom is where it is from; without one, why there is none and what to do about it.
	TokenFrom string
	// Timeout bounds one question, and each silence of a stream; 0: 10 s.
	Timeout time.Duration
}

// Client asks one admin listener. It is safe for concurrent use.
type Client struct {
	cfg   Config
	base  url.URL
	http  *http.Client
	pause func(context.Context, time.Duration) bool // between tries to follow a stream; a test's own
}

// New makes a Client. It connects to nobody; the error is about the address or the token.
func New(c Config) (*Client, error) {
	t, err := parseTarget(c.Address)
	if err != nil {
		return nil, fmt.Errorf("the address %q (%s) %w", c.Address, c.from(), err)
	}
	for i := range len(c.Token) {
		if c.Token[i] <= ' ' || c.Token[i] > '~' {
			return nil, fmt.Errorf("the token (%s) has characters that no token has; write nothing but the token, in visible ASCII", c.TokenFrom)
		}
	}
	if c.Timeout <= 0 {
		c.Timeout = usualTimeout
	}
	return &Client{cfg: c, base: t.base, pause: sleep, http: &http.Client{
		Transport: &http.Transport{
			// No proxy of the environment: a token is for this listener alone.
			DialContext: t.dial, MaxIdleConns: 2, IdleConnTimeout: time.Minute, DisableCompression: true,
			TLSHandshakeTimeout: c.Timeout, MaxResponseHeaderBytes: 64 << 10,
		},
		// A redirect would carry the token elsewhere. The listener has none.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Address is where the listener is, as the Config has it.
func (c *Client) Address() string { return c.cfg.Address }

// Close gives back idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Get asks for a path below the listener's root and returns the answer's body. An answer
// that is no success is a *Refusal, and no answer an *Unreachable.
func (c *Client) Get(ctx context.Context, path string, query url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.Timeout, errSilent)
	defer cancel()
	resp, err := c.ask(ctx, path, query, "application/json")
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, c.unreachable(ctx, err)
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("asking %s for %s: the answer is longer than 64MiB; is that a Hearth's admin listener?", c.cfg.Address, path)
	}
	return body, nil
}

// ask sends a question. The caller closes the body of the answer, which is a success.
func (c *Client) ask(ctx context.Context, path string, query url.Values, accept string) (*http.Response, error) {
	u := c.base
	u.Path, u.RawQuery = path, query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("asking %s for %q: %w", c.cfg.Address, path, err)
	}
	req.Header.Set("Accept", accept)
	return c.send(req)
}

// send sends a request with the token. The caller closes the body of the answer, which is
// 200 or 202.
func (c *Client) send(req *http.Request) (*http.Response, error) {
	if c.cfg.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(req.Context(), err)
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusAccepted {
		defer func() { _ = resp.Body.Close() }()
		return nil, c.refusal(req.URL.Path, resp)
	}
	return resp, nil
}

// Refusal is an answer that is none of those that were asked for.
type Refusal struct {
	Status int
	Detail string   // the listener's own words; "" if it had none
	Faults []string // the problem's, if it lists some
	text   string
}

func (r *Refusal) Error() string { return r.text }

// refusal makes sense of an answer that is no success.
func (c *Client) refusal(path string, resp *http.Response) *Refusal {
	r := &Refusal{Status: resp.StatusCode}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	ours := media == "application/problem+json"
	if ours {
		var problem struct {
			Detail string
			Faults []string
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
		if err == nil && json.Unmarshal(body, &problem) == nil {
			r.Detail, r.Faults = problem.Detail, problem.Faults
		}
	}
	what := r.Detail
	if what == "" {
		what = "without a word why"
	}
	r.text = fmt.Sprintf("asking %s for %s: %d %s: %s", c.cfg.Address, path, r.Status, http.StatusText(r.Status), Printable(what))
	if advice := c.advice(r.Status, ours); advice != "" {
		r.text += "; " + advice
	}
	return r
}

// advice is what to do about a status, "" where the listener's own words say it.
func (c *Client) advice(status int, ours bool) string {
	switch {
	case !ours:
		return fmt.Sprintf("this is not how a Hearth's admin listener answers: is %s right?", c.cfg.from())
	case status == http.StatusUnauthorized && c.cfg.Token == "":
		if c.cfg.TokenFrom != "" {
			return c.cfg.TokenFrom
		}
		return `name a file that holds a token with the scope "admin": -token-file FILE`
	case status == http.StatusUnauthorized:
		return fmt.Sprintf("the token is from %s: is it the one of the server that runs there?", c.cfg.TokenFrom)
	case status == http.StatusForbidden && c.cfg.Token != "":
		return fmt.Sprintf(`the token is from %s: its scopes have to hold "admin"`, c.cfg.TokenFrom)
	case status == http.StatusNotFound:
		return fmt.Sprintf("is %s that of the admin listener? If it is, the server may be older than this program", c.cfg.from())
	case status == http.StatusMisdirectedRequest:
		return "or ask by an IP address"
	}
	return ""
}

// errSilent is the cause of the end of a question that nobody answered in time.
var errSilent = errors.New("no answer")

func (c Config) from() string {
	if c.From == "" {
		return "the address"
	}
	return c.From
}
