package mysql

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"

	"hearth/internal/source/engine"
)

// TestDriversLogThroughOurs: what a driver prints has to be a line of the log, and
// a server that cuts a hundred connections must not fill it.
func TestDriversLogThroughOurs(t *testing.T) {
	var out bytes.Buffer
	c, err := driverConfig(engine.Config{URL: "mysql://u:secret@h/d", Log: slog.New(slog.NewJSONHandler(&out, nil))})
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		c.Logger.Print("packets.go:58 ", "unexpected EOF")
	}
	var line struct{ Level, Msg, Driver, Says string }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Level != "WARN" || line.Driver != "mysql" || line.Says != "packets.go:58 unexpected EOF" {
		t.Errorf("got %q, %v, want one line", out.String(), err)
	}
	c, err = driverConfig(engine.Config{URL: "mysql://u:secret@h/d"})
	if err != nil {
		t.Fatal(err)
	}
	if _, ours := c.Logger.(*driverLog); !ours {
		t.Errorf("without a log the driver prints by %T", c.Logger)
	}
}
