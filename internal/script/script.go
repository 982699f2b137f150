package script

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"

	"redoubt/internal/resp"
	"redoubt/internal/script/lua"
)

// A Script is the body of an EVAL, compiled. It is immutable: any engine can run
// it.
type Script struct {
	sha   string
	body  string
	flags Flags
	proto *lua.Proto
}

// Compile makes a script of the body of an EVAL. Its error is a resp.Error for
// the client.
func Compile(body []byte) (*Script, error) {
	s := &Script{sha: SHA1(body), body: string(body)}
	flags, code, err := parseShebang(s.body)
	if err != nil {
		return nil, err
	}
	s.flags = flags
	if s.proto, err = lua.Compile(code, "@user_script"); err != nil {
		return nil, resp.Error("ERR Error compiling script (new function): " + err.Error())
	}
	return s, nil
}

// FlagsOf reads the flags of a script off its shebang line. It matches
// evalExtractShebangFlags, and fails where Compile does because of that line.
func FlagsOf(body []byte) (Flags, error) {
	if i := bytes.IndexByte(body, '\n'); i >= 0 {
		body = body[:i+1]
	}
	flags, _, err := parseShebang(string(body))
	return flags, err
}

// SHA is the script's name, 40 digits in lower case.
func (s *Script) SHA() string { return s.sha }

// Body is the text that was compiled, with its shebang line.
func (s *Script) Body() string { return s.body }

// Flags are those of the shebang line, or Compatible if there is none.
func (s *Script) Flags() Flags { return s.flags }

// Size is about the bytes that the script takes in memory.
func (s *Script) Size() int { return len(s.body) + len(s.sha) + s.proto.Size() }

// SHA1 names a script by its text.
func SHA1(body []byte) string {
	sum := sha1.Sum(body)
	return hex.EncodeToString(sum[:])
}
