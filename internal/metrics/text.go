package metrics

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
)

// appendHeader writes the HELP and TYPE lines of a family.
func appendHeader(dst []byte, name, help string, t metricType) []byte {
	dst = append(dst, "# HELP "...)
	dst = append(dst, name...)
	dst = append(dst, ' ')
	dst = append(dst, escapeHelp(help)...)
	dst = append(dst, "\n# TYPE "...)
	dst = append(dst, name...)
	dst = append(dst, ' ')
	dst = append(dst, t...)
	return append(dst, '\n')
}

// appendName writes the part of a line before the number. Labels are rendered
// already; extra is one more label (le, quantile) when it has a name.
func appendName(dst []byte, name, suffix, labels, extra, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, suffix...)
	if labels != "" || extra != "" {
		dst = append(dst, '{')
		dst = append(dst, labels...)
		if extra != "" {
			if labels != "" {
				dst = append(dst, ',')
			}
			dst = append(dst, extra...)
			dst = append(dst, `="`...)
			dst = append(dst, value...)
			dst = append(dst, '"')
		}
		dst = append(dst, '}')
	}
	return append(dst, ' ')
}

// appendFloat writes the shortest decimal that reads back as v, and NaN, +Inf
// and -Inf as the format spells them.
func appendFloat(dst []byte, v float64) []byte {
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}

// renderLabels checks labels and renders them in the order of their names, so
// that the text also identifies the series.
func renderLabels(metric string, labels []Label) string {
	sorted := slices.SortedFunc(slices.Values(labels), func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
	var b strings.Builder
	for i, l := range sorted {
		switch {
		case !model.LegacyValidation.IsValidLabelName(l.Name) || strings.HasPrefix(l.Name, "__"):
			panic(fmt.Sprintf("BUG: label %q of metric %s is no label name", l.Name, metric))
		case l.Name == "le" || l.Name == "quantile":
			panic(fmt.Sprintf("BUG: label %q of metric %s belongs to the format", l.Name, metric))
		case i > 0 && sorted[i-1].Name == l.Name:
			panic(fmt.Sprintf("BUG: label %q of metric %s is given twice", l.Name, metric))
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(l.Name + `="` + escapeValue(l.Value) + `"`)
	}
	return b.String()
}

// checkName refuses what the format cannot carry and the names this package
// writes by itself.
func checkName(name string) {
	if !model.LegacyValidation.IsValidMetricName(name) {
		panic(fmt.Sprintf("BUG: %q is no metric name", name))
	}
	if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") {
		panic(fmt.Sprintf("BUG: metric %s is written by package metrics itself", name))
	}
}

// escapeValue escapes a label's value. The format is UTF-8 throughout, and one
// stray byte would make a scraper drop the whole page, so bytes that are not
// UTF-8 are replaced.
func escapeValue(s string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`).Replace(strings.ToValidUTF8(s, "\uFFFD"))
}

func escapeHelp(s string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(strings.ToValidUTF8(s, "\uFFFD"))
}
