package top

import (
	"math"
	"strconv"
	"time"
)

// Numbers in words, as the dashboard has them. What is not known is NaN, and shown as a dash.

const unknown = "–"

func digits(v float64, n int) string { return strconv.FormatFloat(v, 'f', n, 64) }

// short is a number with its three or four most telling digits.
func short(v float64) string {
	a := math.Abs(v)
	switch {
	case math.IsNaN(v):
		return unknown
	case a >= 1e9:
		return digits(v/1e9, 2) + " G"
	case a >= 1e6:
		return digits(v/1e6, 2) + " M"
	case a >= 1e4:
		return digits(v/1e3, 1) + " k"
	case a >= 100, v == math.Round(v):
		return digits(v, 0)
	case a < 0.095:
		return digits(v, 2)
	}
	return digits(v, 1)
}

// perSecond is a rate. Behind a number with a unit of its own there is no room for a blank.
func perSecond(v float64) string {
	if math.IsNaN(v) {
		return unknown
	}
	return short(v) + "/s"
}

func bytesOf(v float64) string {
	if math.IsNaN(v) {
		return unknown
	}
	for i, unit := range []string{"TiB", "GiB", "MiB", "KiB"} {
		if one := math.Exp2(float64(40 - 10*i)); v >= one {
			decimals := 1
			if v >= 100*one {
				decimals = 0
			}
			return digits(v/one, decimals) + " " + unit
		}
	}
	return digits(v, 0) + " B"
}

// span is a time in seconds.
func span(s float64) string {
	switch {
	case math.IsNaN(s):
		return unknown
	case math.IsInf(s, 1):
		return "> 17 s" // beyond the last bucket
	case s == 0:
		return "0 s"
	case s < 1e-3:
		return digits(s*1e6, map[bool]int{true: 1, false: 0}[s < 1e-5]) + " µs"
	case s < 0.1:
		return digits(s*1e3, 1) + " ms"
	case s < 1:
		return digits(s*1e3, 0) + " ms"
	case s < 10:
		return digits(s, 1) + " s"
	case s < 120:
		return digits(s, 0) + " s"
	case s < 7200:
		return digits(s/60, 0) + " min"
	case s < 172800:
		return digits(s/3600, 1) + " h"
	}
	return digits(s/86400, 1) + " d"
}

func percent(v float64) string {
	switch {
	case math.IsNaN(v):
		return unknown
	case v > 0.9995 && v < 1: // never rounded up to all
		return digits(math.Min(100*v, 99.999), 3) + " %"
	}
	return digits(100*v, 1) + " %"
}

// clock is a time of day, of Unix time in ms.
func (a alphabet) clock(ms int64) string {
	zone := a.zone
	if zone == nil {
		zone = time.Local
	}
	return time.UnixMilli(ms).In(zone).Format(time.TimeOnly)
}
