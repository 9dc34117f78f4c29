package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hearth/internal/config"
	"hearth/internal/source/database"
	"strings"
	"time"

	"github.com/goccy/go-json"
)

// provenance is what the copies under one key template are made from. It is kept in
// the shared tier beside them, for nothing in a copy says it, and a restart may bring
// another database or another statement. Hashes: a reader of Redis need not know
// where the database is.
type provenance struct {
	Database  string `json:"database"`
	Statement string `json:"statement"`
}

// provenanceOf is empty for what has no source.
func provenanceOf(cfg *config.Config, r config.Resource) (p provenance) {
	if r.Select != "" {
		p.Database = digest(database.Identity(cfg.Database.URL.Reveal()))
	}
	if r.HasSource() {
		p.Statement = digest(r.Select + "\x00" + r.Origin.Text + "\x00" + r.Rows)
	}
	return p
}

// digest is short enough to keep and long enough to tell two texts apart.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:12])
}

// differs says in which way copies were made otherwise, "" if they were not.
func (p provenance) differs(was provenance) string {
	var parts []string
	if was.Database != "" && was.Database != p.Database {
		parts = append(parts, "from another database (or the same one at another address)")
	}
	if was.Statement != "" && was.Statement != p.Statement {
		parts = append(parts, "by another select, origin or rows")
	}
	return strings.Join(parts, " and ")
}

// noteProvenance compares what the copies in the shared tier are made from with what
// g makes them from, warns where that differs, and notes it. It returns false if the
// shared tier has to be asked again.
func (a *App) noteProvenance(g *generation) bool {
	if a.cache.Up() != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(a.stopped, time.Second)
	defer cancel()
	// Once for each key: resources with one key are refused.
	for _, r := range g.resources {
		now := provenanceOf(g.cfg, r.Resource)
		if now == (provenance{}) {
			continue
		}
		text, err := json.Marshal(now)
		if err != nil {
			panic("BUG: two strings that do not marshal: " + err.Error())
		}
		var was provenance
		// Note puts the new text in place of the old one and returns that.
		before, err := a.cache.Note(ctx, "hearth:source:"+r.Key.Text, text)
		if err != nil {
			a.log.Debug("noting what copies are made from", "error", err)
			return false
		}
		if err := json.Unmarshal(before, &was); err != nil {
			continue // nothing yet, or somebody else's
		}
		if how := now.differs(was); how != "" {
			a.log.Warn(fmt.Sprintf("copies under the key %q in the shared tier were made %s: unless they are still true, delete them or change the key (user:v2:…); they live for up to ttl.cold",
				r.Key.Text, how), "resource", r.Name, "ttl.cold", r.TTL.Cold)
		}
	}
	return true
}
