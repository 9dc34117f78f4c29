package postgres

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"hearth/internal/param"
	"hearth/internal/source/engine"
)

// parameters are what a URL of PostgreSQL may have. pgx would send what it does not
// know to the server as a setting of the session.
var parameters = engine.Parameters{
	Known: []string{
		"host", "port", "dbname", "database", "user", "password", "passfile", "service", "servicefile", "connect_timeout", "target_session_attrs",
		"sslmode", "ssl", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslsni", "sslnegotiation", "sslcertmode", "channel_binding", "require_auth",
		"krbspn", "krbsrvname", "min_protocol_version", "max_protocol_version",
		"pool_max_conns", "pool_min_conns", "pool_min_idle_conns", "pool_max_conn_lifetime", "pool_max_conn_lifetime_jitter", "pool_max_conn_idle_time",
		"pool_health_check_period", "pool_ping_timeout",
		"default_query_exec_mode", "statement_cache_capacity", "description_cache_capacity", "application_name", "client_encoding", "options",
	},
	Session: []string{
		"search_path", "role", "timezone", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout", "transaction_timeout",
		"tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout", "client_connection_check_interval", "client_min_messages",
		"default_transaction_isolation", "default_transaction_read_only", "default_transaction_deferrable", "synchronous_commit", "plan_cache_mode", "jit", "row_security",
		"work_mem", "maintenance_work_mem", "temp_buffers", "effective_cache_size", "random_page_cost", "seq_page_cost", "max_parallel_workers_per_gather",
		"enable_seqscan", "enable_indexscan", "enable_bitmapscan", "enable_nestloop", "enable_hashjoin", "enable_mergejoin", "constraint_exclusion",
		"bytea_output", "intervalstyle", "extra_float_digits", "lc_messages", "lc_monetary", "lc_numeric", "lc_time", "default_text_search_config",
	},
	Instead: map[string]string{
		"datestyle DateStyle": "times are read in the style ISO; leave it out",
		"gssencmode gsslib gssdelegation requirepeer hostaddr load_balance_hosts sslcompression requiressl replication fallback_application_name": "it is a parameter of libpq that the driver does not have; leave it out",
		"keepalives keepalives_idle keepalives_interval keepalives_count":                                                                         "connections are kept alive; leave it out",
		"sslcrl sslcrldir ssl_min_protocol_version ssl_max_protocol_version":                                                                      "the driver neither reads revocation lists nor takes other versions than TLS 1.2 and 1.3; leave it out",
		"tls ssl-mode ssl_mode useSSL": "write sslmode=disable, require, verify-ca or verify-full",
		"ssl-ca ssl_ca sslca ca":       "write sslrootcert",
		"ssl-cert ssl_cert cert":       "write sslcert",
		"ssl-key ssl_key key":          "write sslkey",
		"timeout connectTimeout":       "write connect_timeout, in seconds",
		"schema currentSchema":         "write search_path",
		"max_conns pool_size":          "write database.max_conns",
	},
	Further: "options=-c%20name%3Dvalue",
}

// checkURL names what is wrong with a URL by its parameter. No text shows a value
// that could be a password, or a part of one.
func checkURL(address string) error {
	u, err := url.Parse(param.FirstHost(address))
	if err != nil {
		return nil // which the driver may understand; if not, it says so
	}
	if u.Fragment != "" || strings.Contains(u.RawQuery, "@") {
		return engine.ErrAmbiguous
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("the parameters behind the question mark do not parse; percent-encode special characters")
	}
	for name := range q { // settings of extensions have a dot
		if strings.Contains(name, ".") {
			q.Del(name)
		}
	}
	if err := parameters.Check(q); err != nil {
		return err
	}
	if err := checkTLS(u, q); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if strings.HasPrefix(name, "ssl") || strings.HasPrefix(name, "service") {
			continue // which only mean something together
		}
		if _, err := pgxpool.ParseConfig("postgres://h/?" + url.Values{name: q[name]}.Encode()); err != nil {
			return fmt.Errorf("the parameter %q has a value that the driver does not take", name)
		}
	}
	return nil
}

// sslModes are the values of sslmode. With the first three a certificate of the server
// is not looked at.
var sslModes = []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}

