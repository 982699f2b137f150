package tlsconf

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"strings"
)

var (
	errNoPassphrase = errors.New("the key is encrypted")
	errPassphrase   = errors.New("the key cannot be decrypted with its passphrase")
)

// plainKey returns the private key in text as PEM without encryption. A passphrase that
// is not needed is no error, as in OpenSSL.
func plainKey(text []byte, pass string) ([]byte, error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return nil, errors.New("there is no private key in PEM form in it")
		}
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue
		}
		legacy := block.Headers["DEK-Info"] != ""
		if (legacy || block.Type == "ENCRYPTED PRIVATE KEY") && pass == "" {
			return nil, errNoPassphrase
		}
		switch {
		case legacy:
			//lint:ignore SA1019 OpenSSL before 3 writes keys so, and Redis reads them
			der, err := x509.DecryptPEMBlock(block, []byte(pass))
			if err != nil {
				return nil, errPassphrase
			}
			block = &pem.Block{Type: block.Type, Bytes: der}
		case block.Type == "ENCRYPTED PRIVATE KEY":
			der, err := decryptPKCS8(block.Bytes, pass)
			if err != nil {
				return nil, err
			}
			block = &pem.Block{Type: "PRIVATE KEY", Bytes: der}
		}
		return pem.EncodeToMemory(block), nil
	}
}

// The encrypted form of PKCS #8, with the schemes of PKCS #5 (RFC 5958, RFC 8018).
type (
	encryptedKey struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	pbes2Params struct{ Derivation, Encryption pkix.AlgorithmIdentifier }
	kdfParams   struct {
		Salt       []byte
		Iterations int
		KeyLength  int                      `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
	}
)

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}

	// prfs is what keys are derived by, by the object identifier.
	prfs = map[string]func() hash.Hash{
		"":                    sha1.New,
		"1.2.840.113549.2.7":  sha1.New,
		"1.2.840.113549.2.8":  sha256.New224,
		"1.2.840.113549.2.9":  sha256.New,
		"1.2.840.113549.2.10": sha512.New384,
		"1.2.840.113549.2.11": sha512.New,
	}
	// keyCiphers is what keys are encrypted by, all in CBC mode.
	keyCiphers = map[string]struct {
		bytes int
		make  func([]byte) (cipher.Block, error)
	}{
		"2.16.840.1.101.3.4.1.2":  {16, aes.NewCipher},
		"2.16.840.1.101.3.4.1.22": {24, aes.NewCipher},
		"2.16.840.1.101.3.4.1.42": {32, aes.NewCipher},
		"1.2.840.113549.3.7":      {24, des.NewTripleDESCipher},
	}
)

// decryptPKCS8 returns the unencrypted form of an encrypted PKCS #8 key.
func decryptPKCS8(der []byte, pass string) ([]byte, error) {
	var key encryptedKey
	var params pbes2Params
	var kdf kdfParams
	var iv []byte
	if !parse(der, &key) {
		return nil, errors.New("the encrypted key is damaged")
	}
	if !key.Algorithm.Algorithm.Equal(oidPBES2) || !parse(key.Algorithm.Parameters.FullBytes, &params) {
		return nil, unknownScheme(key.Algorithm.Algorithm)
	}
	if !params.Derivation.Algorithm.Equal(oidPBKDF2) || !parse(params.Derivation.Parameters.FullBytes, &kdf) {
		return nil, unknownScheme(params.Derivation.Algorithm)
	}
	prf := prfs[kdf.PRF.Algorithm.String()]
	if prf == nil || kdf.Iterations < 1 {
		return nil, unknownScheme(kdf.PRF.Algorithm)
	}
	algorithm, ok := keyCiphers[params.Encryption.Algorithm.String()]
	if !ok || !parse(params.Encryption.Parameters.FullBytes, &iv) {
		return nil, unknownScheme(params.Encryption.Algorithm)
	}
	derived, err := pbkdf2.Key(prf, pass, kdf.Salt, kdf.Iterations, algorithm.bytes)
	if err != nil {
		return nil, err
	}
	block, err := algorithm.make(derived)
	if err != nil {
		return nil, err
	}
	size := block.BlockSize()
	if len(iv) != size || len(key.Data) == 0 || len(key.Data)%size != 0 {
		return nil, errors.New("the encrypted key is damaged")
	}
	plain := make([]byte, len(key.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, key.Data)
	padding := int(plain[len(plain)-1])
	if padding < 1 || padding > size || !bytes.Equal(plain[len(plain)-padding:], bytes.Repeat([]byte{byte(padding)}, padding)) {
		return nil, errPassphrase
	}
	plain = plain[:len(plain)-padding]
	if _, err := x509.ParsePKCS8PrivateKey(plain); err != nil {
		return nil, errPassphrase
	}
	return plain, nil
}

// parse reads the whole of der.
func parse(der []byte, into any) bool {
	rest, err := asn1.Unmarshal(der, into)
	return err == nil && len(rest) == 0
}

func unknownScheme(id asn1.ObjectIdentifier) error {
	return fmt.Errorf("the key is encrypted in a way that is not known here (%s); openssl pkcs8 -topk8 -v2 aes256 makes one that is", id)
}

// firstCertificate returns the first certificate in text, that of the key.
func firstCertificate(text []byte) (*x509.Certificate, error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return nil, errors.New("there is no certificate in PEM form in it")
		}
		if block.Type == "CERTIFICATE" {
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("the certificate cannot be read (%s)", cause(err))
			}
			return cert, nil
		}
	}
}

// addCertificates adds all certificates in text, of which there must be one.
func addCertificates(pool *x509.CertPool, text []byte) error {
	found := false
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("a certificate cannot be read (%s)", cause(err))
		}
		pool.AddCert(cert)
		found = true
	}
	if !found {
		return errors.New("there is no certificate in PEM form in it")
	}
	return nil
}
