package mysql

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"

	"hearth/internal/param"
	"hearth/internal/source/engine"
)

// sessionPrefix marks a variable of the session that is not among parameters, as in
// SQL: @@name=value.
const sessionPrefix = "@@"

// parameters are what a URL of MySQL may have. The driver would set what it does not
// know as a variable of the session.
var parameters = engine.Parameters{
	Known: []string{
		"socket", "tls", "ssl-ca", "ssl-cert", "ssl-key", "timeout", "readTimeout", "writeTimeout", "charset", "collation", "compress", "connectionAttributes",
		"allowCleartextPasswords", "allowFallbackToPlaintext", "allowNativePasswords", "allowOldPasswords", "checkConnLiveness", "maxAllowedPacket", "rejectReadOnly", "timeTruncate",
	},
	Session: []string{
		"time_zone", "sql_mode", "transaction_isolation", "tx_isolation", "transaction_read_only", "tx_read_only", "autocommit", "max_execution_time", "max_statement_time",
		"lock_wait_timeout", "innodb_lock_wait_timeout", "wait_timeout", "interactive_timeout", "net_read_timeout", "net_write_timeout", "idle_transaction_timeout",
		"group_concat_max_len", "sql_select_limit", "max_join_size", "sql_big_selects", "sql_safe_updates", "foreign_key_checks", "unique_checks", "optimizer_switch",
		"character_set_client", "character_set_connection", "character_set_results", "collation_connection", "sort_buffer_size", "join_buffer_size", "tmp_table_size",
		"max_heap_table_size", "explicit_defaults_for_timestamp", "default_storage_engine", "use_secondary_engine", "session_track_gtids", "wsrep_sync_wait",
		"wsrep_retry_autocommit", "group_replication_consistency", "read_only", "max_sort_length", "lc_time_names", "old_mode", "profiling",
	},
	Instead: map[string]string{
		"sslmode ssl_mode ssl-mode ssl useSSL requireSSL": "write tls=true, verify-ca, skip-verify or preferred",
		"ssl_ca sslca sslrootcert ca":                     "write ssl-ca",
		"ssl_cert sslcert cert":                           "write ssl-cert",
		"ssl_key sslkey key":                              "write ssl-key",
		"serverPubKey":                                    "it names a key that a program has registered with the driver, and none is; take TLS",
		"strict":                                          "the driver has no strict mode; write sql_mode",
		"connect_timeout connectTimeout":                  "write timeout",
		"serverTimezone":                                  "write time_zone, in single quotes",
		"max_conns pool_size maxOpenConns":                "write database.max_conns",
		"user password":                                   "write user and password before the host",
	},
	Further: "@@name=value",
}

// secure is how the server of a URL is spoken to, and who logs in there.
type secure struct {
	User, Password string
	TLS            *tls.Config // nil: as the driver's setting tls says
}

// takeSettings judges the settings of a URL, and takes out of them what the driver does
// not know: the files of certificates, and variables with a prefix, which it returns.
// No error shows a value.
func takeSettings(u *url.URL, settings url.Values) (variables map[string]string, err error) {
	variables = map[string]string{}
	for name, values := range settings {
		if strings.HasPrefix(name, sessionPrefix) && len(values) == 1 {
			variables[name] = values[0]
			settings.Del(name)
		}
	}
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		if u.Fragment != "" || strings.Contains(strings.TrimPrefix(pair, sessionPrefix), "@") {
			return nil, engine.ErrAmbiguous
		}
	}
	for host := range strings.SplitSeq(u.Host, ",") {
		_, port, err := net.SplitHostPort(host)
		if n, wrong := strconv.ParseUint(port, 10, 16); err == nil && (wrong != nil || n == 0) {
			return nil, errors.New("the URL has no port from 1 to 65535; write mysql://host:3306/name")
		}
	}
	if strings.Contains(strings.TrimPrefix(u.Path, "/"), "/") {
		return nil, errors.New("the URL has a path that is no database's name; write mysql://host:3306/name")
	}
	if err := parameters.Check(settings); err != nil {
		return nil, err
	}
	for name := range settings {
		if settings.Get(name) == "" {
			return nil, fmt.Errorf("the parameter %q is empty; give it a value, or leave it out", name)
		}
	}
	if err := checkTLS(settings); err != nil {
		return nil, err
	}
	for _, name := range []string{"ssl-ca", "ssl-cert", "ssl-key"} {
		settings.Del(name)
	}
	if settings.Get("tls") == "verify-ca" {
		settings.Set("tls", "true")
	}
	return variables, nil
}

