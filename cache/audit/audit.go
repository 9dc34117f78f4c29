// Package audit keeps count of how often what memory answered was true: checks, disagreements
// by age and cause, and how sure they make us.
//
// It compares nothing itself, so that the arithmetic can be tested without a tier. The idea is
// that of Meta's Polaris and Uber's Cache Inspector: a cache that cannot measure its own
// consistency has none to promise.
package audit
