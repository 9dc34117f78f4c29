// Package openapi writes the OpenAPI 3.1 document of a server and the page that
// shows it and tries it out.
//
// The document is generated from a plain description of what is configured, not
// from annotations on handlers: resources exist only in the configuration, so
// that is the only place a true document can come from. What is the same for
// every server stands in skeleton.json. The package serves nothing; it returns
// bytes.
//
// The document is built as plain JSON objects that keep the order of their
// members. Libraries for OpenAPI are made for reading documents: they sort members
// by name, or add megabytes to the program; tests read the document with one.
package openapi

import (
	_ "embed"
	"encoding/json"
	"fmt"
)

// Document returns the OpenAPI document of api as compact JSON. The same
// description gives the same bytes. An error names the part of the description
// that contradicts itself: two operations for one method and path, a parameter
// that the path lacks, an example that is not JSON.
func Document(api API) ([]byte, error) {
	b := &builder{api: api, operations: names{}, components: names{}, tagNames: names{}}
	if err := json.Unmarshal(skeletonJSON, &b.skeleton); err != nil {
		panic(fmt.Sprintf("BUG: reading skeleton.json: %v", err))
	}
	for i := range api.Resources {
		if err := b.addResource(&api.Resources[i]); err != nil {
			return nil, fmt.Errorf("describing resource %q: %w", api.Resources[i].Name, err)
		}
	}
	for _, batch := range api.Batches {
		if err := b.addBatch(batch); err != nil {
			return nil, fmt.Errorf("describing batch %q: %w", batch.Path, err)
		}
	}
	for _, counter := range api.Counters {
		if err := b.addCounter(counter); err != nil {
			return nil, fmt.Errorf("describing counter %q: %w", counter.Path, err)
		}
	}
	if err := b.addService(); err != nil {
		return nil, fmt.Errorf("describing the server's own paths: %w", err)
	}
	text, err := b.encode()
	if err != nil {
		return nil, fmt.Errorf("encoding the document: %w", err)
	}
	return text, nil
}
