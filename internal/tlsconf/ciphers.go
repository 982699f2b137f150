package tlsconf

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// suite is a cipher suite of TLS 1.2 and older that crypto/tls has. Those with RC4 and
// 3DES are left out, as in OpenSSL's own builds.
type suite struct {
	id   uint16
	name string // OpenSSL's
	in   string // the keywords that stand for it, beside ALL
	weak bool   // not among the defaults of crypto/tls
}

var suites = []suite{
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE ECDSA AES128 AES AESGCM HIGH TLSv1.2", false},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE ECDSA AES256 AES AESGCM HIGH TLSv1.2", false},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE aRSA AES128 AES AESGCM HIGH TLSv1.2", false},
	{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE aRSA AES256 AES AESGCM HIGH TLSv1.2", false},
	{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE ECDSA CHACHA20 HIGH TLSv1.2", false},
	{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305", "ECDHE aRSA CHACHA20 HIGH TLSv1.2", false},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, "ECDHE-ECDSA-AES128-SHA", "ECDHE ECDSA AES128 AES SHA1 HIGH TLSv1", false},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, "ECDHE-ECDSA-AES256-SHA", "ECDHE ECDSA AES256 AES SHA1 HIGH TLSv1", false},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "ECDHE-RSA-AES128-SHA", "ECDHE aRSA AES128 AES SHA1 HIGH TLSv1", false},
	{tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, "ECDHE-RSA-AES256-SHA", "ECDHE aRSA AES256 AES SHA1 HIGH TLSv1", false},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, "ECDHE-ECDSA-AES128-SHA256", "ECDHE ECDSA AES128 AES SHA256 HIGH TLSv1.2", true},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256, "ECDHE-RSA-AES128-SHA256", "ECDHE aRSA AES128 AES SHA256 HIGH TLSv1.2", true},
	{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, "AES128-GCM-SHA256", "kRSA aRSA AES128 AES AESGCM HIGH TLSv1.2", true},
	{tls.TLS_RSA_WITH_AES_256_GCM_SHA384, "AES256-GCM-SHA384", "kRSA aRSA AES256 AES AESGCM HIGH TLSv1.2", true},
	{tls.TLS_RSA_WITH_AES_128_CBC_SHA256, "AES128-SHA256", "kRSA aRSA AES128 AES SHA256 HIGH TLSv1.2", true},
	{tls.TLS_RSA_WITH_AES_128_CBC_SHA, "AES128-SHA", "kRSA aRSA AES128 AES SHA1 HIGH SSLv3", true},
	{tls.TLS_RSA_WITH_AES_256_CBC_SHA, "AES256-SHA", "kRSA aRSA AES256 AES SHA1 HIGH SSLv3", true},
}

// alias is other words for keywords.
var alias = map[string]string{
	"RSA": "kRSA", "kECDHE": "ECDHE", "kEECDH": "ECDHE", "EECDH": "ECDHE", "ECDH": "ECDHE",
	"aECDSA": "ECDSA", "SHA": "SHA1", "TLSv1.0": "TLSv1",
}

// absent is keywords of OpenSSL for which crypto/tls has no suite, so that nothing is
// lost where they are taken out, and nothing won where they are put in.
var absent = strings.Fields(`LOW MEDIUM EXP EXPORT EXPORT40 EXPORT56 NULL aNULL eNULL ADH AECDH kDHE kEDH DHE EDH DH
	aDSS DSS kDHr kDHd kDH aDH kECDHr kECDHe kECDH aECDH aPSK kPSK PSK kECDHEPSK kDHEPSK kRSAPSK SRP kSRP aSRP
	3DES DES RC4 RC2 IDEA SEED MD5 CAMELLIA CAMELLIA128 CAMELLIA256 ARIA ARIA128 ARIA256 ARIAGCM AESCCM AESCCM8 CBC
	SHA384 GOST94 GOST89MAC kGOST aGOST aGOST01 GOST`)

