package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A reader of the PromQL that alerts and the dashboard are written in. It knows
// less than Prometheus, and nothing that they do not use: enough to find what
// does not parse, and every metric and label that is named.

// query is what an expression names.
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
	text
)

var promTokens = regexp.MustCompile(`^(?:(\s+)|("(?:[^"\\]|\\.)*")|(\[[^\]]*\])|((?:[0-9]+(?:ms|[smhdwy]))+\b)|([0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?\b)|([a-zA-Z_:][a-zA-Z0-9_:]*)|(==|!=|>=|<=|=~|!~|[-+*/%^(){},<>=]))`)

var (
	promRange      = regexp.MustCompile(`^\[(?:(?:[0-9]+(?:ms|[smhdwy]))+|\$__rate_interval|\$__range)\]$`)
	promDuration   = regexp.MustCompile(`^(?:[0-9]+(?:ms|[smhdwy]))+$`)
	promNumber     = regexp.MustCompile(`^[0-9]`)
	promIdentifier = regexp.MustCompile(`^[a-zA-Z_:]`)

	promAggregations = []string{"sum", "min", "max", "avg", "count", "topk", "bottomk"}
	promRanged       = []string{"rate", "increase", "changes", "avg_over_time", "min_over_time", "max_over_time"}
	promFunctions    = []string{"histogram_quantile", "absent", "time", "clamp_max", "clamp_min", "label_replace"}
	promOperators    = []string{"or", "and", "unless", "==", "!=", ">", "<", ">=", "<=", "+", "-", "*", "/", "%", "^"}
	promSets         = promOperators[:3]
)

// promReader reads one expression.
type promReader struct {
	rest []string // tokens
	query
}

// readQuery parses an expression.
func readQuery(expr string) (query, error) {
	r := promReader{}
	for expr != "" {
		token := promTokens.FindString(expr)
		if token == "" {
			return query{}, fmt.Errorf("cannot read %q", expr)
		}
		expr = expr[len(token):]
		if strings.TrimSpace(token) != "" {
			r.rest = append(r.rest, token)
		}
	}
	if _, err := r.expression(); err != nil {
		return query{}, fmt.Errorf("%w, before %q", err, strings.Join(r.rest, " "))
	}
	if len(r.rest) > 0 {
		return query{}, fmt.Errorf("something follows: %q", strings.Join(r.rest, " "))
	}
	return r.query, nil
}

func (r *promReader) peek() string {
	if len(r.rest) == 0 {
		return ""
	}
	return r.rest[0]
}

func (r *promReader) take() string {
	token := r.peek()
	if token != "" {
		r.rest = r.rest[1:]
	}
	return token
}

func (r *promReader) want(token string) error {
	if got := r.take(); got != token {
		return fmt.Errorf("%q where %q belongs", got, token)
	}
	return nil
}

// expression reads operands and the operators between them. How those bind
// changes nothing that is asked of it.
func (r *promReader) expression() (shape, error) {
	left, err := r.operand()
	for err == nil && slices.Contains(promOperators, r.peek()) {
		operator := r.take()
		matched := false
		if matched, err = r.matching(); err != nil {
			return left, err
		}
		var right shape
		if right, err = r.operand(); err != nil {
			return left, err
		}
		both := left == vector && right == vector
		switch {
		case left >= ranged || right >= ranged:
			err = fmt.Errorf("a range or a text beside %q", operator)
		case matched && !both, slices.Contains(promSets, operator) && !both:
			err = fmt.Errorf("%q, or on, with what is no vector", operator)
		}
		left = max(left, right)
	}
	return left, err
}

// matching reads what may follow an operator.
func (r *promReader) matching() (matched bool, err error) {
	if r.peek() == "bool" {
		r.take()
	}
	if r.peek() != "on" && r.peek() != "ignoring" {
		return false, nil
	}
	r.take()
	if err := r.labelList(); err != nil {
		return false, err
	}
	if r.peek() == "group_left" || r.peek() == "group_right" {
		r.take()
		if r.peek() == "(" {
			err = r.labelList()
		}
	}
	return true, err
}

