// Package dashboard has the operators' page: one HTML document with its script and style,
// which fetches nothing from any other host.
//
// It is written by hand and embedded as it is, so that there is no build step and what runs
// in an operator's browser can be read. Only the plots are a library's (uPlot).
package dashboard
