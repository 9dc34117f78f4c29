vcl 4.1;
# Varnish as a peer: what the backend has answered once is kept for an hour, whatever it
# says about keeping it, and tags are compared here.

backend hearth {
	.host = "{{.Host}}";
	.port = "{{.Port}}";
}

sub vcl_backend_response {
	set beresp.ttl = 1h;
	return (deliver);
}
