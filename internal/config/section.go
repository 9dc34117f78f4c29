package config

import (
	"time"

	"hearth/internal/param"
)

// token binds a new [[auth.token]].
func (l *loader) token(place string) (table, func()) {
	i := len(l.config.Auth.Tokens)
	l.config.Auth.Tokens = append(l.config.Auth.Tokens, Token{})
	t := &l.config.Auth.Tokens[i]
	// By index, because the next token may move the list.
	file := l.secretFile(place+".token", place+".token_file", checkToken, func() *Secret { return &l.config.Auth.Tokens[i].Token })
	return table{fields: []field{
		{name: "name", read: text(&t.Name, checkName)},
		{name: "scopes", read: texts(&t.Scopes, oneOf("write", "admin", "metrics"))},
		{name: "token", read: secret(&t.Token, checkToken)},
		{name: "token_file", read: text(file, anything)},
	}}, func() {}
}

// limit binds a new [[limit]]; burst and local_rate follow rate when absent.
func (l *loader) limit(place string) (table, func()) {
	l.config.Limits = append(l.config.Limits, Limit{By: "client"})
	m := &l.config.Limits[len(l.config.Limits)-1]
	burst := 0
	return table{fields: []field{
			{name: "name", read: text(&m.Name, checkName)},
			{name: "paths", read: texts(&m.Paths, checkArea)},
			{name: "by", read: text(&m.By, checkBy)},
			{name: "rate", read: rate(&m.Rate)},
			{name: "burst", read: whole(&burst, 1, 1_000_000_000)},
			{name: "local_rate", read: rate(&m.LocalRate)},
		}}, func() {
			m.Burst = burst
			if !l.set(place + ".burst") {
				m.Burst = m.Rate.Count
			}
			if !l.set(place + ".local_rate") {
				m.LocalRate = m.Rate
			}
		}
}

// counter binds a new [[counter]].
func (l *loader) counter(string) (table, func()) {
	l.config.Counters = append(l.config.Counters, Counter{})
	c := &l.config.Counters[len(l.config.Counters)-1]
	return table{fields: []field{
		{name: "path", read: text(&c.Path, checkPlainPath)},
		{name: "key", read: text(&c.Key, checkPlainKey)},
		{name: "work", read: span(&c.Work, 0, 10*time.Second)},
	}}, func() {}
}

// batch binds a new [[batch]].
func (l *loader) batch(string) (table, func()) {
	l.config.Batches = append(l.config.Batches, Batch{})
	b := &l.config.Batches[len(l.config.Batches)-1]
	return table{fields: []field{
		{name: "path", read: text(&b.Path, checkPlainPath)},
		{name: "resource", read: text(&b.Resource, checkName)},
	}}, func() {}
}

// resource binds a new [[resource]]; the envelope follows the name when absent.
func (l *loader) resource(place string) (table, func()) {
	l.config.Resources = append(l.config.Resources, defaultResource())
	r := &l.config.Resources[len(l.config.Resources)-1]
	const tenth, month = 100 * time.Millisecond, 30 * 24 * time.Hour
	return table{
			fields: []field{
				{name: "name", read: text(&r.Name, checkName)},
				{name: "path", read: parsed(&r.Path, param.ParsePath)},
				{name: "key", read: parsed(&r.Key, param.ParseTemplate)},
				{name: "envelope", read: text(&r.Envelope, checkEnvelope)},
				{name: "select", read: text(&r.Select, filled)},
				{name: "select_many", read: text(&r.SelectMany, filled)},
				{name: "upsert", read: text(&r.Upsert, filled)},
				{name: "delete", read: text(&r.Delete, filled)},
				{name: "origin", read: text(&r.Origin, checkURLTemplate)},
				{name: "rows", read: text(&r.Rows, oneOf("one", "many"))},
				{name: "key_columns", read: mapping(&r.KeyColumns, checkColumn), isList: true},
				{name: "cache_control", read: text(&r.CacheControl, checkHeaderValue)},
				{name: "timeout", read: span(&r.Timeout, 10*time.Millisecond, 5*time.Minute)},
			},
			tables: []table{{
				name: "ttl",
				fields: []field{
					{name: "cold", read: span(&r.TTL.Cold, tenth, month)},
					{name: "hot", read: span(&r.TTL.Hot, tenth, month)},
					{name: "missing", read: span(&r.TTL.Missing, tenth, month)},
					{name: "stale", read: span(&r.TTL.Stale, 0, 24*time.Hour)},
				},
			}},
		}, func() {
			if !l.set(place + ".envelope") {
				r.Envelope = r.Name
			}
		}
}
