package openapi

// addCounter adds the operation of a counter. HEAD is not offered: it would
// count.
func (b *builder) addCounter(c Counter) error {
	name := pascal(c.Path)
	statuses, headers, text := b.limited(c.Path, []string{"503", "504"}, []string{headerNoStore},
		"Counts this request, does its simulated work, and answers with the count that then stands.")
	schema := b.addSchema(name+"Count", object{
		{"type", "object"},
		{"required", []string{"current_requests"}},
		{"properties", object{{"current_requests", object{{"type", "integer"}, {"format", "int64"}}}}},
	})
	if !b.tagNames["counters"] {
		b.addTag("counters", "Counts that the whole fleet shares.")
	}
	return b.add("get", c.Path, operation{
		Tags:        []string{"counters"},
		Summary:     "Count a request",
		Description: text,
		OperationID: b.operations.take("get" + name),
		Responses: append(object{{"200", response{
			Description: "The count.",
			Headers:     b.use(headers...),
			Content: object{{typeJSON, mediaType{schema, object{
				{"first", example{Summary: "The first request ever", Value: object{{"current_requests", 1}}}},
			}}}},
		}}}, b.refuse(statuses...)...),
	})
}

// addService adds the paths that every server has.
func (b *builder) addService() error {
	tag := b.addTag("service", "The server itself.")
	text := object{{"type", "string"}}
	for _, s := range []struct {
		path, id, summary, description string
		responses                      object
	}{
		{"/", "getRoot", "Say hello", "Shows that the server is reached; it looks nothing up.", object{{"200", response{
			Description: "A greeting.",
			Content:     object{{typeJSON, mediaType{helloSchema(), one("hello", object{{"Hello", "World"}})}}},
		}}}},
		{"/healthz", "getHealth", "Ask whether to send traffic here",
			"For load balancers. A tier that is down does not turn it 503: the server still answers what it can.", b.health()},
		{"/docs", "getDocs", "Show this page", "Interactive, and the same for every configuration; it reads `/openapi.json`.", object{{"200", response{
			Description: "The page.", Content: object{{typeHTML, mediaType{Schema: text}}},
		}}}},
		{"/openapi.json", "getDocument", "Get this document", "Generated from the configuration in force.", object{{"200", response{
			Description: "The document.", Content: object{{typeJSON, mediaType{Schema: object{{"type", "object"}}}}},
		}}}},
	} {
		refused := []string{"503"}
		if s.responses.get("503") != nil {
			refused = nil
		}
		err := b.add("get", s.path, operation{
			Tags:        []string{tag},
			Summary:     s.summary,
			Description: s.description,
			OperationID: b.operations.take(s.id),
			Responses:   append(s.responses, b.refuse(refused...)...),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// one is the only answer that an operation has.
func one(name string, value any) object {
	return object{{name, example{Value: value, Exact: true}}}
}

func helloSchema() object {
	return object{
		{"type", "object"},
		{"required", []string{"Hello"}},
		{"properties", object{{"Hello", object{{"type", "string"}, {"const", "World"}}}}},
	}
}

// health describes both answers of the health check.
func (b *builder) health() object {
	status := func(name string) object { return object{{"status", name}} }
	schema := func(values ...string) object {
		return object{
			{"type", "object"},
			{"required", []string{"status"}},
			{"properties", object{{"status", object{{"type", "string"}, {"enum", values}}}}},
		}
	}
	return object{
		{"200", response{
			Description: "Send traffic.",
			Headers:     b.use(headerNoStore),
			Content:     object{{typeJSON, mediaType{schema("ok"), one("ok", status("ok"))}}},
		}},
		{"503", response{
			Description: "Send traffic elsewhere: the server is starting, or finishing what it has.",
			Headers:     b.use(headerNoStore),
			Content: object{{typeJSON, mediaType{schema("draining", "starting"), object{
				{"draining", example{Summary: "Shutting down", Value: status("draining")}},
				{"starting", example{Summary: "Not yet up", Value: status("starting")}},
			}}}},
		}},
	}
}
