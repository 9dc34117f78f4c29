package main

import (
	"fmt"
	"strings"

	"hearth/bench/report"
)

// table is the result in Markdown.
func (r *result) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Share of %d requests for %d records of the same size that is answered from memory, which is empty at the beginning.\n", r.requests, r.universe)
	for _, percent := range r.sizes {
		fmt.Fprintf(&b, "\nMemory: %d %% of the data\n\n| trace |", percent)
		for _, c := range r.policies {
			fmt.Fprintf(&b, " %s |", c.about)
		}
		b.WriteString(" fixed set | optimum |\n|---|")
		b.WriteString(strings.Repeat("---:|", len(r.policies)+2) + "\n")
		for _, one := range r.rows {
			if one.percent != percent {
				continue
			}
			fmt.Fprintf(&b, "| %s |", one.about)
			for _, ratio := range one.ratios {
				fmt.Fprintf(&b, " %.3f |", ratio)
			}
			fmt.Fprintf(&b, " %.3f | %.3f |\n", one.fixed, one.best)
		}
	}
	return b.String()
}

// write leaves the table and the plot behind.
func (r *result) write(dir string) error {
	return report.Publish(dir, "hitratio", r.table(), r.plot())
}

// plot draws a line for each trace and size.
func (r *result) plot() string {
	p := report.Shares{Label: "Hit ratios of policies on traces", Title: "Share of requests that is answered from memory", Bold: "Hearth"}
	for _, c := range r.policies {
		p.Series = append(p.Series, c.about)
	}
	p.Series = append(p.Series, "optimum")
	for _, percent := range r.sizes {
		group := report.ShareGroup{Title: fmt.Sprintf("Memory: %d %% of the data", percent)}
		for _, one := range r.rows {
			if one.percent == percent {
				group.Rows = append(group.Rows, report.ShareRow{Label: one.name, Shares: append(append([]float64(nil), one.ratios...), one.best)})
			}
		}
		p.Groups = append(p.Groups, group)
	}
	return p.SVG()
}
