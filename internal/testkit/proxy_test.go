package testkit_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"hearth/internal/testkit"
)

func get(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestProxyChain(t *testing.T) {
	t.Parallel()
	web, edge := testkit.FreePort(t), testkit.FreePort(t)
	nginx := testkit.Nginx(t, fmt.Sprintf(`
events {}
http {
	access_log off;
	server {
		listen 127.0.0.1:%d;
		location = /text { return 200 "from nginx"; }
		include more.conf;
	}
}
`, web), testkit.File{Name: "more.conf", Text: `location = /more { return 200 "more"; }`})
	if got := get(t, fmt.Sprintf("http://127.0.0.1:%d/text", web)); got != "from nginx" {
		t.Errorf("nginx answers %q", got)
	}
	if got := get(t, fmt.Sprintf("http://127.0.0.1:%d/more", web)); got != "more" {
		t.Errorf("nginx answers %q from the file beside its configuration", got)
	}
	haproxy := testkit.HAProxy(t, fmt.Sprintf(`
defaults
	mode http
	timeout connect 5s
	timeout client 5s
	timeout server 5s
frontend edge
	bind 127.0.0.1:%d
	default_backend web
backend web
	server one 127.0.0.1:%d
`, edge, web))
	if got := get(t, fmt.Sprintf("http://127.0.0.1:%d/text", edge)); got != "from nginx" {
		t.Errorf("through HAProxy: %q", got)
	}
	nginx.Stop()
	haproxy.Stop()
	for _, port := range []int{web, edge} {
		if testkit.Listening(fmt.Sprint(port)) {
			t.Errorf("something still listens on port %d", port)
		}
	}
}
