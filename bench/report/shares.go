package report

import (
	"fmt"
	"html"
	"strings"
)

// Shares is a plot of shares of a whole: a line per row, with a dot for each series.
type Shares struct {
	Label, Title string
	Series       []string // at most as many as shareMarks
	Bold         string   // the series that the plot is about
	Groups       []ShareGroup
}

// ShareGroup is the rows under one heading.
type ShareGroup struct {
	Title string
	Rows  []ShareRow
}

// ShareRow has one share per series, 0 to 1.
type ShareRow struct {
	Label  string
	Shares []float64
}

// Measures of the plot, in pixels.
const (
	sharesLeft  = 130 // labels end here, the axis begins
	sharesWidth = 940
	sharesRight = 24
	sharesTop   = 76
	sharesRow   = 24
	sharesHead  = 40 // a group's heading
	legendWidth = 108
)

// shareMarks are the colours of the series, by order, so that no two that are next to each
// other look alike, in the light and in the dark theme.
var shareMarks = []string{"#94a3b8", "#c2410c", "#a16207", "#7c3aed", "#2563eb", "#0f766e", "#db2777", "#16a34a"}

const sharesStyle = `
  text { font: 13px system-ui, sans-serif; fill: #334155; }
  .title { font-size: 16px; font-weight: 600; fill: #0f172a; } .head { font-weight: 600; }
  .grid { stroke: #e2e8f0; } .range { stroke: #cbd5e1; stroke-width: 2; }
  @media (prefers-color-scheme: dark) {
    text { fill: #cbd5e1; } .title { fill: #f8fafc; } .grid { stroke: #334155; } .range { stroke: #475569; }
  }`

// SVG draws the plot.
func (s Shares) SVG() string {
	height := sharesTop + 24
	for _, g := range s.Groups {
		height += sharesHead + sharesRow*len(g.Rows)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">`, sharesWidth, height, html.EscapeString(s.Label))
	fmt.Fprintf(&b, "\n<style>%s\n</style>\n", sharesStyle)
	fmt.Fprintf(&b, `<text class="title" x="16" y="26">%s</text>`+"\n", html.EscapeString(s.Title))
	for i, name := range s.Series {
		x := 24 + legendWidth*i
		b.WriteString(s.mark(i, float64(x), 48))
		fmt.Fprintf(&b, `<text x="%d" y="52">%s</text>`+"\n", x+12, html.EscapeString(name))
	}
	for tenth := range 11 {
		x := shareX(float64(tenth) / 10)
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/><text x="%.1f" y="%d" text-anchor="middle">%.1f</text>`+"\n",
			x, x, sharesTop, height-24, x, height-8, float64(tenth)/10)
	}
	y := sharesTop
	for _, g := range s.Groups {
		y += sharesHead
		fmt.Fprintf(&b, `<text class="head" x="16" y="%d">%s</text>`+"\n", y-14, html.EscapeString(g.Title))
		for _, row := range g.Rows {
			s.row(&b, row, y+4)
			y += sharesRow
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// row draws one line, and on it the series that the plot is about last.
func (s Shares) row(b *strings.Builder, row ShareRow, y int) {
	fmt.Fprintf(b, `<text x="16" y="%d">%s</text>`, y+4, html.EscapeString(row.Label))
	least, most, bold := 1.0, 0.0, -1
	for _, share := range row.Shares {
		least, most = min(least, share), max(most, share)
	}
	fmt.Fprintf(b, `<line class="range" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, shareX(least), shareX(most), y, y)
	for i, share := range row.Shares {
		if s.Series[i] == s.Bold {
			bold = i
			continue
		}
		b.WriteString(s.mark(i, shareX(share), y))
	}
	if bold >= 0 {
		b.WriteString(s.mark(bold, shareX(row.Shares[bold]), y))
	}
	b.WriteByte('\n')
}

func (s Shares) mark(series int, x float64, y int) string {
	radius := 4.0
	if s.Series[series] == s.Bold {
		radius = 6.5
	}
	return fmt.Sprintf(`<circle cx="%.1f" cy="%d" r="%.1f" fill="%s"/>`, x, y, radius, shareMarks[series%len(shareMarks)])
}

func shareX(share float64) float64 {
	return sharesLeft + min(max(share, 0), 1)*(sharesWidth-sharesLeft-sharesRight)
}
