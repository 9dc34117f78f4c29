package main

import (
	"path/filepath"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// embedded is no Redis at all: one instance, which has the shared tier in a file. What
// it has acknowledged, the next process in its place has to know.
type embedded struct{ *harness }

func (e *embedded) start(h *harness) setup {
	e.harness = h
	return setup{instances: 1, tables: tablesOf("sqlite:" + filepath.Join(testkit.TempDir(h.tb, "chaos"), "rows.db"))}
}

func (e *embedded) faults() []fault {
	return []fault{
		{"hearth stopped and started", e.restartInstance(0, (*launch.Instance).Stop)},
		{"hearth killed and started", e.restartInstance(0, (*launch.Instance).Kill)},
		{"hearth frozen", e.freezeInstance(0)},
	}
}

func (e *embedded) recovered() error { return nil }

func (e *embedded) outside() outsider { return nil }