func (r *promReader) labelList() error {
	if err := r.want("("); err != nil {
		return err
	}
	for r.peek() != ")" {
		name := r.take()
		if !promIdentifier.MatchString(name) {
			return fmt.Errorf("no label: %q", name)
		}
		r.grouping = append(r.grouping, name)
		if r.peek() != ")" {
			if err := r.want(","); err != nil {
				return err
			}
		}
	}
	return r.want(")")
}

func (r *promReader) operand() (shape, error) {
	token := r.take()
	switch {
	case token == "-" || token == "+":
		return r.operand()
	case token == "(":
		s, err := r.expression()
		if err != nil {
			return s, err
		}
		return s, r.want(")")
	case strings.HasPrefix(token, `"`):
		return text, nil
	case promNumber.MatchString(token) && !promDuration.MatchString(token):
		return scalar, nil
	case slices.Contains(promAggregations, token):
		return r.aggregation()
	case r.peek() == "(":
		return r.call(token)
	case promIdentifier.MatchString(token):
		return r.selector(token)
	}
	return 0, fmt.Errorf("%q where a value belongs", token)
}

func (r *promReader) aggregation() (shape, error) {
	grouped := func() error {
		if r.peek() != "by" && r.peek() != "without" {
			return nil
		}
		r.take()
		return r.labelList()
	}
	if err := grouped(); err != nil {
		return vector, err
	}
	shapes, err := r.arguments()
	if err == nil && shapes[len(shapes)-1] != vector {
		err = errors.New("an aggregation of what is no vector")
	}
	return vector, errors.Join(err, grouped())
}

func (r *promReader) call(function string) (shape, error) {
	shapes, err := r.arguments()
	overTime := slices.Contains(promRanged, function)
	switch {
	case err != nil:
		return vector, err
	case !overTime && !slices.Contains(promFunctions, function):
		return vector, fmt.Errorf("the function %q is not known here", function)
	case overTime != slices.Contains(shapes, ranged):
		return vector, fmt.Errorf("%s: a range is missing, or one too many", function)
	case function == "time":
		return scalar, nil
	}
	return vector, nil
}

func (r *promReader) arguments() (shapes []shape, err error) {
	if err := r.want("("); err != nil {
		return nil, err
	}
	for r.peek() != ")" {
		s, err := r.expression()
		if err != nil {
			return nil, err
		}
		shapes = append(shapes, s)
		if r.peek() != ")" {
			if err := r.want(","); err != nil {
				return nil, err
			}
		}
	}
	if len(shapes) == 0 {
		shapes = []shape{scalar}
	}
	return shapes, r.want(")")
}

// selector reads what follows the name of a metric.
func (r *promReader) selector(metric string) (shape, error) {
	s, found := vector, selector{metric: metric}
	if r.peek() == "{" {
		r.take()
		for r.peek() != "}" {
			name, operator, value := r.take(), r.take(), r.take()
			if !promIdentifier.MatchString(name) || !slices.Contains([]string{"=", "!=", "=~", "!~"}, operator) || !strings.HasPrefix(value, `"`) {
				return s, fmt.Errorf("no matcher: %s%s%s", name, operator, value)
			}
			found.labels = append(found.labels, name)
			if r.peek() == "," {
				r.take()
			} else if r.peek() != "}" {
				return s, fmt.Errorf("%q where a comma belongs", r.peek())
			}
		}
		r.take()
	}
	if strings.HasPrefix(r.peek(), "[") {
		if window := r.take(); !promRange.MatchString(window) {
			return s, fmt.Errorf("no range: %s", window)
		}
		s = ranged
	}
	if r.peek() == "offset" {
		r.take()
		if d := r.take(); !promDuration.MatchString(d) {
			return s, fmt.Errorf("no duration: %q", d)
		}
	}
	r.selectors = append(r.selectors, found)
	return s, nil
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
