package deploy_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"
)

// query is what an expression of an alert or a panel names.
type query struct {
	selectors []selector
	grouping  []string // labels of by, on and group_left
}

type selector struct {
	metric string
	labels []string // of its matchers
}

// shape is what a part of an expression evaluates to.
type shape int

const (
	scalar shape = iota
	vector
	ranged
)

// What expressions may use: less than Prometheus has, and nothing that only
// MetricsQL has, which the parser reads as well.
var (
	promDuration     = regexp.MustCompile(`^(?:[0-9]+(?:ms|[smhdwy]))+$`)
	promAggregations = []string{"sum", "min", "max", "avg", "count", "topk", "bottomk"}
	promRanged       = []string{"rate", "increase", "changes", "avg_over_time", "min_over_time", "max_over_time"}
	promFunctions    = []string{"histogram_quantile", "absent", "time", "clamp_max", "clamp_min", "log10"}
	promSets         = []string{"or", "and", "unless"}
	promOperators    = append([]string{"==", "!=", ">", "<", ">=", "<=", "+", "-", "*", "/", "%", "^"}, promSets...)
)

// grafanaRange is a window that Grafana fills in.
var grafanaRange = strings.NewReplacer("[$__rate_interval]", "[1m]", "[$__range]", "[1h]")

// readQuery parses an expression.
func readQuery(expr string) (q query, err error) {
	parsed, err := metricsql.Parse(grafanaRange.Replace(expr))
	if err != nil {
		return q, err
	}
	s, err := q.read(parsed)
	if err == nil && s == ranged {
		err = errors.New("evaluates to a range")
	}
	return q, err
}

// read notes what a part of an expression names, and refuses what Prometheus would.
func (q *query) read(e metricsql.Expr) (shape, error) {
	switch e := e.(type) {
	case *metricsql.NumberExpr:
		return scalar, nil
	case *metricsql.MetricExpr:
		return vector, q.readSelector(e)
	case *metricsql.RollupExpr:
		return q.readRange(e)
	case *metricsql.BinaryOpExpr:
		return q.readOperator(e)
	case *metricsql.AggrFuncExpr:
		q.grouping = append(q.grouping, e.Modifier.Args...)
		shapes, err := q.readArguments(e.Args)
		if err == nil && (!slices.Contains(promAggregations, e.Name) || e.Limit != 0 || len(shapes) == 0 || shapes[len(shapes)-1] != vector) {
			err = fmt.Errorf("no aggregation of a vector: %s", e.AppendString(nil))
		}
		return vector, err
	case *metricsql.FuncExpr:
		shapes, err := q.readArguments(e.Args)
		overTime := slices.Contains(promRanged, e.Name)
		if err == nil && (!overTime && !slices.Contains(promFunctions, e.Name) || overTime != slices.Contains(shapes, ranged) || e.KeepMetricNames) {
			err = fmt.Errorf("no function of Prometheus, or a range too few or too many: %s", e.AppendString(nil))
		}
		if e.Name == "time" {
			return scalar, err
		}
		return vector, err
	}
	return 0, fmt.Errorf("no number or vector: %s", e.AppendString(nil))
}

func (q *query) readArguments(args []metricsql.Expr) (shapes []shape, err error) {
	for _, arg := range args {
		s, bad := q.read(arg)
		shapes, err = append(shapes, s), errors.Join(err, bad)
	}
	return shapes, err
}

func (q *query) readSelector(e *metricsql.MetricExpr) error {
	if len(e.LabelFilterss) != 1 || e.LabelFilterss[0][0].Label != "__name__" {
		return fmt.Errorf("no selector of one metric: %s", e.AppendString(nil))
	}
	found := selector{metric: e.LabelFilterss[0][0].Value}
	for _, filter := range e.LabelFilterss[0][1:] {
		found.labels = append(found.labels, filter.Label)
	}
	q.selectors = append(q.selectors, found)
	return nil
}

// readRange reads a selector with a window or an offset.
func (q *query) readRange(e *metricsql.RollupExpr) (shape, error) {
	for _, d := range []*metricsql.DurationExpr{e.Window, e.Offset} {
		if text := string(d.AppendString(nil)); d != nil && !promDuration.MatchString(text) {
			return 0, fmt.Errorf("no duration: %q", text)
		}
	}
	inner, err := q.read(e.Expr)
	if _, plain := e.Expr.(*metricsql.MetricExpr); err == nil && (!plain || e.Step != nil || e.InheritStep || e.At != nil) {
		err = fmt.Errorf("no plain range: %s", e.AppendString(nil))
	}
	if e.Window != nil {
		return ranged, err
	}
	return inner, err
}

func (q *query) readOperator(e *metricsql.BinaryOpExpr) (shape, error) {
	q.grouping = append(append(q.grouping, e.GroupModifier.Args...), e.JoinModifier.Args...)
	shapes, err := q.readArguments([]metricsql.Expr{e.Left, e.Right})
	matched := e.GroupModifier.Op != "" || slices.Contains(promSets, e.Op)
	switch {
	case err != nil:
		return 0, err
	case !slices.Contains(promOperators, e.Op) || e.KeepMetricNames || e.JoinModifierPrefix != nil || e.FillLeft != nil || e.FillRight != nil:
		err = fmt.Errorf("no operator of Prometheus: %s", e.AppendString(nil))
	case slices.Contains(shapes, ranged), matched && slices.Contains(shapes, scalar):
		err = fmt.Errorf("%q with what is no vector", e.Op)
	}
	return max(shapes[0], shapes[1]), err
}

// TestPromQLIsReadStrictly shows that the reader can refuse.
func TestPromQLIsReadStrictly(t *testing.T) {
	for _, expr := range []string{
		`up`, `up{job="a"} == 0`, `absent(up{job="a"})`, `-a + 2 * b`, `time() - a < 14 * 86400`,
		`sum by (a, le) (rate(m_bucket{x=~"y|z", v!="1"}[5m])) / on (a) group_left () b offset 1d`,
		`histogram_quantile(0.99, sum(rate(m[$__rate_interval])) by (le)) > 0.05 and on (job) c == 1`,
		`min_over_time(a[1h30m]) > bool 0`,
	} {
		if _, err := readQuery(expr); err != nil {
			t.Errorf("%s: %v", expr, err)
		}
	}
	for _, expr := range []string{
		``, `(`, `up)`, `sum(up`, `up{`, `up{a}`, `up{a="b"`, `up{a="b" c="d"}`, `up == `, `== up`, `up up`, `rate(up)`, `rate(up[5])`,
		`rate(up[5m]`, `up[5m] > 1`, `irate(up[5m])`, `sum by a (up)`, `sum by (a (up)`, `up and 1`, `1 * on (a) up`, `up * on (a) 2`,
		`up and on (a) 1`, `up offset x`, `up > "x"`, `sum(1)`, `absent(up[5m])`, `up; up`, `5m`,
	} {
		if q, err := readQuery(expr); err == nil {
			t.Errorf("%s: was read as %+v", expr, q)
		}
	}
}