// named returns the suites that a word of the language stands for; ok is false if it is
// no such word.
func named(word string) (found []uint16, ok bool) {
	for _, s := range suites {
		if word == s.name || strings.EqualFold(word, tls.CipherSuiteName(s.id)) {
			return []uint16{s.id}, true
		}
	}
	if a := alias[word]; a != "" {
		word = a
	}
	for _, s := range suites {
		if word == "ALL" || word == "DEFAULT" && !s.weak || word == "COMPLEMENTOFDEFAULT" && s.weak ||
			slices.Contains(strings.Fields(s.in), word) {
			found = append(found, s.id)
		}
	}
	return found, found != nil || slices.Contains(absent, word) || foreign(word)
}

// foreign reports whether a word has the form of a suite's name: one that OpenSSL may
// have and crypto/tls has not. Lists for several programs name such ones.
func foreign(word string) bool {
	parts := strings.Split(word, "-")
	return len(parts) > 1 && slices.ContainsFunc(parts, func(p string) bool {
		return strings.HasPrefix(p, "SHA") || p == "POLY1305" || strings.HasPrefix(p, "CCM") || p == "MD5"
	})
}

// cipherList is the suites that a list in the language of OpenSSL's cipher strings
// leaves. The order of the list and what only changes the order have no meaning.
func cipherList(text string, needed bool) ([]uint16, error) {
	bad := func(word, why string) error { return fmt.Errorf("tls-ciphers '%s': %s", word, why) }
	left, banned := []uint16{}, []uint16{}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ':' || r == ',' || r == ' ' || r == ';' }) {
		op := word[0]
		if strings.IndexByte("!-+", op) >= 0 {
			word = word[1:]
		} else {
			op = 0
		}
		if word == "@STRENGTH" {
			continue // an order
		}
		if strings.HasPrefix(word, "@") || strings.HasPrefix(word, "SUITEB") {
			return nil, bad(word, "this cannot be had with crypto/tls")
		}
		if isTLS13(word) {
			return nil, bad(word, "this is a suite of TLS 1.3, of which tls-ciphers says nothing")
		}
		var chosen []uint16
		for i, part := range strings.Split(word, "+") {
			found, ok := named(part)
			if !ok {
				return nil, bad(part, "no cipher suite and no group of them is known under this name")
			}
			if i == 0 {
				chosen = found
				continue
			}
			chosen = slices.DeleteFunc(slices.Clone(chosen), func(id uint16) bool { return !slices.Contains(found, id) })
		}
		for _, id := range chosen {
			switch op {
			case 0:
				if !slices.Contains(left, id) && !slices.Contains(banned, id) {
					left = append(left, id)
				}
			case '!', '-':
				if op == '!' {
					banned = append(banned, id)
				}
				left = slices.DeleteFunc(left, func(other uint16) bool { return other == id })
			}
		}
	}
	if len(left) == 0 && needed {
		return nil, fmt.Errorf("tls-ciphers '%s': no cipher suite is left that crypto/tls has", text)
	}
	return left, nil
}

func isTLS13(name string) bool {
	for _, s := range tls.CipherSuites() {
		if strings.EqualFold(s.Name, name) && slices.Equal(s.SupportedVersions, []uint16{tls.VersionTLS13}) {
			return true
		}
	}
	return false
}

// allSuites refuses a choice among the cipher suites of TLS 1.3.
func allSuites(text string) error {
	if text == "" {
		return nil
	}
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ':' || r == ',' || r == ' ' })
	for _, s := range tls.CipherSuites() {
		if isTLS13(s.Name) && !slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, s.Name) }) {
			return errors.New("tls-ciphersuites: the cipher suites of TLS 1.3 cannot be chosen here, all three are always offered. " +
				"Leave it empty, or leave TLSv1.3 out of tls-protocols")
		}
	}
	return nil
}
