package database

import (
	"net/url"
	"slices"
	"strings"

	"hearth/internal/param"
)

// harmless are parameters of a database's URL that say how to reach it, not
// which one it is.
var harmless = []string{
	"user", "password", "passfile", "sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslsni", "sslnegotiation",
	"sslcertmode", "ssl", "require_auth", "channel_binding", "connect_timeout", "application_name", "fallback_application_name",
	"tls", "ssl-ca", "ssl-cert", "ssl-key", "timeout", "readTimeout", "writeTimeout", "maxAllowedPacket", "compress",
	"allowCleartextPasswords", "allowFallbackToPlaintext", "allowNativePasswords", "allowOldPasswords", "checkConnLiveness", "connectionAttributes", "rejectReadOnly", "target_session_attrs",
}

// Identity is what a database's URL says of which database it is: all of it but
// user, password and what concerns the connection only. It is for comparing: two
// that differ may be two databases, two that are equal are taken for one.
// A URL that is none is its own identity.
func Identity(address string) string {
	if strings.HasPrefix(address, "sqlite:") {
		return "sqlite:" + strings.TrimPrefix(strings.TrimPrefix(address, "sqlite:"), "//")
	}
	u, err := url.Parse(param.FirstHost(address))
	if err != nil {
		return address
	}
	u.User = nil
	// Two spellings of one database follow: the scheme's long form, the host's
	// capitals, and the port that is the default. A list of hosts keeps its
	// ports, for the default of one says nothing of the others.
	u.Scheme = strings.Replace(u.Scheme, "postgresql", "postgres", 1)
	u.Host = strings.ToLower(strings.Join(param.Hosts(address), ","))
	port := map[string]string{"postgres": ":5432", "mysql": ":3306"}[u.Scheme]
	if port != "" && !strings.Contains(u.Host, ",") {
		u.Host = strings.TrimSuffix(u.Host, port)
	}
	params := u.Query()
	for name := range params {
		if slices.Contains(harmless, name) || strings.HasPrefix(name, "pool_") {
			params.Del(name)
		}
	}
	u.RawQuery, u.Fragment = params.Encode(), ""
	return u.String()
}