// checkTLS finds what would have no effect, and files that cannot be read.
func checkTLS(q url.Values) error {
	mode := strings.ToLower(q.Get("tls"))
	on, err := strconv.ParseBool(mode)
	isBool := err == nil
	verifies := isBool && on || mode == "verify-ca" || mode == ""
	switch {
	case q.Has("tls") && !isBool && mode != "verify-ca" && mode != "skip-verify" && mode != "preferred":
		return errors.New("tls is none of true, false, verify-ca, skip-verify and preferred, and there are no configurations with names; write one of them, and certificates as ssl-ca, ssl-cert and ssl-key")
	case q.Has("ssl-ca") && !verifies:
		return errors.New("ssl-ca has no effect unless tls is true (its default beside ssl-ca) or verify-ca; remove one of the two")
	case mode == "verify-ca" && !q.Has("ssl-ca"):
		return errors.New("tls=verify-ca needs ssl-ca, the authorities that it goes by")
	case q.Has("ssl-cert") != q.Has("ssl-key"):
		return errors.New("ssl-cert and ssl-key need each other; write both or neither")
	case q.Has("ssl-cert") && (isBool && !on || mode == "preferred"):
		return errors.New("ssl-cert has no effect without TLS, which tls=false turns off and tls=preferred may; write tls=true")
	}
	_, err = tlsConfig(q)
	return err
}

// tlsConfig reads the files that settings name; nil without any.
func tlsConfig(q url.Values) (*tls.Config, error) {
	ca, cert, key := q.Get("ssl-ca"), q.Get("ssl-cert"), q.Get("ssl-key")
	if ca == "" && cert == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	for name, path := range map[string]string{"ssl-ca": ca, "ssl-cert": cert, "ssl-key": key} {
		if path == "" {
			continue
		}
		if err := engine.ReadableFile(name, path); err != nil {
			return nil, err
		}
	}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ssl-ca: %q holds no certificate; name a PEM file", ca)
		}
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("ssl-cert: %q and %q are no certificate with its key: %w", cert, key, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	switch mode := strings.ToLower(q.Get("tls")); mode {
	case "skip-verify":
		c.InsecureSkipVerify = true
	case "verify-ca":
		c.InsecureSkipVerify, c.VerifyConnection = true, signedBy(c.RootCAs)
	}
	return c, nil
}

// signedBy verifies that a certificate is of one of the authorities, for whatever name:
// those that MySQL makes for itself have none.
func signedBy(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		for _, c := range s.PeerCertificates[1:] {
			o.Intermediates.AddCert(c)
		}
		_, err := s.PeerCertificates[0].Verify(o)
		return err
	}
}

// readSecure is what a URL says of account and certificates.
func readSecure(address string) (s secure, err error) {
	u, err := url.Parse(param.FirstHost(address))
	if err != nil {
		return s, errUnparsable
	}
	s.User = u.User.Username()
	s.Password, _ = u.User.Password()
	s.TLS, err = tlsConfig(u.Query())
	return s, err
}

// errUnparsable replaces a text that would show the password.
var errUnparsable = errors.New("the URL does not parse; percent-encode special characters of the password")

// renewing has every connection log in as the URL says at that time, with the
// certificates that it names as they are then.
func renewing(c *mysql.Config, cfg engine.Config) error {
	first, err := readSecure(cfg.URL)
	if err != nil {
		return err
	}
	present := engine.NewRenewal(first, cfg.Log, func() (secure, error) {
		address := cfg.URL
		if cfg.Renew != nil {
			var err error
			if address, err = cfg.Renew(); err != nil {
				return secure{}, err
			}
		}
		return readSecure(address)
	})
	return c.Apply(mysql.BeforeConnect(func(_ context.Context, to *mysql.Config) error {
		now := present.Now()
		to.User, to.Passwd = now.User, now.Password
		if now.TLS == nil {
			return nil
		}
		to.TLS = now.TLS.Clone()
		if host, _, err := net.SplitHostPort(to.Addr); err == nil { // which a socket has not
			to.TLS.ServerName = host
		}
		return nil
	}))
}
