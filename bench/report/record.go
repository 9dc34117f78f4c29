package report

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Environment is what the figures of a run depend on. It is part of its record, whose
// names its fields are.
type Environment struct {
	Date    string
	Command string
	Hearth  string
	CPU     string
	Kernel  string
	Go      string

	at time.Time
}

// EnvironmentOf asks the machine, and the binary that is measured.
func EnvironmentOf(ctx context.Context, command, hearth string) Environment {
	at := time.Now().UTC()
	return Environment{
		Date: at.Format(time.RFC3339), Command: command, Hearth: FirstLine(ctx, hearth, "version"),
		CPU: fmt.Sprintf("%d × %s", runtime.NumCPU(), cpuModel()), Kernel: FirstLine(ctx, "uname", "-r"), Go: runtime.Version(), at: at,
	}
}

// String is the environment in one line of a report.
func (e Environment) String() string {
	return fmt.Sprintf("%s, `%s`, %s, %s, Linux %s, %s", e.Date, e.Command, e.Hearth, e.CPU, e.Kernel, e.Go)
}

// Record leaves what a run has found in dir, as DATE-NAME.json.
func (e Environment) Record(dir, name string, found any) error {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "\t")
	if err := encoder.Encode(found); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, e.at.Format("2006-01-02-1504")+"-"+name+".json"), b.Bytes(), 0o644)
}

// Publish leaves a table and a plot in dir for people, in place of those of before, as
// NAME.md and NAME.svg.
func Publish(dir, name, table, plot string) error {
	if err := os.WriteFile(filepath.Join(dir, name+".svg"), []byte(plot), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".md"), []byte(table), 0o644)
}

// FirstLine is the first line that a program prints, "" when it fails.
func FirstLine(ctx context.Context, name string, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

func cpuModel() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	_, model, found := strings.Cut(string(info), "model name")
	if !found {
		return runtime.GOARCH
	}
	line, _, _ := strings.Cut(model, "\n")
	return strings.Trim(line, "\t :")
}
