package config

import (
	"time"

	"redoubt/internal/tlsconf"
)

var authClients = oneOf("no", "yes", "optional") // in the order of tlsconf.AuthClients

// tlsRows is what makes a node speak TLS. The values are judged together with the files
// that they name, by tlsconf, when the node starts and at CONFIG SET.
var tlsRows = []*directive{
	{name: "tls-port", typ: port, def: "0",
		does:  "port for clients that speak TLS; 0: none",
		store: toInt(func(s *Settings) *int { return &s.TLSPort })},
	{name: "tls-cert-file", typ: text{}, flags: volatile,
		does:  "certificate of the node, in PEM, and those between it and its authority",
		store: toText(func(s *Settings) *string { return &s.TLS.CertFile })},
	{name: "tls-key-file", typ: text{}, flags: volatile,
		does:  "its private key",
		store: toText(func(s *Settings) *string { return &s.TLS.KeyFile })},
	{name: "tls-key-file-pass", typ: text{}, flags: sensitive,
		does:  "passphrase of the key",
		store: toText(func(s *Settings) *string { return &s.TLS.KeyPass })},
	{name: "tls-client-cert-file", typ: text{}, flags: volatile,
		does:  "certificate that the node shows to nodes it connects to; empty: tls-cert-file",
		store: toText(func(s *Settings) *string { return &s.TLS.ClientCertFile })},
	{name: "tls-client-key-file", typ: text{}, flags: volatile,
		does:  "its private key",
		store: toText(func(s *Settings) *string { return &s.TLS.ClientKeyFile })},
	{name: "tls-client-key-file-pass", typ: text{}, flags: sensitive,
		does:  "passphrase of the key",
		store: toText(func(s *Settings) *string { return &s.TLS.ClientKeyPass })},
	{name: "tls-ca-cert-file", typ: text{}, flags: volatile,
		does:  "certificates of the authorities that are trusted",
		store: toText(func(s *Settings) *string { return &s.TLS.CAFile })},
	{name: "tls-ca-cert-dir", typ: text{}, flags: volatile,
		does:  "directory with such certificates, under the names that `openssl rehash` gives",
		store: toText(func(s *Settings) *string { return &s.TLS.CADir })},
	{name: "tls-auth-clients", typ: authClients, def: "yes",
		does:  "whether clients must show a certificate of a trusted authority; optional: they may",
		store: toChoice(authClients, func(s *Settings) *tlsconf.AuthClients { return &s.TLS.AuthClients })},
	{name: "tls-replication", typ: boolean{}, def: "no",
		does:  "use TLS to the primary",
		store: toBool(func(s *Settings) *bool { return &s.TLSReplication })},
	{name: "tls-cluster", typ: boolean{}, def: "no",
		does:  "use TLS on the cluster bus, and to the target of MIGRATE; both ends show certificates",
		store: toBool(func(s *Settings) *bool { return &s.TLSCluster })},
	{name: "tls-protocols", typ: text{},
		does:  "versions of TLS, from TLSv1 to TLSv1.3, without gaps; empty: TLSv1.2 TLSv1.3",
		store: toText(func(s *Settings) *string { return &s.TLS.Protocols })},
	{name: "tls-ciphers", typ: text{},
		does:  "cipher suites of TLS 1.2 and older, in OpenSSL's language; their order has no meaning",
		store: toText(func(s *Settings) *string { return &s.TLS.Ciphers })},
	{name: "tls-ciphersuites", typ: text{},
		does:  "those of TLS 1.3, which cannot be chosen: empty or all three",
		store: toText(func(s *Settings) *string { return &s.TLS.CipherSuites })},
	{name: "tls-session-caching", typ: boolean{}, def: "yes",
		does:  "let clients resume sessions, by tickets",
		store: toBool(func(s *Settings) *bool { return &s.TLS.SessionCaching })},
	{name: "tls-session-cache-timeout", typ: nonNegative, def: "300",
		does:  "seconds for which a session can be resumed; 0: 300",
		store: toDuration(time.Second, func(s *Settings) *time.Duration { return &s.TLS.SessionTimeout })},
	{name: "tls-auto-reload-interval", typ: nonNegative, def: "10", since: "Valkey 9.1",
		does:  "seconds between looks whether a file has changed, which is then used; 0: at CONFIG SET only",
		store: toDuration(time.Second, func(s *Settings) *time.Duration { return &s.TLSReload })},

	{name: "tls-auth-clients-user", typ: oneOf("off", "cn", "uri"), def: "off", since: "Redis 8.6, Valkey 8.1",
		refuse: "a certificate does not log a client in here"},
	{name: "tls-dh-params-file", typ: text{},
		lacks: "key exchange is by ECDHE only, which needs no such parameters"},
	{name: "tls-prefer-server-ciphers", typ: boolean{}, def: "no"},
	{name: "tls-session-cache-size", typ: nonNegative, def: "20480"},
}

// UsesTLS reports whether anything of the node speaks TLS.
func (s *Settings) UsesTLS() bool {
	return s.TLSPort != 0 || s.TLSReplication || s.TLSCluster || s.MetricsTLS
}

// AnyPort is a port for clients: that for TCP or, if there is none, that for TLS.
func (s *Settings) AnyPort() int {
	if s.Port != 0 {
		return s.Port
	}
	return s.TLSPort
}

// TLSOptions is what certificates and the like are loaded from.
func (s *Settings) TLSOptions() tlsconf.Options {
	o := s.TLS
	o.Links = s.TLSReplication || s.TLSCluster
	return o
}

// TLSDirectives is the names of the directives that UsesTLS and TLSOptions follow from.
func TLSDirectives() (names []string) {
	names = append(names, "metrics-tls")
	for _, d := range tlsRows {
		if d.store != nil {
			names = append(names, d.name)
		}
	}
	return names
}

// IdleTLS reports whether there is a certificate that nothing uses: who names one may
// believe that TLS is used.
func (s *Settings) IdleTLS() bool { return s.TLS.CertFile != "" && !s.UsesTLS() }
