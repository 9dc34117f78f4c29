package report

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Measures of the plot, in pixels.
const (
	plotLeft   = 640 // labels end here, the axis begins
	plotWidth  = 1120
	plotTop    = 64
	plotRow    = 34
	plotMargin = 70 // right of the axis, for the figures
)

// Ends of the axis, which is logarithmic: half as much and twice as much are
// equally far from the same.
const (
	plotLeast = 0.02
	plotMost  = 2.0
)

// plotStyle follows the reader's light or dark theme.
const plotStyle = `
  text { font: 13px system-ui, sans-serif; fill: #334155; }
  .title { font-size: 16px; font-weight: 600; fill: #0f172a; }
  .grid { stroke: #e2e8f0; } .same { stroke: #64748b; stroke-dasharray: 4 3; }
  .met { stroke: #0f766e; fill: #0f766e; } .missed { stroke: #c2410c; fill: #c2410c; }
  .bound { stroke: #0f172a; stroke-width: 2; }
  @media (prefers-color-scheme: dark) {
    text { fill: #cbd5e1; } .title { fill: #f8fafc; } .grid { stroke: #334155; } .same { stroke: #94a3b8; }
    .met { stroke: #2dd4bf; fill: #2dd4bf; } .missed { stroke: #fb923c; fill: #fb923c; } .bound { stroke: #f8fafc; }
  }`

// Bar is one row of a plot.
type Bar struct {
	Label  string
	Spread Spread  // of a ratio
	Bound  float64 // 0: none
	Missed bool
}

// Plot draws bars as an SVG: the spread of each ratio as a line, its median as a dot,
// its bound as a stroke.
func Plot(label, title string, bars []Bar) string {
	height := plotTop + plotRow*len(bars) + 40
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">`, plotWidth, height, html.EscapeString(label))
	fmt.Fprintf(&b, "\n<style>%s\n</style>\n", plotStyle)
	fmt.Fprintf(&b, `<text class="title" x="16" y="26">%s</text>`+"\n", html.EscapeString(title))
	for _, at := range []float64{0.02, 0.05, 0.1, 0.2, 0.5, 1, 2} {
		class := "grid"
		if at == 1 {
			class = "same"
		}
		fmt.Fprintf(&b, `<line class="%s" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/><text x="%.1f" y="%d" text-anchor="middle">%g</text>`+"\n",
			class, plotX(at), plotX(at), plotTop-14, height-34, plotX(at), height-14, at)
	}
	for i, bar := range bars {
		y := plotTop + plotRow*i + plotRow/2
		class := "met"
		if bar.Missed {
			class = "missed"
		}
		fmt.Fprintf(&b, `<text x="16" y="%d">%s</text>`, y+4, html.EscapeString(bar.Label))
		fmt.Fprintf(&b, `<line class="%s" x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke-width="5" stroke-linecap="round"/>`, class, plotX(bar.Spread.Min), plotX(bar.Spread.Max), y, y)
		fmt.Fprintf(&b, `<circle class="%s" cx="%.1f" cy="%d" r="6"/>`, class, plotX(bar.Spread.Median), y)
		if bar.Bound > 0 {
			fmt.Fprintf(&b, `<line class="bound" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, plotX(bar.Bound), plotX(bar.Bound), y-9, y+9)
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%.3f</text>`+"\n", plotWidth-12, y+4, bar.Spread.Median)
	}
	fmt.Fprintf(&b, `<text x="16" y="%d">dot: median; line: all rounds; stroke: bound</text>`+"\n</svg>\n", height-14)
	return b.String()
}

func plotX(ratio float64) float64 {
	at := math.Log(min(max(ratio, plotLeast), plotMost)/plotLeast) / math.Log(plotMost/plotLeast)
	return plotLeft + at*(plotWidth-plotLeft-plotMargin)
}
