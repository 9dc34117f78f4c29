package operator

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Post asks the listener to do what a path stands for, with JSON as the body, and returns
// the answer's body and whether it is done: otherwise it goes on. Errors are those of Get.
func (c *Client) Post(ctx context.Context, path, body string) (answer []byte, done bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.Timeout, errSilent)
	defer cancel()
	u := c.base
	u.Path = path
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(body))
	if err != nil {
		return nil, false, fmt.Errorf("asking %s for %q: %w", c.cfg.Address, path, err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.send(req)
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = resp.Body.Close() }()
	if answer, err = io.ReadAll(io.LimitReader(resp.Body, maxProblem)); err != nil {
		return nil, false, c.unreachable(ctx, err)
	}
	return answer, resp.StatusCode == http.StatusOK, nil
}
