// Package metrics keeps counters and histograms and writes them as Prometheus
// text. It knows formats only: the packages that count own their numbers and
// their names.
//
// Counters and histograms are its own because a request served from memory is
// counted two or three times within a few hundred nanoseconds. An observation
// here is one or two atomic additions on a cache line that other cores seldom
// touch; it allocates nothing and looks nothing up. What is read only at a
// scrape, the numbers of the Go runtime and of the process, comes from
// Prometheus' client library.
package metrics

// ContentType is the media type of what Set.WritePrometheus writes (the
// Prometheus text format, version 0.0.4).
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Label is one name and value that tells series of a metric apart. Values must
// come from a closed set (a resource, a tier, a status code), never from a
// request: every new value is a series that lives as long as the process.
type Label struct{ Name, Value string }

// metricType is the word after # TYPE.
type metricType string

const (
	typeCounter   metricType = "counter"
	typeGauge     metricType = "gauge"
	typeHistogram metricType = "histogram"
)
