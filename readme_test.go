package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"hearth/internal/testkit"
)

// TestReadme types what README.md says to type, in its order and against a server that
// has just been started, and holds what is printed against the page.
func TestReadme(t *testing.T) {
	t.Parallel()
	testkit.Need(t, "curl", []string{"curl"})
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	manual, err := os.ReadFile("config.toml")
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(t))
	launch(t, string(manual), "HEARTH_SERVER_LISTEN="+address).awaitReady()
	// What differs each time: the day, and how much of a lifetime is left.
	varying := regexp.MustCompile(`(?m)^Date: .*$|ttl=\d+`)
	plain := func(text string) string {
		return strings.TrimSpace(varying.ReplaceAllString(strings.ReplaceAll(text, "\r\n", "\n"), "…"))
	}
	played := 0
	for _, block := range regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		for _, part := range strings.Split("\n"+block[1], "\n$ ") {
			command, want, _ := strings.Cut(part, "\n")
			if !strings.HasPrefix(command, "curl ") {
				continue // nothing, or a target of make
			}
			played++
			command = strings.Replace(strings.ReplaceAll(command, "127.0.0.1:8080", address), "curl ", "curl -s ", 1)
			got, err := exec.Command("sh", "-c", command).Output()
			if err != nil || plain(string(got)) != plain(want) {
				t.Errorf("%s\nprints (%v)\n%s\nREADME.md has\n%s", command, err, got, want)
			}
		}
	}
	if played < 8 {
		t.Errorf("README.md has %d commands to play", played)
	}
}