// checkTLS finds what pgx would ignore of the parameters of TLS, and files that are
// not there.
func checkTLS(u *url.URL, q url.Values) error {
	// The driver takes the environment's where the URL has none.
	mode, given := cmp.Or(q.Get("sslmode"), os.Getenv("PGSSLMODE")), func(name string) bool { return q.Get(name) != "" }
	if given("service") {
		return nil // its file may say anything of it
	}
	if q.Has("ssl") && (q.Get("ssl") != "true" || given("sslmode")) {
		return errors.New(`the parameter "ssl" can only be true, beside no sslmode; write sslmode=require, verify-ca or verify-full`)
	}
	if q.Has("sslmode") && !slices.Contains(sslModes, mode) {
		return fmt.Errorf("sslmode is none of %s; write one of them", strings.Join(sslModes, ", "))
	}
	verifies := slices.Index(sslModes, mode) > 2 || mode == "" && (given("ssl") || q.Get("sslnegotiation") == "direct")
	root := q.Get("sslrootcert")
	if root != "" && root != "system" && !verifies {
		return errors.New("sslrootcert has no effect unless sslmode is require, verify-ca or verify-full (it is prefer by default); write sslmode=verify-full")
	}
	if given("sslcert") != given("sslkey") {
		return errors.New("sslcert and sslkey need each other; write both or neither")
	}
	if given("sslpassword") && !given("sslkey") {
		return errors.New("sslpassword needs the sslkey that it decrypts; write both or neither")
	}
	local := strings.HasPrefix(q.Get("host"), "/") && u.Host == ""
	if given("sslcert") && (mode == "disable" || local || q.Get("sslcertmode") == "disable") {
		return errors.New("sslcert has no effect with sslmode=disable, with sslcertmode=disable, and on a unix socket; remove one of the two")
	}
	if (verifies || root != "") && local {
		return errors.New("there is no TLS on a unix socket; remove sslmode and sslrootcert, or name a host")
	}
	for _, name := range []string{"sslrootcert", "sslcert", "sslkey"} {
		if q.Has(name) && !given(name) {
			return fmt.Errorf("%s is empty; name a file, or leave it out", name)
		}
		if path := q.Get(name); path != "" && path != "system" {
			if err := engine.ReadableFile(name, path); err != nil {
				return err
			}
		}
	}
	return nil
}

// renewing has every connection log in as the URL says at that time, with the
// certificates that it names as they are then.
func renewing(cfg engine.Config, first *pgx.ConnConfig) *engine.Renewal[*pgx.ConnConfig] {
	return engine.NewRenewal(first.Copy(), cfg.Log, func() (*pgx.ConnConfig, error) {
		address := cfg.URL
		if cfg.Renew != nil {
			var err error
			if address, err = cfg.Renew(); err != nil {
				return nil, err
			}
		}
		c, err := pgxpool.ParseConfig(address)
		if err != nil {
			if err := checkURL(address); err != nil {
				return nil, err
			}
			return nil, errUnparsable
		}
		return c.ConnConfig, nil
	})
}

// renew takes over what may have been rotated, and leaves alone which hosts are
// dialled, and under which names they are verified.
func renew(to, from *pgx.ConnConfig) {
	to.User, to.Password = from.User, from.Password
	// All hosts of a URL are verified by the same files.
	fresh := from.TLSConfig
	for _, f := range from.Fallbacks {
		if fresh == nil {
			fresh = f.TLSConfig
		}
	}
	if fresh == nil {
		return
	}
	present := func(c *tls.Config) *tls.Config {
		if c == nil {
			return nil
		}
		c = c.Clone()
		c.RootCAs, c.ClientCAs, c.Certificates, c.VerifyPeerCertificate = fresh.RootCAs, fresh.ClientCAs, fresh.Certificates, fresh.VerifyPeerCertificate
		return c
	}
	to.TLSConfig = present(to.TLSConfig)
	for _, f := range to.Fallbacks {
		f.TLSConfig = present(f.TLSConfig)
	}
}

// errUnparsable replaces the driver's own text, which could show the password.
var errUnparsable = errors.New("the URL of PostgreSQL does not parse; percent-encode special characters of the password, and check host, port, settings and the files of certificates")
