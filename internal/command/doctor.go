package command

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hearth/internal/app"
	"hearth/internal/config"
	"hearth/internal/doctor"
)

func doctorVerb() verb {
	return verb{
		name:    "doctor",
		summary: "look at all around the server, and say what to change",
		about: `
Looks at what a server runs in, by the tables of docs/operations.md, and says of each thing
what was found, what to change and why: the configuration and its statements, Redis (version,
rights, eviction, tracking table, buffers, clock, replicas), the database (role, rights, lag,
connections, clock, the change feed), descriptors and the kernel's settings, the running
server if there is one, and balancers whose files are named, or that are where Debian puts
them. It changes nothing; for a second a key of its own is in Redis.

Exits with 1 if there is a fault: what is served would be wrong, refused or lost with it. A
warning costs speed, or safety under load or failure, and exits with 0.`,
		examples: []example{
			{"hearth doctor -config /etc/hearth/config.toml", "before the first request, and after any change around"},
			{"hearth doctor -balancer /etc/nginx/conf.d/hearth.conf -json", "for programs"},
		},
		begin: func(flags *flag.FlagSet) run {
			var a doctorArguments
			a.register(flags)
			flags.BoolVar(&a.json, "json", false, "all findings as JSON")
			flags.BoolVar(&a.all, "all", false, "show what is well, too")
			flags.Func("balancer", "a `FILE...` of HAProxy or nginx", func(file string) error {
				if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
					return errors.New("there is no such file")
				}
				a.balancers = append(a.balancers, file)
				return nil
			})
			return func(p Process, path string, _ []string) error { return p.doctor(path, a) }
		},
	}
}

type doctorArguments struct {
	operatorFlags
	json, all bool
	balancers []string
}

// usualBalancers are looked at where none is named.
var usualBalancers = []string{"/etc/haproxy/haproxy.cfg"}

// doctor prints the findings, the worst first.
func (p Process) doctor(path string, a doctorArguments) error {
	cfg, faults := config.Inspect(path, p.Env)
	if cfg == nil {
		return config.NewFaults(faults)
	}
	s := app.Surroundings{Balancers: a.balancers}
	if len(s.Balancers) == 0 {
		for _, file := range usualBalancers {
			if text, err := os.ReadFile(file); err == nil && bytes.Contains(text, []byte("hearth")) {
				s.Balancers = append(s.Balancers, file)
			}
		}
	}
	var own unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &own) == nil {
		s.Descriptors = own.Max // what a process may raise its own limit to, as Go does
	}
	found, most := p.doctorServer(path, a.operatorFlags)
	if most > 0 {
		s.Descriptors = most
	}
	found = append(found, app.Doctor(context.Background(), cfg, faults, s)...)
	found.Sort()
	if a.json {
		text, err := json.MarshalIndent(found, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(p.Stdout, "%s\n", text)
	} else {
		writeFindings(p.Stdout, found, a.all)
	}
	if found.Worst() == doctor.Fault {
		return errTold
	}
	return nil
}

// doctorServer asks the running server how it is, and how many descriptors it may have; 0 if that
// is not known. That there is none is no fault: it may not have been started yet.
func (p Process) doctorServer(path string, o operatorFlags) (f doctor.Findings, descriptors uint64) {
	const about = "the running server"
	client, err := p.operator(path, o, 3*time.Second)
	if err != nil {
		return doctor.Findings{{Level: doctor.Unknown, About: about, Found: err.Error(), Change: "name it with -admin"}}, 0
	}
	defer client.Close()
	metrics, err := client.Get(context.Background(), "/metrics", nil)
	if err != nil {
		return doctor.Findings{{Level: doctor.Unknown, About: about, Found: err.Error(), Change: "start it, or name it with -admin"}}, 0
	}
	numbers := map[string]float64{}
	lines := bufio.NewScanner(bytes.NewReader(metrics))
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), " "); ok && name[0] != '#' {
			numbers[name], _ = strconv.ParseFloat(value, 64)
		}
	}
	ready := doctor.Finding{Level: doctor.OK, About: about, Setting: "/readyz", Found: "ready"}
	if numbers["hearth_ready"] != 1 {
		ready = doctor.Finding{Level: doctor.Fault, About: about, Setting: "/readyz", Found: "not ready", Change: "read what /readyz says", Page: "operations.md#an-instance-is-not-ready"}
	}
	f = append(f, ready)
	if stale := numbers["hearth_canaries_lost_total"]; stale > 0 {
		f = append(f, doctor.Finding{Level: doctor.Warning, About: about, Setting: "hearth_canaries_lost_total", Found: fmt.Sprint(stale), Change: "find what stands between it and Redis", Page: "operations.md#a-canary-was-lost"})
	}
	return f, uint64(numbers["process_max_fds"])
}

// writeFindings prints a line for what is well, and a paragraph for what is not.
func writeFindings(out io.Writer, all doctor.Findings, well bool) {
	counts, pages := map[doctor.Level]int{}, false
	for _, x := range all {
		counts[x.Level]++
		text := x.About
		if x.Setting != "" {
			text += ", " + x.Setting
		}
		if x.Found != "" {
			text += ": " + x.Found
		}
		if x.Level == doctor.OK && !well {
			continue
		}
		fmt.Fprintf(out, "%-8s %s\n", x.Level, text)
		if x.Change != "" {
			fmt.Fprintf(out, "         → %s\n", x.Change)
		}
		if x.Why != "" {
			fmt.Fprintf(out, "           because %s\n", x.Why)
		}
		if x.Page != "" && x.Level != doctor.OK {
			fmt.Fprintf(out, "           docs/%s\n", x.Page)
			pages = true
		}
	}
	if pages {
		fmt.Fprintln(out, "docs/ is at /manual of the running server's admin listener, too")
	}
	fmt.Fprintf(out, "faults: %d, warnings: %d, unknown: %d, well: %d\n", counts[doctor.Fault], counts[doctor.Warning], counts[doctor.Unknown], counts[doctor.OK])
}
